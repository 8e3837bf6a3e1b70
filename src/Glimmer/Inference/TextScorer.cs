using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Tensors;

namespace Glimmer.Inference;

/// <summary>Log-probabilities of given tokens.</summary>
public static class TextScorer
{
    /// <summary>Log-probability of every token after the first, given all tokens before it.</summary>
    /// <param name="model">The model.</param>
    /// <param name="compute">Where to run.</param>
    /// <param name="tokens">At least two tokens.</param>
    /// <param name="chunk">Tokens a forward pass takes; does not change the result.</param>
    /// <param name="progress">Told how many tokens are done.</param>
    /// <param name="cancellationToken">Ends the scoring between two passes.</param>
    /// <returns>Entry i belongs to token i + 1.</returns>
    /// <remarks>
    /// A text longer than the model's context is scored in windows that overlap by half, so that every token behind the first window sees at
    /// least half a context.
    /// </remarks>
    public static float[] LogProbabilities(
        CausalLm model, Compute compute, ReadOnlyMemory<int> tokens, int chunk = 256, IProgress<int>? progress = null, CancellationToken cancellationToken = default)
    {
        int context = model.Config.MaxPositionEmbeddings;
        var result = new float[Math.Max(tokens.Length - 1, 0)];
        int done = 0; // entries of the result
        for (int start = 0; done < result.Length; start += Math.Max(1, context / 2))
        {
            int length = Math.Min(context, tokens.Length - start);
            Window(model, compute, tokens.Slice(start, length), chunk, result.AsSpan(start, length - 1), done - start, progress, start, cancellationToken);
            done = start + length - 1;
        }

        return result;
    }

    // Scores a window; entries before 'from' were scored by the window before it and stay.
    private static void Window(
        CausalLm model, Compute compute, ReadOnlyMemory<int> tokens, int chunk, Span<float> result, int from, IProgress<int>? progress, int offset,
        CancellationToken cancellationToken)
    {
        using KeyValueCache cache = model.NewCache();
        using CachedSequence sequence = cache.NewSequence();
        var batch = new Batch();
        for (int first = 0; first < tokens.Length; first += chunk)
        {
            cancellationToken.ThrowIfCancellationRequested();
            int count = Math.Min(chunk, tokens.Length - first);
            batch.Clear();
            batch.AddCached(sequence, tokens.Span.Slice(first, count), first);
            compute.Begin();
            Tensor hidden = model.Forward(compute, batch);
            var targets = new int[count];
            var weights = new float[count];
            for (int i = 0; i < count; i++)
            {
                int target = first + i + 1;
                bool scored = target < tokens.Length && target - 1 >= from;
                targets[i] = scored ? tokens.Span[target] : -1;
                weights[i] = scored ? 1 : 0;
            }

            var logprobs = new float[count];
            model.Loss(compute, hidden, targets, weights, logprobs);
            for (int i = 0; i < count; i++)
            {
                if (targets[i] >= 0)
                    result[first + i] = logprobs[i];
            }

            progress?.Report(offset + first + count);
        }
    }
}
