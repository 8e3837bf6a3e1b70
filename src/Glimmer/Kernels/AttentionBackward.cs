using System.Runtime.Intrinsics;

namespace Glimmer.Kernels;

/// <summary>The fast backward pass. A part is one key/value head of one document; it runs in blocks of rows, each in two phases.</summary>
/// <remarks>
/// Phase A, by rows: recompute P and dS of the block against all its keys, finish dq. Phase B, by keys (dense) or columns (sparse): dk and dv go on
/// with the rows of the block. Where there are many parts each thread takes whole parts; otherwise the team shares the units of every phase.
/// Outputs are disjoint either way and every chain has one order, so the bits do not depend on it.
/// </remarks>
internal static unsafe class AttentionBackward
{
    /// <summary>Rows of a block for one thread.</summary>
    private const int BlockRows = 96;

    /// <summary>Rows of a unit of phase A in dense attention.</summary>
    internal const int UnitRows = 24;

    /// <summary>Columns of a unit of phase B in sparse attention.</summary>
    internal const int SliceColumns = 64;

    /// <summary>See <see cref="Attention.SparseBackward"/>; <see cref="Inputs.Positions"/> null is dense.</summary>
    public static void Run(ThreadTeam team, ReadOnlySpan<AttentionSequence> documents, in Inputs inputs)
    {
        AttentionShape shape = inputs.Shape;
        double total = 0, largest = 0;
        int longest = 0, most = 0, parts = 0;
        foreach (AttentionSequence document in documents)
        {
            if (document.FirstPosition != 0)
                throw new ArgumentOutOfRangeException(
                    nameof(documents), document.FirstPosition, "A document of the backward pass starts at position 0: all its keys are in the batch.");
            double work = 0;
            for (int t = 0; t < document.Tokens; t++)
            {
                int count = inputs.Positions == null ? t + 1 : inputs.Counts[document.FirstToken + t];
                if (count < 1 || count > t + 1)
                    throw new ArgumentOutOfRangeException(
                        nameof(inputs), count, $"Token {document.FirstToken + t} of the batch must choose 1 to {t + 1} keys.");
                work += count;
                most = Math.Max(most, count);
            }

            total += work * shape.KvHeads;
            largest = Math.Max(largest, work);
            longest = Math.Max(longest, document.Tokens);
            parts += document.Tokens == 0 ? 0 : shape.KvHeads;
        }

        if (parts == 0)
            return;
        bool whole = team.Threads == 1 || (parts >= 2 * team.Threads && largest * team.Threads <= total);
        int tokensOfBlock = Math.Max(1, (whole ? BlockRows : Math.Max(BlockRows, BlockRows / 2 * team.Threads)) / shape.Group);
        var scratch = new PartScratch(shape, tokensOfBlock * shape.Group, longest, most, inputs.Positions != null);
        long partFloats = scratch.Floats * (whole ? team.Threads : 1);
        float* memory = (float*)team.SharedScratch(0, (partFloats + scratch.ThreadFloats * team.Threads) * sizeof(float));
        fixed (AttentionSequence* first = documents)
        {
            var state = new State
            {
                Inputs = inputs,
                Documents = first,
                DocumentCount = documents.Length,
                TokensOfBlock = tokensOfBlock,
                Scratch = scratch,
                Memory = memory,
                ThreadMemory = memory + partFloats,
            };
            if (whole)
            {
                team.Run(&TakeParts, &state);
                return;
            }

            for (int d = 0; d < documents.Length; d++)
            {
                for (int head = 0; head < shape.KvHeads; head++)
                    Together(team, ref state, new Part(inputs, documents[d], head));
            }
        }
    }

    // All threads on one part.
    private static void Together(ThreadTeam team, ref State state, Part part)
    {
        fixed (State* pointer = &state)
        {
            state.Part = part;
            RunPhase(team, pointer, Phase.Prepare);
            for (int token = 0; token < part.Tokens; token += state.TokensOfBlock)
            {
                state.FirstToken = token;
                RunPhase(team, pointer, Phase.Rows);
                RunPhase(team, pointer, Phase.Keys);
            }

            RunPhase(team, pointer, Phase.Finish);
        }
    }

    private static void RunPhase(ThreadTeam team, State* state, Phase phase)
    {
        state->Phase = phase;
        state->Next = 0;
        team.Run(&TakeUnits, state);
    }

