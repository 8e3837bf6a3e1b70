using System.Runtime.Intrinsics;

namespace Glimmer.Kernels;

/// <summary>The fast forward pass: a list of jobs (rows of one key/value head against spans of keys) that the threads take one after another.</summary>
/// <remarks>
/// A row is one query of one head; the heads of a group and neighbouring queries form a block of rows that shares each read of a key or value.
/// Where there are too few blocks for the team, every span becomes a job of its own, leaves (m, l, o) in memory, and a second pass
/// merges them in ascending order: the same operations, so the same bits.
/// </remarks>
internal static unsafe class AttentionForward
{
    /// <summary>Rows of a block of many.</summary>
    private const int BlockRows = 48;

    /// <summary>Rows that still form one block alone.</summary>
    internal const int LargestBlock = 72;

    /// <summary>Keys of a chunk: the positions of a page.</summary>
    internal const int Chunk = KeyValueLayout.PagePositions;

    /// <summary>Floats from one row of scores to the next: off the multiples of 4 KiB, which would all fall on the same cache set.</summary>
    internal const int ScoreStride = Attention.Span + 32;

    /// <summary>Memory that partial results of spans may take, in floats; beyond it spans stay in one job.</summary>
    private const long LargestPartials = 16L << 20;

    /// <summary>Multiply-adds below which waking the team costs more than it saves: some microseconds of one core.</summary>
    private const long WorthSharing = 1 << 18;

    /// <summary>See <see cref="Attention.SparseForward"/>; <paramref name="positions"/> null is dense.</summary>
    public static void Run(
        ThreadTeam team, in AttentionShape shape, ReadOnlySpan<AttentionSequence> sequences,
        int* positions, int stride, int* counts, float* q, float* output, float* lse)
    {
        bool sparse = positions != null;
        int blocks = 0, spans = 1;
        long spanRows = 0, pairs = 0;
        foreach (AttentionSequence sequence in sequences)
        {
            if (sequence.Tokens == 0)
                continue;
            int most = 0;
            for (int t = 0; sparse && t < sequence.Tokens; t++)
            {
                int count = counts[sequence.FirstToken + t];
                if (count < 1 || count > sequence.FirstPosition + t + 1)
                    throw new ArgumentOutOfRangeException(
                        nameof(counts), count, $"Token {sequence.FirstToken + t} of the batch must choose 1 to {sequence.FirstPosition + t + 1} keys.");
                most = Math.Max(most, count);
            }

            int blocksOfHead = sparse ? sequence.Tokens * BlocksOf(shape.Group) : BlocksOf(sequence.Tokens * shape.Group);
            int spansOfSequence = SpansOf(sparse ? most : sequence.FirstPosition + sequence.Tokens);
            blocks += blocksOfHead * shape.KvHeads;
            pairs += (long)sequence.Tokens * shape.Heads * (sparse ? most : sequence.FirstPosition + sequence.Tokens);
            spanRows += (long)sequence.Tokens * shape.Heads * spansOfSequence;
            spans = Math.Max(spans, spansOfSequence);
        }

        if (blocks == 0)
            return;
        bool split = team.Threads > 1 && spans > 1 && blocks < 4 * team.Threads && spanRows * (shape.ValueDim + 2) <= LargestPartials;
        long jobs = split ? (long)blocks * spans : blocks;
        var scratch = new ThreadScratch(shape, sparse);
        long jobFloats = Aligned((jobs * sizeof(Job) + sizeof(float) - 1) / sizeof(float));
        long partialFloats = split ? Aligned(spanRows * (shape.ValueDim + 2)) : 0;
        float* memory = (float*)team.SharedScratch(0, (jobFloats + partialFloats + team.Threads * scratch.Floats) * sizeof(float));

        fixed (AttentionSequence* first = sequences)
        {
            var state = new State
            {
                Shape = shape,
                Sequences = first,
                Positions = positions,
                Stride = stride,
                Counts = counts,
                Q = q,
                Output = output,
                Lse = lse,
                Jobs = (Job*)memory,
                Partials = split ? memory + jobFloats : null,
                ThreadMemory = memory + jobFloats + partialFloats,
                Scratch = scratch,
            };
            Plan(ref state, sequences.Length, split);
            if (pairs * (shape.KeyDim + shape.ValueDim) < WorthSharing)
                Take(&state, 0, 1);
            else
                team.Run(&Take, &state);
            if (split)
            {
                state.Next = 0;
                team.Run(&Merge, &state);
            }
        }
    }

    private static long Aligned(long floats) => (floats + 15) & ~15L;

    private static int BlocksOf(int rows) => rows <= LargestBlock ? 1 : (rows + BlockRows - 1) / BlockRows;

    internal static int SpansOf(int keys) => (keys + Attention.Span - 1) / Attention.Span;

