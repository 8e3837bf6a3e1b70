using static Glimmer.Kernels.AttentionBackward;

namespace Glimmer.Kernels;

/// <summary>The units of dense backward attention on one instruction set.</summary>
internal static unsafe class AttentionBackwardBlock<I, V>
    where I : struct, IVectorIsa<V>
    where V : struct
{
    private const int Chunk = KeyValueLayout.PagePositions;
    private const int Lanes = KeyValueLayout.Lanes;

    /// <summary>Lays a chunk of keys and values side by side.</summary>
    public static void Prepare(State* state, in Part part, int chunk, float* memory)
    {
        AttentionShape shape = part.Shape;
        int from = chunk * Chunk, to = Math.Min(part.Tokens, from + Chunk);
        SideBySide.WriteStrided(
            part.K + from * part.KeyStride, part.KeyStride, to - from, shape.KeyDim, memory + state->Scratch.KeyLanes + (long)from * shape.KeyDim);
        SideBySide.WriteStrided(
            part.V + from * part.ValueStride, part.ValueStride, to - from, shape.ValueDim, memory + state->Scratch.ValueLanes + (long)from * shape.ValueDim);
    }

    /// <summary>Phase A: P and dS of <see cref="UnitRows"/> rows against all their keys, and their dq.</summary>
    public static void Rows(State* state, in Part part, int firstToken, int unit, float* memory, float* threadMemory)
    {
        AttentionShape shape = part.Shape;
        int keyDim = shape.KeyDim, valueDim = shape.ValueDim, group = shape.Group;
        int inBlock = unit * UnitRows, first = firstToken * group + inBlock;
        int rows = Math.Min(UnitRows, (Math.Min(part.Tokens, firstToken + state->TokensOfBlock) - firstToken) * group - inBlock);
        int stride = state->Scratch.WeightStride;
        float* q = memory + state->Scratch.Q + (long)inBlock * keyDim;
        float* dout = memory + state->Scratch.Dout + (long)inBlock * valueDim;
        float* weights = memory + state->Scratch.Weights + (long)inBlock * stride;
        float* dscores = memory + state->Scratch.Dscores + (long)inBlock * stride;
        float* dq = threadMemory + state->Scratch.ThreadDq;
        float* delta = threadMemory + state->Scratch.ThreadStatistics;
        float* lse = delta + rows;
        int* visible = (int*)(lse + rows);
        AttentionBackwardRows<I, V>.Load(part, first, rows, q, dout, delta, lse);
        for (int r = 0; r < rows; r++)
            visible[r] = (first + r) / group + 1;
        new Span<float>(dq, rows * keyDim).Clear();
        int skip = 0;
        for (int key = 0; key < visible[rows - 1]; key += Chunk)
        {
            while (visible[skip] <= key)
                skip++;
            float* keyLanes = memory + state->Scratch.KeyLanes + (long)key * keyDim;
            float* valueLanes = memory + state->Scratch.ValueLanes + (long)key * valueDim;
            for (int r = skip; r < rows; r += ProductTile.Rows)
            {
                int count = Math.Min(ProductTile.Rows, rows - r);
                int groups = Math.Min(Chunk / Lanes, (visible[r + count - 1] - key + Lanes - 1) / Lanes);
                AttentionProducts<I, V>.AgainstLanes(q + (long)r * keyDim, keyDim, count, keyLanes, keyDim, groups, weights + (long)r * stride + key, stride);
                AttentionProducts<I, V>.AgainstLanes(
                    dout + (long)r * valueDim, valueDim, count, valueLanes, valueDim, groups, dscores + (long)r * stride + key, stride);
            }

            for (int r = skip; r < rows; r++)
            {
                AttentionBackwardRows<I, V>.Differentiate(
                    weights + (long)r * stride + key, dscores + (long)r * stride + key, Math.Min(Chunk, visible[r] - key), shape.Scale, lse[r], delta[r]);
            }

            AttentionProducts<I, V>.AgainstVisibleRows(
                dscores + (long)skip * stride + key, stride, rows - skip, visible + skip, key, Chunk,
                part.K + key * part.KeyStride, part.KeyStride, dq + (long)skip * keyDim, keyDim, resume: true);
        }

        AttentionBackwardRows<I, V>.StoreDq(part, first, rows, dq);
    }

    /// <summary>Phase B: dk and dv of a chunk of keys go on with the rows of the block. Rows before a key's own position do not see it.</summary>
    public static void Keys(State* state, in Part part, int firstToken, int chunk, float* memory)
    {
        AttentionShape shape = part.Shape;
        int stride = state->Scratch.WeightStride;
        int firstRow = firstToken * shape.Group;
        int endToken = Math.Min(part.Tokens, firstToken + state->TokensOfBlock), endRow = endToken * shape.Group;
        float* q = memory + state->Scratch.Q;
        float* dout = memory + state->Scratch.Dout;
        int endKey = Math.Min(endToken, (chunk + 1) * Chunk);
        for (int key = chunk * Chunk; key < endKey; key += ProductTile.Rows)
        {
            int keys = Math.Min(ProductTile.Rows, endKey - key);
            int row = Math.Max(firstRow, key * shape.Group);
            for (int count = 1; count <= keys; count++)
            {
                // These rows see the first `count` keys of the tile.
                int end = count == keys ? endRow : Math.Max(row, (key + count) * shape.Group);
                if (end == row)
                    continue;
                long at = row - firstRow;
                float* weights = memory + state->Scratch.Weights + at * stride + key;
                float* dscores = memory + state->Scratch.Dscores + at * stride + key;
                AttentionProducts<I, V>.AgainstRows<TermsOfRows>(
                    weights, stride, count, dout + at * shape.ValueDim, shape.ValueDim, end - row,
                    part.Dv + key * part.ValueStride, part.ValueStride, shape.ValueDim, resume: true);
                AttentionProducts<I, V>.AgainstRows<TermsOfRows>(
                    dscores, stride, count, q + at * shape.KeyDim, shape.KeyDim, end - row,
                    part.Dk + key * part.KeyStride, part.KeyStride, shape.KeyDim, resume: true);
                row = end;
            }
        }
    }
}