    private static void TakeParts(void* pointer, int thread, int threads)
    {
        var state = (State*)pointer;
        float* memory = state->Memory + thread * state->Scratch.Floats;
        float* threadMemory = state->ThreadMemory + thread * state->Scratch.ThreadFloats;
        int kvHeads = state->Inputs.Shape.KvHeads;
        int next;
        while ((next = Interlocked.Increment(ref state->Next) - 1) < state->DocumentCount * kvHeads)
        {
            var part = new Part(state->Inputs, state->Documents[next / kvHeads], next % kvHeads);
            RunUnits(state, part, Phase.Prepare, 0, memory, threadMemory);
            for (int token = 0; token < part.Tokens; token += state->TokensOfBlock)
            {
                RunUnits(state, part, Phase.Rows, token, memory, threadMemory);
                RunUnits(state, part, Phase.Keys, token, memory, threadMemory);
            }

            RunUnits(state, part, Phase.Finish, 0, memory, threadMemory);
        }
    }

    private static void RunUnits(State* state, in Part part, Phase phase, int firstToken, float* memory, float* threadMemory)
    {
        int units = Units(state, part, phase, firstToken);
        for (int unit = 0; unit < units; unit++)
            RunUnit(state, part, phase, firstToken, unit, memory, threadMemory);
    }

    private static void TakeUnits(void* pointer, int thread, int threads)
    {
        var state = (State*)pointer;
        float* threadMemory = state->ThreadMemory + thread * state->Scratch.ThreadFloats;
        int units = Units(state, state->Part, state->Phase, state->FirstToken);
        int next;
        while ((next = Interlocked.Increment(ref state->Next) - 1) < units)
            RunUnit(state, state->Part, state->Phase, state->FirstToken, next, state->Memory, threadMemory);
    }

    // Rows: rows of the block, or its tokens when each has its own keys. Keys: chunks of keys, or columns of dk and dv. Else: chunks of keys.
    private static int Units(State* state, in Part part, Phase phase, int firstToken)
    {
        int tokens = Math.Min(state->TokensOfBlock, part.Tokens - firstToken);
        bool sparse = part.Positions != null;
        return phase switch
        {
            Phase.Rows => sparse ? tokens : (tokens * part.Shape.Group + UnitRows - 1) / UnitRows,
            Phase.Keys => sparse ? Slices(part.Shape.KeyDim) + Slices(part.Shape.ValueDim) : KeyValueLayout.PagesFor(firstToken + tokens),
            _ => KeyValueLayout.PagesFor(part.Tokens),
        };
    }

    /// <summary>Slices of columns of a matrix in phase B of sparse attention.</summary>
    internal static int Slices(int dim) => (dim + SliceColumns - 1) / SliceColumns;

    private static void RunUnit(State* state, in Part part, Phase phase, int firstToken, int unit, float* memory, float* threadMemory)
    {
        switch (Simd.Level)
        {
            case SimdLevel.Avx512:
                RunUnit<Avx512Isa, Vector512<float>>(state, part, phase, firstToken, unit, memory, threadMemory);
                break;
            case SimdLevel.Avx2:
                RunUnit<Avx2Isa, Vector256<float>>(state, part, phase, firstToken, unit, memory, threadMemory);
                break;
            default:
                RunUnit<PortableIsa, Vector128<float>>(state, part, phase, firstToken, unit, memory, threadMemory);
                break;
        }
    }

    private static void RunUnit<I, V>(State* state, in Part part, Phase phase, int firstToken, int unit, float* memory, float* threadMemory)
        where I : struct, IVectorIsa<V>
        where V : struct
    {
        bool sparse = part.Positions != null;
        switch (phase)
        {
            case Phase.Prepare:
                AttentionBackwardRows<I, V>.Clear(part, unit);
                if (!sparse)
                    AttentionBackwardBlock<I, V>.Prepare(state, part, unit, memory);
                break;
            case Phase.Rows when sparse:
                AttentionBackwardSparse<I, V>.Rows(state, part, firstToken, unit, memory, threadMemory);
                break;
            case Phase.Rows:
                AttentionBackwardBlock<I, V>.Rows(state, part, firstToken, unit, memory, threadMemory);
                break;
            case Phase.Keys when sparse:
                AttentionBackwardSparse<I, V>.Columns(state, part, firstToken, unit, memory, threadMemory);
                break;
            case Phase.Keys:
                AttentionBackwardBlock<I, V>.Keys(state, part, firstToken, unit, memory);
                break;
            default:
                AttentionBackwardRows<I, V>.ScaleKeys(part, unit);
                break;
        }
    }

    internal enum Phase
    {
        /// <summary>Clear dk and dv; dense: lay keys and values side by side.</summary>
        Prepare,

        /// <summary>Phase A.</summary>
        Rows,

        /// <summary>Phase B.</summary>
        Keys,

        /// <summary>Multiply dk by the scale.</summary>
        Finish,
    }

    /// <summary>The arguments of the public methods.</summary>
    internal struct Inputs
    {
        public AttentionShape Shape;
        public int* Positions;
        public int Stride;
        public int* Counts;
        public float* Q;
        public float* K;
        public float* V;
        public float* Output;
        public float* Lse;
        public float* Dout;
        public float* Dq;
        public float* Dk;
        public float* Dv;
    }

