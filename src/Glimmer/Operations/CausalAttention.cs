using Glimmer.Kernels;
using Glimmer.Tensors;

namespace Glimmer.Operations;

/// <summary>Which keys each token attends to, chosen by the DSA indexer.</summary>
/// <remarks>Passes without a tape reuse one object, so that a step allocates nothing.</remarks>
internal sealed class KeySelection(Tensor positions, Tensor counts)
{
    /// <summary>Ascending key positions, I32 [T, IndexTopk].</summary>
    public Tensor Positions { get; set; } = positions;

    /// <summary>Valid entries of each row, I32 [T].</summary>
    public Tensor Counts { get; set; } = counts;
}

/// <summary>
/// Causal attention over the keys of each token's own sequence: writes the new keys and values into the pages, then attends. Dense, or over
/// the keys of a <see cref="KeySelection"/>.
/// </summary>
internal static unsafe class CausalAttention
{
    /// <param name="c">Context.</param>
    /// <param name="batch">Which token belongs to which sequence.</param>
    /// <param name="slot">Cache slot of the layer.</param>
    /// <param name="sizes">Heads and widths; how pages are kept is the batch's.</param>
    /// <param name="q">Queries, [T, H * KeyDim].</param>
    /// <param name="k">Keys, [T, Hkv * KeyDim].</param>
    /// <param name="v">Values, [T, Hkv * ValueDim]; null for MLA, where a value is the first part of its key.</param>
    /// <param name="selection">Chosen keys, or null for all visible ones.</param>
    /// <returns>[T, H * ValueDim].</returns>
    public static Tensor Forward(Compute c, Batch batch, int slot, in AttentionShape sizes, Tensor q, Tensor k, Tensor? v, KeySelection? selection = null)
    {
        AttentionShape shape = sizes with { PageType = PageType(batch) };
        int tokens = batch.TokenCount;
        Tensor y = c.Workspace.F32(tokens, shape.Heads * shape.ValueDim);
        Tensor? lse = c.Tape is null ? null : c.Workspace.F32(tokens, shape.Heads);
        Workspace.Mark mark = c.Workspace.Save();
        ReadOnlySpan<AttentionSequence> sequences = Sequences(c, batch, slot, shape.Layout);
        Tensor values = v ?? k;
        shape.Layout.Write(c.Team, sequences, k.F32Pointer, k.Shape[1], values.F32Pointer, values.Shape[1]);
        float* lsePointer = lse is null ? null : lse.F32Pointer;
        if (selection is null)
        {
            Attention.Forward(c.Team, shape, sequences, q.F32Pointer, y.F32Pointer, lsePointer);
        }
        else
        {
            Attention.SparseForward(
                c.Team, shape, sequences, (int*)selection.Positions.Data, selection.Positions.Shape[1], (int*)selection.Counts.Data,
                q.F32Pointer, y.F32Pointer, lsePointer);
        }

        c.Workspace.Release(mark); // Pages of documents: their keys are in k and v for the backward pass.
        c.Tape?.Record(new Entry(c, batch, shape, q, k, v, selection, y, lse!));
        return y;
    }

    /// <summary>The sequences of a batch with their page tables for one slot, in workspace memory. Documents get pages of their own.</summary>
    public static ReadOnlySpan<AttentionSequence> Sequences(Compute c, Batch batch, int slot, scoped in KeyValueLayout layout)
    {
        ReadOnlySpan<BatchSlice> slices = batch.Slices;
        var sequences = (AttentionSequence*)c.Workspace.Allocate(DType.U8, slices.Length * sizeof(AttentionSequence)).Data;
        for (int i = 0; i < slices.Length; i++)
        {
            BatchSlice slice = slices[i];
            float** pages = slice.Cache is { } cache ? cache.Pages(slot) : NewPages(c, slice.Count, layout.PageFloats);
            sequences[i] = new AttentionSequence(slice.FirstToken, slice.Count, slice.FirstPosition, pages);
        }

        return new ReadOnlySpan<AttentionSequence>(sequences, slices.Length);
    }

