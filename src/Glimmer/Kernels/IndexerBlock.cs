using System.Runtime.CompilerServices;

namespace Glimmer.Kernels;

/// <summary>What the threads of the indexer share.</summary>
internal static unsafe class IndexerBlock
{
    /// <summary>Rows (query x index head) that share each read of a key.</summary>
    public const int Rows = 64;

    /// <summary>Neighbouring queries of one sequence.</summary>
    internal readonly struct Group(int sequence, int firstToken, int tokens, int keys, int firstUnit, float* scores, int stride)
    {
        public readonly int Sequence = sequence;
        public readonly int FirstToken = firstToken;
        public readonly int Tokens = tokens;

        /// <summary>Keys that the last query sees.</summary>
        public readonly int Keys = keys;

        /// <summary>Units of all groups before.</summary>
        public readonly int FirstUnit = firstUnit;

        public readonly float* Scores = scores;
        public readonly int Stride = stride;
    }

    /// <summary>Where the pieces of a thread's memory start, in floats.</summary>
    internal readonly struct ThreadScratch
    {
        public readonly long Sums;

        public readonly long Queries; // quantised
        public readonly long Row;
        public readonly long Floats;

        public ThreadScratch(in IndexerShape shape, int tokens)
        {
            int rows = tokens * shape.Heads;
            Sums = (long)rows * KeyValueLayout.PagePositions; // after the products
            Queries = Sums + KeyValueLayout.PagePositions;
            Row = Queries + (shape.ByteKeys ? ((IndexPages.QueryBytes(rows, shape.Dim) / sizeof(float)) + 15) & ~15L : 0);
            Floats = Row + (shape.ByteKeys ? IndexPages.Columns(shape.Dim) : 0);
        }
    }

    internal struct State
    {
        public IndexerShape Shape;
        public AttentionSequence* Sequences;
        public float* Q;
        public float* Weights;
        public int* Positions;
        public int* Counts;
        public Group* Groups;
        public int GroupCount;
        public int Units;
        public int Next;
        public float* ThreadMemory;
        public ThreadScratch Scratch;

        /// <summary>Adds a group of queries; a unit is 1,024 of its keys.</summary>
        public void Add(int sequence, int firstToken, int tokens, int keys, float* scores, int stride)
        {
            Groups[GroupCount++] = new Group(sequence, firstToken, tokens, keys, Units, scores, stride);
            Units += (keys + SparseIndexer.UnitKeys - 1) / SparseIndexer.UnitKeys;
        }
    }
}

/// <summary>One thread's share of the indexer scores on one instruction set.</summary>
internal static unsafe class IndexerBlock<I, V>
    where I : struct, IVectorIsa<V>
    where V : struct
{
    private const int Chunk = KeyValueLayout.PagePositions;

    /// <summary>Scores units until none is left.</summary>
    public static void TakeScores(IndexerBlock.State* state, int thread)
    {
        float* memory = state->ThreadMemory + thread * state->Scratch.Floats;
        int next, group = 0, quantized = -1;
        while ((next = Interlocked.Increment(ref state->Next) - 1) < state->Units)
        {
            while (group + 1 < state->GroupCount && state->Groups[group + 1].FirstUnit <= next)
                group++;
            if (state->Shape.ByteKeys && quantized != group)
            {
                quantized = group;
                Quantize(state, state->Groups + group, memory);
            }

            Score(state, state->Groups + group, (next - state->Groups[group].FirstUnit) * SparseIndexer.UnitKeys, memory);
        }
    }

    // A thread's units ascend, so a group is quantised once or twice.
    private static void Quantize(IndexerBlock.State* state, IndexerBlock.Group* group, float* memory)
    {
        IndexerShape shape = state->Shape;
        float* q = state->Q + ((long)(state->Sequences[group->Sequence].FirstToken + group->FirstToken) * shape.Heads * shape.Dim);
        IndexPages.Quantize(q, group->Tokens * shape.Heads, shape.Dim, memory + state->Scratch.Row, (byte*)(memory + state->Scratch.Queries));
    }

    private static void Score(IndexerBlock.State* state, IndexerBlock.Group* group, int firstKey, float* memory)
    {
        IndexerShape shape = state->Shape;
        AttentionSequence sequence = state->Sequences[group->Sequence];
        int rows = group->Tokens * shape.Heads;
        long firstRow = (long)(sequence.FirstToken + group->FirstToken) * shape.Heads;
        float* q = state->Q + firstRow * shape.Dim;
        float* products = memory;
        float* sums = memory + state->Scratch.Sums;
        int end = Math.Min(group->Keys, firstKey + SparseIndexer.UnitKeys);
        for (int key = firstKey; key < end; key += Chunk)
        {
            float* page = sequence.Pages[key / Chunk];
            if (shape.ByteKeys)
            {
                IndexPages.Multiply(
                    (byte*)(memory + state->Scratch.Queries), rows, shape.Dim, (byte*)page, Math.Min(Chunk, end - key), memory + state->Scratch.Row, products,
                    key + Chunk < end ? (byte*)sequence.Pages[(key / Chunk) + 1] : null);
            }
            else
            {
                int groups = Math.Min(Chunk, end - key + KeyValueLayout.Lanes - 1) / KeyValueLayout.Lanes;
                AttentionProducts<I, V>.AgainstLanes(q, shape.Dim, rows, page, shape.Dim, groups, products, Chunk);
            }

            for (int i = 0; i < group->Tokens; i++)
            {
                int visible = sequence.FirstPosition + group->FirstToken + i + 1;
                int count = Math.Min(Chunk, visible - key);
                if (count <= 0)
                    continue;
                Combine(
                    products + (long)i * shape.Heads * Chunk, shape.Heads, state->Weights + firstRow + (long)i * shape.Heads, shape.Scale, shape.Relu, sums);
                Unsafe.CopyBlockUnaligned(group->Scores + (long)i * group->Stride + key, sums, (uint)(count * sizeof(float)));
            }
        }
    }

    // sums[s] = chain over the heads of fma(w, max(product * scale, 0), sum); absent keys are computed and left out.
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void Combine(float* products, int heads, float* weights, float scale, bool relu, float* sums)
    {
        V factor = I.Broadcast(scale);
        for (int lane = 0; lane < Chunk; lane += 2 * I.Lanes)
        {
            V first = I.Zero, second = I.Zero;
            float* at = products + lane;
            for (int j = 0; j < heads; j++, at += Chunk)
            {
                V x = I.Multiply(I.Load(at), factor), y = I.Multiply(I.Load(at + I.Lanes), factor);
                if (relu)
                {
                    x = I.Relu(x);
                    y = I.Relu(y);
                }

                V weight = I.Broadcast(weights[j]);
                first = I.Fma(weight, x, first);
                second = I.Fma(weight, y, second);
            }

            I.Store(first, sums + lane);
            I.Store(second, sums + lane + I.Lanes);
        }
    }
}
