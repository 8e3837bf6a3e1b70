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

    /// <summary>Columns of a unit of phase B.</summary>
    private const int Columns = 64;

    /// <summary>Units of a phase: tokens of the block, columns of dk and dv, or chunks of 64 keys.</summary>
    public static int Units(State* state, in Part part, Phase phase, int firstToken) => phase switch
    {
        Phase.Rows => Math.Min(part.Tokens, firstToken + state->TokensOfBlock) - firstToken,
        Phase.Keys => Slices(part.Shape.KeyDim) + Slices(part.Shape.ValueDim),
        _ => KeyValueLayout.PagesFor(part.Tokens),
    };

    /// <summary>Runs one unit.</summary>
    public static void Run(State* state, in Part part, Phase phase, int firstToken, int unit, float* memory, float* threadMemory)
    {
        switch (phase)
        {
            case Phase.Prepare:
                Prepare(part, unit);
                break;
            case Phase.Rows:
                Rows(state, part, firstToken, unit, memory, threadMemory);
                break;
            case Phase.Keys:
                AddToKeys(state, part, firstToken, unit, memory, threadMemory);
                break;
            default:
                Finish(part, unit);
                break;
        }
    }

    private static int Slices(int dim) => (dim + Columns - 1) / Columns;

    private static void Prepare(in Part part, int chunk)
    {
        int to = Math.Min(part.Tokens, (chunk + 1) * Chunk);
        for (int key = chunk * Chunk; key < to; key++)
        {
            new Span<float>(part.Dk + key * part.KeyStride, part.Shape.KeyDim).Clear();
            new Span<float>(part.Dv + key * part.ValueStride, part.Shape.ValueDim).Clear();
        }
    }

    // Phase A for one token: P and dS of its heads against its keys, and dq.
    private static void Rows(State* state, in Part part, int firstToken, int unit, float* memory, float* threadMemory)
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
                AttentionBackwardRows<I, V>.Differentiate(weights + (long)r * stride + start, dscores + (long)r * stride + start, count, shape.Scale, lse[r], delta[r]);
            for (int i = 0; i < count; i++)
                Unsafe.CopyBlockUnaligned(keyRows + (long)i * keyDim, part.K + list[start + i] * part.KeyStride, (uint)(keyDim * sizeof(float)));
            AttentionProducts<I, V>.AgainstRows<RowsOfTerms>(dscores + start, stride, rows, keyRows, keyDim, count, dq, keyDim, keyDim, resume: true);
        }

        AttentionBackwardRows<I, V>.StoreDq(part, token * rows, rows, dq);
    }

    // Phase B: 64 columns of dk or dv, token after token. The rows of a chunk of keys are collected, go on, and are put back.
    private static void AddToKeys(State* state, in Part part, int firstToken, int unit, float* memory, float* threadMemory)
    {
        AttentionShape shape = part.Shape;
        bool isKey = unit < Slices(shape.KeyDim);
        int dim = isKey ? shape.KeyDim : shape.ValueDim;
        int column = (isKey ? unit : unit - Slices(shape.KeyDim)) * Columns, columns = Math.Min(Columns, dim - column);
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

    private static void Finish(in Part part, int chunk)
    {
        int to = Math.Min(part.Tokens, (chunk + 1) * Chunk);
        for (int key = chunk * Chunk; key < to; key++)
            AttentionBackwardRows<I, V>.Scale(part.Dk + key * part.KeyStride, part.Dk + key * part.KeyStride, part.Shape.KeyDim, part.Shape.Scale);
    }
}
