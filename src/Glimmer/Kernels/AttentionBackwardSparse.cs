using System.Runtime.CompilerServices;
using static Glimmer.Kernels.AttentionBackward;

namespace Glimmer.Kernels;

/// <summary>The units of backward attention over chosen keys on one instruction set.</summary>
/// <remarks>Phase B is split by columns, not by keys: each unit walks the tokens of the block in order and adds to the rows of their keys.</remarks>
internal static unsafe class AttentionBackwardSparse<I, V>
    where I : struct, IVectorIsa<V>
    where V : struct
{
    private const int Chunk = KeyValueLayout.PagePositions;
    private const int Lanes = KeyValueLayout.Lanes;

    /// <summary>Phase A for one token: P and dS of its heads against its keys, and dq.</summary>
    public static void Rows(State* state, in Part part, int firstToken, int unit, float* memory, float* threadMemory)
    {
        AttentionShape shape = part.Shape;
        int keyDim = shape.KeyDim, valueDim = shape.ValueDim, rows = shape.Group, token = firstToken + unit;
        int inBlock = unit * rows, stride = state->Scratch.WeightStride;
        float* q = memory + state->Scratch.Q + (long)inBlock * keyDim;
        float* dout = memory + state->Scratch.Dout + (long)inBlock * valueDim;
        float* weights = memory + state->Scratch.Weights + (long)inBlock * stride;
        float* dscores = memory + state->Scratch.Dscores + (long)inBlock * stride;
        float* dq = threadMemory + state->Scratch.ThreadDq;
        float* delta = threadMemory + state->Scratch.ThreadStatistics;
        float* lse = delta + rows;
        float* keyLanes = threadMemory + state->Scratch.ThreadKeys;
        float* valueLanes = threadMemory + state->Scratch.ThreadValues;
        float* keyRows = threadMemory + state->Scratch.ThreadRows;
        AttentionBackwardRows<I, V>.Load(part, token * rows, rows, q, dout, delta, lse);
        new Span<float>(dq, rows * keyDim).Clear();
        int* list = part.Positions + (long)token * part.Stride;
        for (int start = 0; start < part.Counts[token]; start += Chunk)
        {
            int count = Math.Min(Chunk, part.Counts[token] - start), groups = (count + Lanes - 1) / Lanes;
            SideBySide.WriteListed(part.K, part.KeyStride, list + start, count, keyDim, keyLanes);
            SideBySide.WriteListed(part.V, part.ValueStride, list + start, count, valueDim, valueLanes);
            AttentionProducts<I, V>.AgainstLanes(q, keyDim, rows, keyLanes, keyDim, groups, weights + start, stride);
            AttentionProducts<I, V>.AgainstLanes(dout, valueDim, rows, valueLanes, valueDim, groups, dscores + start, stride);
            for (int r = 0; r < rows; r++)
                AttentionBackwardRows<I, V>.Differentiate(
                    weights + (long)r * stride + start, dscores + (long)r * stride + start, count, shape.Scale, lse[r], delta[r]);
            for (int i = 0; i < count; i++)
                Unsafe.CopyBlockUnaligned(keyRows + (long)i * keyDim, part.K + list[start + i] * part.KeyStride, (uint)(keyDim * sizeof(float)));
            AttentionProducts<I, V>.AgainstRows<RowsOfTerms>(dscores + start, stride, rows, keyRows, keyDim, count, dq, keyDim, keyDim, resume: true);
        }

        AttentionBackwardRows<I, V>.StoreDq(part, token * rows, rows, dq);
    }

    /// <summary>Phase B: 64 columns of dk or dv, token after token. The rows of a chunk of keys are collected, go on, and are put back.</summary>
    public static void Columns(State* state, in Part part, int firstToken, int unit, float* memory, float* threadMemory)
    {
        AttentionShape shape = part.Shape;
        bool isKey = unit < Slices(shape.KeyDim);
        int dim = isKey ? shape.KeyDim : shape.ValueDim;
        int column = (isKey ? unit : unit - Slices(shape.KeyDim)) * SliceColumns, columns = Math.Min(SliceColumns, dim - column);
        nint targetStride = isKey ? part.KeyStride : part.ValueStride;
        float* target = (isKey ? part.Dk : part.Dv) + column;
        float* right = memory + (isKey ? state->Scratch.Q : state->Scratch.Dout) + column;
        float* left = memory + (isKey ? state->Scratch.Dscores : state->Scratch.Weights);
        float* sums = threadMemory + state->Scratch.ThreadRows;
        int stride = state->Scratch.WeightStride;
        int endToken = Math.Min(part.Tokens, firstToken + state->TokensOfBlock);
        for (int token = firstToken; token < endToken; token++)
        {
            int* list = part.Positions + (long)token * part.Stride;
            long inBlock = (long)(token - firstToken) * shape.Group;
            for (int start = 0; start < part.Counts[token]; start += Chunk)
            {
                int count = Math.Min(Chunk, part.Counts[token] - start);
                for (int i = 0; i < count; i++)
                    Unsafe.CopyBlockUnaligned(sums + (long)i * columns, target + list[start + i] * targetStride, (uint)(columns * sizeof(float)));
                AttentionProducts<I, V>.AgainstRows<TermsOfRows>(
                    left + inBlock * stride + start, stride, count, right + inBlock * dim, dim, shape.Group, sums, columns, columns, resume: true);
                for (int i = 0; i < count; i++)
                    Unsafe.CopyBlockUnaligned(target + list[start + i] * targetStride, sums + (long)i * columns, (uint)(columns * sizeof(float)));
            }
        }
    }
}