    // Blocks with the most keys come first, so that the threads finish together.
    private static void Plan(ref State state, int sequenceCount, bool split)
    {
        AttentionShape shape = state.Shape;
        int count = 0;
        long partial = 0;
        for (int s = 0; s < sequenceCount; s++)
        {
            AttentionSequence sequence = state.Sequences[s];
            int units = state.Positions == null ? 1 : sequence.Tokens;
            int unitRows = state.Positions == null ? sequence.Tokens * shape.Group : shape.Group;
            if (sequence.Tokens == 0)
                continue;
            int blocks = BlocksOf(unitRows);
            int blockRows = blocks == 1 ? unitRows : BlockRows;
            for (int unit = units - 1; unit >= 0; unit--)
            {
                for (int block = blocks - 1; block >= 0; block--)
                {
                    int from = unit * unitRows + block * blockRows;
                    int rows = Math.Min(blockRows, (unit + 1) * unitRows - from);
                    int spans = SpansOf(state.Visible(sequence, from + rows - 1));
                    for (int head = 0; head < shape.KvHeads; head++)
                    {
                        if (!split)
                        {
                            state.Jobs[count++] = new Job(s, head, from, rows, 0, spans, -1);
                            continue;
                        }

                        // The spans of a block follow one another; the first knows how many there are, for the merge.
                        for (int span = 0; span < spans; span++)
                        {
                            state.Jobs[count++] = new Job(s, head, from, rows, span, span == 0 ? spans : 0, partial);
                            partial += (long)rows * (shape.ValueDim + 2);
                        }
                    }
                }
            }
        }

        state.Count = count;
    }

    private static void Take(void* pointer, int thread, int threads)
    {
        switch (Simd.Level)
        {
            case SimdLevel.Avx512:
                AttentionBlock<Avx512Isa, Vector512<float>>.Take((State*)pointer, thread);
                break;
            case SimdLevel.Avx2:
                AttentionBlock<Avx2Isa, Vector256<float>>.Take((State*)pointer, thread);
                break;
            default:
                AttentionBlock<PortableIsa, Vector128<float>>.Take((State*)pointer, thread);
                break;
        }
    }

    private static void Merge(void* pointer, int thread, int threads)
    {
        switch (Simd.Level)
        {
            case SimdLevel.Avx512:
                AttentionBlock<Avx512Isa, Vector512<float>>.Merge((State*)pointer);
                break;
            case SimdLevel.Avx2:
                AttentionBlock<Avx2Isa, Vector256<float>>.Merge((State*)pointer);
                break;
            default:
                AttentionBlock<PortableIsa, Vector128<float>>.Merge((State*)pointer);
                break;
        }
    }

    /// <summary>Rows [FirstRow, FirstRow + Rows) of one key/value head of one sequence; a row is token * group + head of the group.</summary>
    internal readonly struct Job(int sequence, int kvHead, int firstRow, int rows, int firstSpan, int spans, long partial)
    {
        public readonly int Sequence = sequence;
        public readonly int KvHead = kvHead;
        public readonly int FirstRow = firstRow;
        public readonly int Rows = rows;
        public readonly int FirstSpan = firstSpan;

        /// <summary>Spans of the block; 0 for the later jobs of a split block.</summary>
        public readonly int Spans = spans;

        /// <summary>Where the results of this one span go, in floats from the start of the partials; -1 when the job does all spans.</summary>
        public readonly long Partial = partial;
    }

    /// <summary>Where the pieces of a thread's memory start, in floats.</summary>
    internal readonly struct ThreadScratch
    {
        public readonly long Scores;
        public readonly long SpanOutput;
        public readonly long Output;
        public readonly long Statistics;
        public readonly long Visible;
        public readonly long Keys;
        public readonly long Values;
        public readonly long Rows;
        public readonly long Floats;

        public ThreadScratch(in AttentionShape shape, bool sparse)
        {
            Scores = Aligned((long)LargestBlock * shape.KeyDim);
            SpanOutput = Scores + (long)LargestBlock * ScoreStride;
            Output = SpanOutput + Aligned((long)LargestBlock * shape.ValueDim);
            Statistics = Output + Aligned((long)LargestBlock * shape.ValueDim);
            Visible = Statistics + 4 * LargestBlock;
            Keys = Statistics + Aligned(5 * LargestBlock);
            // Copies of a chunk where the pages cannot be read as they lie: chosen keys, other element types, keys in rows.
            KeyValueLayout layout = shape.Layout;
            bool packed = layout.Type != KeyValueType.F32;
            Values = Keys + (sparse || !layout.HasPlainKeys ? (long)Chunk * shape.KeyDim : 0);
            Rows = Values + (sparse || packed ? (long)Chunk * (shape.ValueIsKeyPrefix ? shape.KeyDim : shape.ValueDim) : 0);
            Floats = Rows + (packed ? (long)Chunk * shape.KeyDim : 0);
        }
    }

    /// <summary>What all threads share.</summary>
    internal struct State
    {
        public AttentionShape Shape;
        public AttentionSequence* Sequences;
        public int* Positions;
        public int Stride;
        public int* Counts;
        public float* Q;
        public float* Output;
        public float* Lse;
        public Job* Jobs;
        public int Count;
        public int Next;
        public float* Partials;
        public float* ThreadMemory;
        public ThreadScratch Scratch;

        /// <summary>Keys that a row sees.</summary>
        public readonly int Visible(in AttentionSequence sequence, int row)
        {
            int token = row / Shape.Group;
            return Positions == null ? sequence.FirstPosition + token + 1 : Counts[sequence.FirstToken + token];
        }
    }
}