    /// <summary>One key/value head of one document. Rows are token * group + head of the group; strides are in floats.</summary>
    internal readonly struct Part
    {
        public readonly AttentionShape Shape;
        public readonly int Tokens;
        public readonly int* Positions;
        public readonly int Stride;
        public readonly int* Counts;
        public readonly float* Q;
        public readonly float* K;
        public readonly float* V;
        public readonly float* Output;
        public readonly float* Lse;
        public readonly float* Dout;
        public readonly float* Dq;
        public readonly float* Dk;
        public readonly float* Dv;

        public Part(in Inputs inputs, in AttentionSequence document, int kvHead)
        {
            Shape = inputs.Shape;
            Tokens = document.Tokens;
            long token = document.FirstToken, row = token * Shape.Heads + kvHead * Shape.Group, key = token * Shape.KvHeads + kvHead;
            Positions = inputs.Positions == null ? null : inputs.Positions + token * inputs.Stride;
            Stride = inputs.Stride;
            Counts = inputs.Positions == null ? null : inputs.Counts + token;
            Q = inputs.Q + row * Shape.KeyDim;
            K = inputs.K + key * Shape.KeyDim;
            V = inputs.V + key * Shape.ValueDim;
            Output = inputs.Output + row * Shape.ValueDim;
            Lse = inputs.Lse + row;
            Dout = inputs.Dout + row * Shape.ValueDim;
            Dq = inputs.Dq + row * Shape.KeyDim;
            Dk = inputs.Dk + key * Shape.KeyDim;
            Dv = inputs.Dv + key * Shape.ValueDim;
        }

        /// <summary>Floats from one key to the next.</summary>
        public nint KeyStride => (nint)Shape.KvHeads * Shape.KeyDim;

        /// <summary>Floats from one value to the next.</summary>
        public nint ValueStride => (nint)Shape.KvHeads * Shape.ValueDim;

        /// <summary>Index of a row in the [T, H] order, counted from the part's first row.</summary>
        public long RowIndex(int row) => (long)(row / Shape.Group) * Shape.Heads + row % Shape.Group;
    }

    /// <summary>Where the pieces of a part's and of a thread's memory start, in floats.</summary>
    internal readonly struct PartScratch
    {
        public readonly int WeightStride;
        public readonly long KeyLanes;
        public readonly long ValueLanes;
        public readonly long Q;
        public readonly long Dout;
        public readonly long Weights;
        public readonly long Dscores;
        public readonly long Floats;
        public readonly long ThreadDq;
        public readonly long ThreadStatistics;
        public readonly long ThreadKeys;
        public readonly long ThreadValues;
        public readonly long ThreadRows;
        public readonly long ThreadFloats;

        public PartScratch(in AttentionShape shape, int rows, int longest, int most, bool sparse)
        {
            const int Chunk = KeyValueLayout.PagePositions;
            long positions = (long)KeyValueLayout.PagesFor(longest) * Chunk;
            WeightStride = KeyValueLayout.PagesFor(most) * Chunk + 32; // off the multiples of 4 KiB
            KeyLanes = 0;
            ValueLanes = sparse ? 0 : positions * shape.KeyDim;
            Q = ValueLanes + (sparse ? 0 : positions * shape.ValueDim);
            Dout = Q + Aligned((long)rows * shape.KeyDim);
            Weights = Dout + Aligned((long)rows * shape.ValueDim);
            Dscores = Weights + Aligned((long)rows * WeightStride);
            Floats = Dscores + Aligned((long)rows * WeightStride);

            // A thread: dq of the rows of a unit and their statistics; sparse also a chunk of gathered keys and values side by side, and one of rows.
            long unitRows = Math.Max(UnitRows, shape.Group);
            ThreadDq = 0;
            ThreadStatistics = Aligned(unitRows * shape.KeyDim);
            ThreadKeys = ThreadStatistics + Aligned(3 * unitRows);
            ThreadValues = ThreadKeys + (sparse ? (long)Chunk * shape.KeyDim : 0);
            ThreadRows = ThreadValues + (sparse ? (long)Chunk * shape.ValueDim : 0);
            ThreadFloats = ThreadRows + (sparse ? (long)Chunk * Math.Max(shape.KeyDim, shape.ValueDim) : 0);
        }

        private static long Aligned(long floats) => (floats + 15) & ~15L;
    }

    /// <summary>What all threads share.</summary>
    internal struct State
    {
        public Inputs Inputs;
        public AttentionSequence* Documents;
        public int DocumentCount;
        public int TokensOfBlock;
        public PartScratch Scratch;
        public float* Memory;
        public float* ThreadMemory;
        public Part Part;
        public Phase Phase;
        public int FirstToken;
        public int Next;
    }
}
