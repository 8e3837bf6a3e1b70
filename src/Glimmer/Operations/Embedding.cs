using Glimmer.Kernels;
using Glimmer.Tensors;

namespace Glimmer.Operations;

/// <summary>Embedding lookup: row <c>ids[t]</c> of the matrix becomes row t of the residual stream.</summary>
internal static unsafe class Embedding
{
    /// <param name="c">Context.</param>
    /// <param name="ids">Token ids, [T].</param>
    /// <param name="weight">Embedding, [V, D].</param>
    /// <param name="padTokenId">Row that receives no gradient here (<c>padding_idx</c> of the reference), or null.</param>
    /// <returns>[T, D].</returns>
    /// <exception cref="ArgumentOutOfRangeException">An id is outside the vocabulary.</exception>
    public static Tensor Forward(Compute c, ReadOnlySpan<int> ids, Parameter weight, int? padTokenId = null)
    {
        weight = weight.InUse(c);
        (int vocabulary, int own, int dim) = (weight.AllRows, weight.Shape[0], weight.Shape[1]);
        Tensor y = c.Workspace.F32(ids.Length, dim);
        PackedMatrix rows = weight.Packed(c.Team);
        PackedMatrix? added = weight.AddedRows?.Packed(c.Team);
        for (int t = 0; t < ids.Length; t++)
        {
            if ((uint)ids[t] >= (uint)vocabulary)
                throw new ArgumentOutOfRangeException(nameof(ids), $"Token id {ids[t]} at index {t} is outside the vocabulary of {vocabulary} entries.");
            var row = new Span<float>(y.F32Pointer + (long)t * dim, dim);
            if (weight.IsAdapted && weight.AdaptationOf(AdapterRun.Of(c.AdapterRuns, t))?.Replacement is { } other)
                other.Packed(c.Team).ReadRow(ids[t], row);
            else if (ids[t] < own)
                rows.ReadRow(ids[t], row);
            else
                added!.ReadRow(ids[t] - own, row);
        }

        if (c.Tape is { } tape && (weight.Gradient is not null || weight.AddedRows?.Gradient is not null))
            tape.Record(new Entry(ids.ToArray(), weight, padTokenId, y));
        return y;
    }

    private sealed class Entry(int[] ids, Parameter weight, int? padTokenId, Tensor y) : TapeEntry
    {
        // A row's gradient is a chain over its tokens in their order, then one addition.
        public override void Backward()
        {
            if (y.Gradient is not { } dy)
                return;
            (int own, int dim) = (weight.Shape[0], weight.Shape[1]);
            var sums = new Dictionary<int, float[]>();
            for (int t = 0; t < ids.Length; t++)
            {
                if (ids[t] == padTokenId || (ids[t] < own ? weight : weight.AddedRows!).Gradient is null)
                    continue;
                if (!sums.TryGetValue(ids[t], out float[]? sum))
                    sums.Add(ids[t], sum = new float[dim]);
                float* row = dy.F32Pointer + (long)t * dim;
                for (int i = 0; i < dim; i++)
                    sum[i] += row[i];
            }

            foreach ((int id, float[] sum) in sums)
            {
                float* row = id < own ? weight.Gradient!.F32Pointer + (long)id * dim : weight.AddedRows!.Gradient!.F32Pointer + (long)(id - own) * dim;
                for (int i = 0; i < dim; i++)
                    row[i] += sum[i];
            }
        }
    }
}
