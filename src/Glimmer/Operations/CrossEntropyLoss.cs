using Glimmer.Kernels;
using Glimmer.Tensors;

namespace Glimmer.Operations;

/// <summary>Output matrix and cross-entropy in one operation that never holds the logits of more than a chunk of tokens.</summary>
internal static unsafe class CrossEntropyLoss
{
    private const long ChunkFloats = 8L << 20;

    /// <summary><c>sum_t weight[t] * (lse(logits[t]) - logits[t, target[t]])</c> with <c>logits = h W^T</c>.</summary>
    /// <param name="c">
    /// Context. With a tape the gradients are computed in the same sweep, so that no logits are kept: that of the matrix is added to the parameter right here, that of
    /// <paramref name="h"/> is passed on by the tape.
    /// </param>
    /// <param name="h">Hidden states after the final norm, [T, D].</param>
    /// <param name="head">Output matrix, [V, D].</param>
    /// <param name="targets">Token to predict, [T]; negative entries are left out.</param>
    /// <param name="weights">Weight of each token's loss, [T]; for a mean, 1 / total. Entries of 0 are left out.</param>
    /// <param name="logProbabilities">Receives <c>log p(target)</c>, [T] (0 where left out); may be empty.</param>
    /// <returns>The loss, summed in fp64 in token order.</returns>
    /// <remarks>The log-sum-exp and the log-probability are those of the sampler and of scoring, bit for bit.</remarks>
    public static double Forward(
        Compute c, Tensor h, Parameter head, ReadOnlySpan<int> targets, ReadOnlySpan<float> weights, Span<float> logProbabilities = default)
    {
        if (head.IsAdapted && c.AdapterRuns is { Count: > 1 })
            throw new InvalidOperationException("The loss of rows with several output matrices is computed one adapter at a time.");
        head = head.InUse(c);
        (int tokens, int dim, int vocabulary) = (h.Shape[0], h.Shape[1], head.Shape[0]);
        Tape? tape = c.Tape;
        Tensor? dh = tape is null ? null : c.Workspace.Zeros(tokens, dim);
        Workspace.Mark mark = c.Workspace.Save();
        int chunk = (int)Math.Clamp(ChunkFloats / vocabulary, 16, 256);
        Tensor logits = c.Workspace.F32(Math.Min(chunk, tokens), vocabulary);
        Tensor? headGradient = tape is not null && head.Gradient is not null ? c.Workspace.Zeros(vocabulary, dim) : null;
        var lse = new float[chunk];
        var rest = new float[chunk];
        var losses = new float[chunk];
        double total = 0;
        for (int first = 0; first < tokens; first += chunk)
        {
            int count = Math.Min(chunk, tokens - first);
            float* rows = h.F32Pointer + (long)first * dim;
            MatMul.Multiply(c.Team, rows, dim, count, head.Packed(c.Team), null, logits.F32Pointer, vocabulary);
            var chunkTargets = new int[count];
            for (int t = 0; t < count; t++)
                chunkTargets[t] = weights[first + t] == 0 ? -1 : targets[first + t];
            fixed (float* lsePointer = lse, restPointer = rest, lossPointer = losses, weightPointer = weights[first..])
            fixed (int* targetPointer = chunkTargets)
            {
                CrossEntropy.Forward(c.Team, logits.F32Pointer, vocabulary, targetPointer, count, vocabulary, lossPointer, lsePointer, restPointer);
                for (int t = 0; t < count; t++)
                {
                    bool counted = chunkTargets[t] >= 0;
                    if (counted)
                        total += (double)weights[first + t] * losses[t];
                    if (!logProbabilities.IsEmpty)
                        logProbabilities[first + t] = counted ? -losses[t] : 0;
                }

                if (dh is null)
                    continue;
                CrossEntropy.Backward(c.Team, logits.F32Pointer, vocabulary, targetPointer, count, vocabulary, lsePointer, restPointer, weightPointer);
                MatMul.Multiply(c.Team, logits.F32Pointer, vocabulary, count, head.PackedTransposed(c.Team), null, dh.F32Pointer + (long)first * dim, dim);
                if (headGradient is not null)
                {
                    // One chain over all tokens of the micro-batch, whatever the chunks.
                    MatMul.WeightGradient(
                        c.Team, logits.F32Pointer, vocabulary, rows, dim, count, vocabulary, dim, headGradient.F32Pointer, GradientMode.Continue);
                }
            }
        }

        if (headGradient is not null)
            Elementwise.Add(c.Team, head.Gradient!.F32Pointer, headGradient.F32Pointer, headGradient.Count, head.Gradient!.F32Pointer);
        c.Workspace.Release(mark);
        tape?.Record(new Entry(c, h, dh!));
        return total;
    }

    private sealed class Entry(Compute c, Tensor h, Tensor dh) : TapeEntry
    {
        public override void Backward() => c.AddGradient(h, dh);
    }
}
