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
        (int tokens, int dim, int vocabulary) = (h.Shape[0], h.Shape[1], head.AllRows);
        Tape? tape = c.Tape;
        Tensor? dh = tape is null ? null : c.Workspace.Zeros(tokens, dim);
        Workspace.Mark mark = c.Workspace.Save();
        (Tensor? Own, Tensor? Added) gradients = tape is null ? (null, null) : (Zeros(c, head), Zeros(c, head.AddedRows));
        int[] counted = Counted(targets, weights);
        if (!logProbabilities.IsEmpty)
            logProbabilities[..tokens].Clear();
        int chunk = (int)Math.Clamp(ChunkFloats / vocabulary, 16, 256);
        Tensor logits = c.Workspace.F32(Math.Min(chunk, counted.Length), vocabulary);
        Tensor rows = c.Workspace.F32(Math.Min(chunk, counted.Length), dim), drows = c.Workspace.F32(Math.Min(chunk, counted.Length), dim);
        var lse = new float[chunk];
        var rest = new float[chunk];
        var losses = new float[chunk];
        var chunkWeights = new float[chunk];
        var chunkTargets = new int[chunk];
        double total = 0;
        for (int first = 0; first < counted.Length; first += chunk)
        {
            // Only rows with a loss are multiplied with the output matrix: in fine-tuning they are few.
            ReadOnlySpan<int> chosen = counted.AsSpan(first, Math.Min(chunk, counted.Length - first));
            for (int r = 0; r < chosen.Length; r++)
            {
                (chunkTargets[r], chunkWeights[r]) = (targets[chosen[r]], weights[chosen[r]]);
                h.F32.Slice(chosen[r] * dim, dim).CopyTo(rows.F32[(r * dim)..]);
            }

            OutputProduct.Multiply(c, rows.F32Pointer, chosen.Length, head, logits.F32Pointer);
            fixed (float* lsePointer = lse, restPointer = rest, lossPointer = losses, weightPointer = chunkWeights)
            fixed (int* targetPointer = chunkTargets)
            {
                CrossEntropy.Forward(c.Team, logits.F32Pointer, vocabulary, targetPointer, chosen.Length, vocabulary, lossPointer, lsePointer, restPointer);
                for (int r = 0; r < chosen.Length; r++)
                {
                    total += (double)chunkWeights[r] * losses[r];
                    if (!logProbabilities.IsEmpty)
                        logProbabilities[chosen[r]] = -losses[r];
                }

                if (dh is null)
                    continue;
                CrossEntropy.Backward(c.Team, logits.F32Pointer, vocabulary, targetPointer, chosen.Length, vocabulary, lsePointer, restPointer, weightPointer);
                // One chain over all tokens of the micro-batch, whatever the chunks.
                OutputProduct.Backward(c, rows.F32Pointer, chosen.Length, head, logits.F32Pointer, drows.F32Pointer, gradients);
                for (int r = 0; r < chosen.Length; r++)
                    drows.F32.Slice(r * dim, dim).CopyTo(dh.F32[(chosen[r] * dim)..]);
            }
        }

        Add(c, head, gradients.Own);
        Add(c, head.AddedRows, gradients.Added);
        c.Workspace.Release(mark);
        tape?.Record(new Entry(c, h, dh!));
        return total;
    }

    private static int[] Counted(ReadOnlySpan<int> targets, ReadOnlySpan<float> weights)
    {
        var rows = new List<int>();
        for (int t = 0; t < targets.Length; t++)
        {
            if (targets[t] >= 0 && weights[t] != 0)
                rows.Add(t);
        }

        return [.. rows];
    }

    private static Tensor? Zeros(Compute c, Parameter? weight) => weight?.Gradient is null ? null : c.Workspace.Zeros(weight.Shape);

    private static void Add(Compute c, Parameter? weight, Tensor? gradient)
    {
        if (gradient is not null)
            Elementwise.Add(c.Team, weight!.Gradient!.F32Pointer, gradient.F32Pointer, gradient.Count, weight.Gradient!.F32Pointer);
    }

    private sealed class Entry(Compute c, Tensor h, Tensor dh) : TapeEntry
    {
        public override void Backward() => c.AddGradient(h, dh);
    }
}