    /// <summary>How the keys of a batch are kept. Documents are kept as they are computed: their keys and values receive gradients.</summary>
    public static KeyValueType PageType(Batch batch)
    {
        ReadOnlySpan<BatchSlice> slices = batch.Slices;
        KeyValueType type = slices[0].Cache?.Type ?? KeyValueType.F32;
        foreach (BatchSlice slice in slices)
        {
            if ((slice.Cache?.Type ?? KeyValueType.F32) != type)
                throw new InvalidOperationException($"One batch holds sequences whose keys are kept as {type} and as {slice.Cache?.Type ?? KeyValueType.F32}. Run them in batches of their own.");
        }

        return type;
    }

    private static float** NewPages(Compute c, int positions, int pageFloats)
    {
        int count = KeyValueLayout.PagesFor(positions);
        var table = (float**)c.Workspace.Allocate(DType.U8, count * sizeof(float*)).Data;
        for (int i = 0; i < count; i++)
            table[i] = c.Workspace.F32(pageFloats).F32Pointer;
        return table;
    }

    private sealed class Entry(
        Compute c, Batch batch, AttentionShape shape, Tensor q, Tensor k, Tensor? v, KeySelection? selection, Tensor y, Tensor lse) : TapeEntry
    {
        private readonly BatchSlice[] _slices = batch.Slices.ToArray();

        public override void Backward()
        {
            if (y.Gradient is not { } dy)
                return;
            var sequences = new AttentionSequence[_slices.Length];
            for (int i = 0; i < sequences.Length; i++)
            {
                BatchSlice slice = _slices[i];
                if (slice.FirstPosition != 0)
                    throw new InvalidOperationException("Gradients need every key of a sequence in the batch: start its tokens at position 0.");
                sequences[i] = new AttentionSequence(slice.FirstToken, slice.Count, 0, null);
            }

            Tensor dq = c.Workspace.F32(q.Shape);
            Tensor dk = c.Workspace.F32(k.Shape);
            Tensor dv = c.Workspace.F32(k.Shape[0], shape.KvHeads * shape.ValueDim);
            Tensor values = v ?? ValuePart();
            int* positions = selection is null ? null : (int*)selection.Positions.Data;
            int* counts = selection is null ? null : (int*)selection.Counts.Data;
            int stride = selection is null ? 0 : selection.Positions.Shape[1];
            Attention.SparseBackward(
                c.Team, shape, sequences, positions, stride, counts, q.F32Pointer, k.F32Pointer, values.F32Pointer,
                y.F32Pointer, lse.F32Pointer, dy.F32Pointer, dq.F32Pointer, dk.F32Pointer, dv.F32Pointer);
            c.AddGradient(q, dq);
            if (v is null)
                AddValuePart(dk, dv);
            else
                c.AddGradient(v, dv);
            c.AddGradient(k, dk);
        }

        // MLA: the value is the first part of the key.
        private Tensor ValuePart()
        {
            Tensor values = c.Workspace.F32(k.Shape[0], shape.ValueDim);
            for (int t = 0; t < k.Shape[0]; t++)
                k.F32.Slice(t * shape.KeyDim, shape.ValueDim).CopyTo(values.F32[(t * shape.ValueDim)..]);
            return values;
        }

        // MLA: the value is the first part of the key, so its gradient adds to that part.
        private void AddValuePart(Tensor dk, Tensor dv)
        {
            for (int t = 0; t < dk.Shape[0]; t++)
            {
                float* key = dk.F32Pointer + (long)t * shape.KeyDim;
                float* value = dv.F32Pointer + (long)t * shape.ValueDim;
                for (int i = 0; i < shape.ValueDim; i++)
                    key[i] += value[i];
            }
        }
    }
}
