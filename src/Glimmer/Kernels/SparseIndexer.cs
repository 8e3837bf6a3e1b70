using System.Runtime.Intrinsics;

namespace Glimmer.Kernels;

/// <summary>Sizes and options of a DSA indexer.</summary>
/// <param name="Heads">Index heads, Hi; <c>index_n_heads</c>.</param>
/// <param name="Dim">Width of an index head, Di; <c>index_head_dim</c>.</param>
/// <param name="TopK">Keys to choose; <c>index_topk</c>.</param>
/// <param name="Scale">Factor of each head's product, Di^-0.5.</param>
/// <param name="Relu">Whether negative products count as 0.</param>
/// <param name="ByteKeys">Whether index keys lie in <see cref="IndexPages"/>, as 8-bit integers.</param>
internal readonly record struct IndexerShape(int Heads, int Dim, int TopK, float Scale, bool Relu = true, bool ByteKeys = false)
{
    /// <summary>The page format of fp32 index keys: one head, no values.</summary>
    public KeyValueLayout Layout => new(1, Dim, 0);

    /// <summary>Throws when a size is impossible.</summary>
    public void Check()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(Heads, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(Dim, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(TopK, 1);
    }
}

/// <summary>The lightning indexer of DSA: scores every visible key for a query and chooses the best.</summary>
/// <remarks>
/// <c>I(t, s) = sum over index heads j of w[t, j] * max(q[t, j] . k[s] * scale, 0)</c>: the product is a chain along the head, its scaling one rounding, the
/// sum a chain of fused multiply-adds over the heads from +0. Against 8-bit keys the product is that of <see cref="IndexPages"/>. The <see cref="IndexerShape.TopK"/> largest are chosen by <see cref="TopK"/>. DeepSeek-V3.2
/// technical report, eq. 1.
/// </remarks>
internal static unsafe partial class SparseIndexer
{
    /// <summary>Keys of a scoring unit.</summary>
    internal const int UnitKeys = 1024;

    /// <summary>Scores held at a time, in floats: queries are taken in blocks so that nothing of the size [T, T] exists.</summary>
    private const long BlockScores = 4L << 20;

    /// <summary>Chooses the keys of every token.</summary>
    /// <param name="team">Threads.</param>
    /// <param name="shape">Sizes and options.</param>
    /// <param name="sequences">The sequences; their pages hold index keys, those of this step included.</param>
    /// <param name="q">Index queries, [T, Hi, Di].</param>
    /// <param name="weights">Head weights, [T, Hi].</param>
    /// <param name="positions">Receives the chosen positions, ascending, [T, TopK]; the rest of a row is left alone.</param>
    /// <param name="counts">Receives the number of chosen keys, [T].</param>
    /// <exception cref="ArithmeticException">A score is NaN.</exception>
    public static void Choose(
        ThreadTeam team, in IndexerShape shape, ReadOnlySpan<AttentionSequence> sequences, float* q, float* weights, int* positions, int* counts) =>
        Run(team, shape, sequences, q, weights, positions, counts, null, 0);

    /// <summary>Scores of every token against the keys it sees: for tests and for the indexer's loss on short documents.</summary>
    /// <param name="team">Threads.</param>
    /// <param name="shape">Sizes and options.</param>
    /// <param name="sequences">The sequences; their pages hold index keys, those of this step included.</param>
    /// <param name="q">Index queries, [T, Hi, Di].</param>
    /// <param name="weights">Head weights, [T, Hi].</param>
    /// <param name="scores">Receives the scores, [T, stride]; elements of keys that a token does not see are left alone.</param>
    /// <param name="stride">Row length of <paramref name="scores"/>.</param>
    public static void Scores(
        ThreadTeam team, in IndexerShape shape, ReadOnlySpan<AttentionSequence> sequences, float* q, float* weights, float* scores, int stride) =>
        Run(team, shape, sequences, q, weights, null, null, scores, stride);

    private static void Run(
        ThreadTeam team, in IndexerShape shape, ReadOnlySpan<AttentionSequence> sequences,
        float* q, float* weights, int* positions, int* counts, float* scores, int stride)
    {
        shape.Check();
        int groupTokens = Math.Max(1, IndexerBlock.Rows / shape.Heads), groups = 0, mostKeys = 0;
        foreach (AttentionSequence sequence in sequences)
        {
            groups += (sequence.Tokens + groupTokens - 1) / groupTokens;
            mostKeys = Math.Max(mostKeys, sequence.FirstPosition + sequence.Tokens);
            if (scores != null && sequence.FirstPosition + sequence.Tokens > stride)
                throw new ArgumentOutOfRangeException(nameof(stride), stride, $"A row of scores must hold {sequence.FirstPosition + sequence.Tokens} keys.");
        }

        long groupFloats = ((long)groups * sizeof(IndexerBlock.Group) / sizeof(float) + 15) & ~15L;
        long blockFloats = scores != null ? 0 : Math.Max(BlockScores, (long)groupTokens * mostKeys);
        var scratch = new IndexerBlock.ThreadScratch(shape, groupTokens);
        float* memory = (float*)team.SharedScratch(0, (groupFloats + blockFloats + team.Threads * scratch.Floats) * sizeof(float));
        fixed (AttentionSequence* first = sequences)
        {
            var state = new IndexerBlock.State
            {
                Shape = shape,
                Sequences = first,
                Q = q,
                Weights = weights,
                Positions = positions,
                Counts = counts,
                Groups = (IndexerBlock.Group*)memory,
                ThreadMemory = memory + groupFloats + blockFloats,
                Scratch = scratch,
            };
            float* block = memory + groupFloats;
            long used = 0;
            for (int s = 0; s < sequences.Length; s++)
            {
                for (int token = 0; token < first[s].Tokens; token += groupTokens)
                {
                    int tokens = Math.Min(groupTokens, first[s].Tokens - token);
                    int keys = first[s].FirstPosition + token + tokens;
                    if (scores != null)
                    {
                        state.Add(s, token, tokens, keys, scores + (long)(first[s].FirstToken + token) * stride, stride);
                        continue;
                    }

                    if (keys <= shape.TopK)
                    {
                        ChooseAll(state, first[s], token, tokens);
                        continue;
                    }

                    if (used + (long)tokens * keys > blockFloats)
                    {
                        RunBlock(team, ref state);
                        used = 0;
                    }

                    state.Add(s, token, tokens, keys, block + used, keys);
                    used += (long)tokens * keys;
                }
            }

            RunBlock(team, ref state);
        }
    }

    // As many keys as may be chosen, or fewer: the list is all of them.
    private static void ChooseAll(in IndexerBlock.State state, in AttentionSequence sequence, int token, int tokens)
    {
        for (int t = token; t < token + tokens; t++)
        {
            int keys = sequence.FirstPosition + t + 1;
            long row = sequence.FirstToken + t;
            state.Counts[row] = keys;
            for (int i = 0; i < keys; i++)
                state.Positions[row * state.Shape.TopK + i] = i;
        }
    }

    private static void RunBlock(ThreadTeam team, ref IndexerBlock.State state)
    {
        if (state.GroupCount == 0)
            return;
        fixed (IndexerBlock.State* pointer = &state)
        {
            pointer->Next = 0;
            team.Run(&TakeScores, pointer);
            if (pointer->Positions != null)
            {
                pointer->Next = 0;
                team.Run(&TakeChoices, pointer);
            }
        }

        state.GroupCount = 0;
        state.Units = 0;
    }

    private static void TakeScores(void* pointer, int thread, int threads)
    {
        var state = (IndexerBlock.State*)pointer;
        switch (Simd.Level)
        {
            case SimdLevel.Avx512:
                IndexerBlock<Avx512Isa, Vector512<float>>.TakeScores(state, thread);
                break;
            case SimdLevel.Avx2:
                IndexerBlock<Avx2Isa, Vector256<float>>.TakeScores(state, thread);
                break;
            default:
                IndexerBlock<PortableIsa, Vector128<float>>.TakeScores(state, thread);
                break;
        }
    }

    private static void TakeChoices(void* pointer, int thread, int threads)
    {
        var state = (IndexerBlock.State*)pointer;
        int next;
        while ((next = Interlocked.Increment(ref state->Next) - 1) < state->GroupCount)
        {
            IndexerBlock.Group* group = state->Groups + next;
            AttentionSequence sequence = state->Sequences[group->Sequence];
            for (int i = 0; i < group->Tokens; i++)
            {
                int keys = sequence.FirstPosition + group->FirstToken + i + 1;
                long row = sequence.FirstToken + group->FirstToken + i;
                int count = Math.Min(keys, state->Shape.TopK);
                state->Counts[row] = count;
                try
                {
                    Kernels.TopK.Select(new ReadOnlySpan<float>(
                        group->Scores + (long)i * group->Stride, keys), new Span<int>(state->Positions + row * state->Shape.TopK, count));
                }
                catch (ArithmeticException error)
                {
                    throw new ArithmeticException($"The indexer of token {row} of the batch cannot choose: {error.Message}", error);
                }
            }
        }
    }
}
