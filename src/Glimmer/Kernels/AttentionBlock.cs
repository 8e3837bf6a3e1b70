using System.Runtime.CompilerServices;
using Job = Glimmer.Kernels.AttentionForward.Job;
using State = Glimmer.Kernels.AttentionForward.State;

namespace Glimmer.Kernels;

/// <summary>One thread's share of the forward pass on one instruction set.</summary>
/// <remarks>Rows of a block see more keys the later they come, so the rows without keys in a chunk are the first ones.</remarks>
internal static unsafe class AttentionBlock<I, V>
    where I : struct, IVectorIsa<V>
    where V : struct
{
    private const int Chunk = AttentionForward.Chunk;
    private const int ScoreStride = AttentionForward.ScoreStride;

    /// <summary>
    /// Blocks of few rows wait for memory, so they ask for the next page while they work on one; for many rows it would only cost instructions.
    /// </summary>
    private const int PrefetchRows = 24;

    /// <summary>Runs jobs until none is left.</summary>
    public static void Take(State* state, int thread)
    {
        float* memory = state->ThreadMemory + thread * state->Scratch.Floats;
        int job;
        while ((job = Interlocked.Increment(ref state->Next) - 1) < state->Count)
            Run(state, state->Jobs + job, memory);
    }

    /// <summary>Merges the spans of split blocks until none is left.</summary>
    public static void Merge(State* state)
    {
        int next;
        while ((next = Interlocked.Increment(ref state->Next) - 1) < state->Count)
        {
            Job* job = state->Jobs + next;
            if (job->Spans != 0)
                MergeBlock(state, job);
        }
    }

    private static void Run(State* state, Job* job, float* memory)
    {
        AttentionShape shape = state->Shape;
        AttentionSequence sequence = state->Sequences[job->Sequence];
        int rows = job->Rows;
        float* scores = memory + state->Scratch.Scores;
        float* output = memory + state->Scratch.Output;
        float* maxima = memory + state->Scratch.Statistics;
        float* sums = maxima + AttentionForward.LargestBlock;
        int* visible = (int*)(memory + state->Scratch.Visible);
        for (int r = 0; r < rows; r++)
        {
            visible[r] = state->Visible(sequence, job->FirstRow + r);
            float* query = state->Q + RowIndex(shape, sequence, job, r) * shape.KeyDim;
            Unsafe.CopyBlockUnaligned(memory + (long)r * shape.KeyDim, query, (uint)(shape.KeyDim * sizeof(float)));
        }

        bool whole = job->Partial < 0;
        int end = whole ? job->Spans : job->FirstSpan + 1;
        for (int span = job->FirstSpan; span < end; span++)
        {
            int start = span * Attention.Span;
            float* m = whole ? maxima + (span == 0 ? 0 : 2 * AttentionForward.LargestBlock) : state->Partials + job->Partial;
            float* l = whole ? m + AttentionForward.LargestBlock : m + rows;
            float* o = !whole ? l + rows : span == 0 ? output : memory + state->Scratch.SpanOutput;
            int first = 0;
            while (visible[first] <= start)
                first++;
            ScoreSpan(state, sequence, job, memory, visible, first, start);
            for (int r = first; r < rows; r++)
                m[r] = SpanSoftmax<I, V>.Run(scores + (long)r * ScoreStride, Math.Min(Attention.Span, visible[r] - start), shape.Scale, out l[r]);
            WeighSpan(state, sequence, job, memory, visible, first, start, o);
            for (int r = first; whole && span > 0 && r < rows; r++)
                SpanSoftmax<I, V>.Merge(
                    m[r], l[r], o + (long)r * shape.ValueDim, ref maxima[r], ref sums[r], output + (long)r * shape.ValueDim, shape.ValueDim);
        }

        for (int r = 0; whole && r < rows; r++)
            Finish(state, sequence, job, r, maxima[r], sums[r], output + (long)r * shape.ValueDim);
    }

    // Products of the block's rows with the keys [start, start + 1024), where a row sees any.
    private static void ScoreSpan(State* state, in AttentionSequence sequence, Job* job, float* memory, int* visible, int first, int start)
    {
        int rows = job->Rows, dim = state->Shape.KeyDim;
        int end = Math.Min(start + Attention.Span, visible[rows - 1]);
        float* scores = memory + state->Scratch.Scores;
        bool prefetch = rows <= PrefetchRows && state->Shape.Layout.HasPlainKeys && List(state, sequence, job) == null;
        for (int key = start; key < end; key += Chunk)
        {
            while (visible[first] <= key)
                first++;
            float* keys = Keys(state, sequence, job, memory, key, Math.Min(Chunk, end - key), key + Chunk < end);
            float* next = !prefetch ? null
                : key + Chunk < end ? PageKeys(state, sequence, job, key + Chunk)
                : PageValues(state, sequence, job, start);
            for (int r = first; r < rows; r += ProductTile.Rows)
            {
                int count = Math.Min(ProductTile.Rows, rows - r);
                int groups = Math.Min(Chunk / KeyValueLayout.Lanes, (visible[r + count - 1] - key + KeyValueLayout.Lanes - 1) / KeyValueLayout.Lanes);
                AttentionProducts<I, V>.AgainstLanes(
                    memory + (long)r * dim,
                    dim,
                    count,
                    keys,
                    dim,
                    groups,
                    scores + (long)r * ScoreStride + (key - start),
                    ScoreStride,
                    r == first ? next : null);
            }
        }
    }

    // o[row] = chain over the keys of the span.
    private static void WeighSpan(State* state, in AttentionSequence sequence, Job* job, float* memory, int* visible, int first, int start, float* o)
    {
        int rows = job->Rows, dim = state->Shape.ValueDim;
        int end = Math.Min(start + Attention.Span, visible[rows - 1]);
        float* scores = memory + state->Scratch.Scores;
        KeyValueLayout layout = state->Shape.Layout;
        bool prefetch = rows <= PrefetchRows && layout.Type == KeyValueType.F32 && List(state, sequence, job) == null;
        for (int key = start; key < end; key += Chunk)
        {
            while (visible[first] <= key)
                first++;
            float* values = Values(state, sequence, job, memory, key, Math.Min(Chunk, end - key), key + Chunk < end, out int stride);
            float* next = !prefetch ? null
                : key + Chunk < end ? PageValues(state, sequence, job, key + Chunk)
                : layout.HasPlainKeys && key + Chunk < visible[rows - 1] ? PageKeys(state, sequence, job, key + Chunk)
                : null;
            AttentionProducts<I, V>.AgainstVisibleRows(
                scores + (long)first * ScoreStride + (key - start),
                ScoreStride,
                rows - first,
                visible + first,
                key,
                Chunk,
                values,
                stride,
                o + (long)first * dim,
                dim,
                key > start,
                next);
        }
    }

    private static void MergeBlock(State* state, Job* job)
    {
        AttentionShape shape = state->Shape;
        AttentionSequence sequence = state->Sequences[job->Sequence];
        int rows = job->Rows;
        long size = (long)rows * (shape.ValueDim + 2);
        float* first = state->Partials + job->Partial;
        for (int r = 0; r < rows; r++)
        {
            int spans = AttentionForward.SpansOf(state->Visible(sequence, job->FirstRow + r));
            float* output = first + 2 * rows + (long)r * shape.ValueDim;
            for (int span = 1; span < spans; span++)
            {
                float* partial = first + span * size;
                SpanSoftmax<I, V>.Merge(
                    partial[r], partial[rows + r], partial + 2 * rows + (long)r * shape.ValueDim, ref first[r], ref first[rows + r], output, shape.ValueDim);
            }

            Finish(state, sequence, job, r, first[r], first[rows + r], output);
        }
    }

    private static void Finish(State* state, in AttentionSequence sequence, Job* job, int row, float maximum, float sum, float* output)
    {
        long index = RowIndex(state->Shape, sequence, job, row);
        int dim = state->Shape.ValueDim;
        SpanSoftmax<I, V>.Finish(maximum, sum, output, dim, state->Output + index * dim, state->Lse == null ? null : state->Lse + index);
    }

    // Index of a row in [T, H].
    private static long RowIndex(in AttentionShape shape, in AttentionSequence sequence, Job* job, int row)
    {
        int token = (job->FirstRow + row) / shape.Group, head = (job->FirstRow + row) % shape.Group;
        return (long)(sequence.FirstToken + token) * shape.Heads + job->KvHead * shape.Group + head;
    }

    // The chosen positions of the block's token, or null when they are simply 0..p.
    private static int* List(State* state, in AttentionSequence sequence, Job* job)
    {
        if (state->Positions == null)
            return null;
        int token = job->FirstRow / state->Shape.Group;
        if (state->Counts[sequence.FirstToken + token] == sequence.FirstPosition + token + 1)
            return null;
        return state->Positions + (long)(sequence.FirstToken + token) * state->Stride;
    }

    // The keys of a chunk side by side: where they lie, or a copy. More: another chunk follows.
    private static float* Keys(State* state, in AttentionSequence sequence, Job* job, float* memory, int start, int count, bool more)
    {
        KeyValueLayout layout = state->Shape.Layout;
        int* list = List(state, sequence, job);
        if (list == null && layout.HasPlainKeys)
            return PageKeys(state, sequence, job, start);
        float* target = memory + state->Scratch.Keys;
        float* rows = memory + state->Scratch.Rows;
        if (list == null)
        {
            float* page = sequence.Pages[start / Chunk];
            nint ahead = more ? Ahead(sequence, start) : 0;
            if (!layout.ValueIsKeyPrefix)
            {
                PackedPages.ReadKeys(layout, (byte*)page, job->KvHead, (count + KeyValueLayout.Lanes - 1) / KeyValueLayout.Lanes, target, ahead);
                return target;
            }

            if (layout.Type == KeyValueType.F32)
                rows = page + layout.KeyOffset(job->KvHead);
            else
                PackedPages.ReadRows(layout, (byte*)page, job->KvHead, count, rows, ahead);
            SideBySide.WriteStrided(rows, layout.KeyDim, count, layout.KeyDim, target);
            return target;
        }

        for (int i = 0; i < count; i += KeyValueLayout.Lanes)
        {
            int lanes = Math.Min(KeyValueLayout.Lanes, count - i);
            GatherGroup(sequence, layout, job->KvHead, list + start + i, lanes, rows, target + (long)i * layout.KeyDim);
        }

        return target;
    }

    // Bytes from a page to the next one of the sequence.
    private static nint Ahead(in AttentionSequence sequence, int start) => (nint)(sequence.Pages[(start / Chunk) + 1] - sequence.Pages[start / Chunk]) * sizeof(float);

    private static float* PageKeys(State* state, in AttentionSequence sequence, Job* job, int start) =>
        sequence.Pages[start / Chunk] + state->Shape.Layout.KeyOffset(job->KvHead);

    private static float* PageValues(State* state, in AttentionSequence sequence, Job* job, int start) =>
        sequence.Pages[start / Chunk] + state->Shape.Layout.ValueOffset(job->KvHead);

    // Up to 16 chosen keys, side by side as in a page; absent lanes keep what they held, and nobody reads their products.
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void GatherGroup(in AttentionSequence sequence, in KeyValueLayout layout, int head, int* list, int lanes, float* copies, float* target)
    {
        float** rows = stackalloc float*[KeyValueLayout.Lanes];
        for (int lane = 0; lane < lanes; lane++)
        {
            float* page = sequence.Pages[list[lane] / Chunk];
            int slot = list[lane] % Chunk;
            if (layout.Type != KeyValueType.F32)
            {
                rows[lane] = copies + lane * layout.KeyDim;
                PackedPages.ReadKey(layout, (byte*)page, head, slot, rows[lane]);
                continue;
            }

            rows[lane] = layout.KeyLane(page, head, slot);
            if (!layout.ValueIsKeyPrefix)
            {
                for (int d = 0; d < layout.KeyDim; d++)
                    target[d * KeyValueLayout.Lanes + lane] = rows[lane][d * KeyValueLayout.Lanes];
            }
        }

        if (!layout.HasPlainKeys)
            SideBySide.Write(rows, lanes, layout.KeyDim, target);
    }

    // The values of a chunk in rows: where they lie, or a copy. More: another chunk follows.
    private static float* Values(State* state, in AttentionSequence sequence, Job* job, float* memory, int start, int count, bool more, out int stride)
    {
        KeyValueLayout layout = state->Shape.Layout;
        int* list = List(state, sequence, job);
        stride = layout.ValueStride;
        if (list == null && layout.Type == KeyValueType.F32)
            return PageValues(state, sequence, job, start);
        float* target = memory + state->Scratch.Values;
        if (list == null)
        {
            PackedPages.ReadRows(layout, (byte*)sequence.Pages[start / Chunk], job->KvHead, count, target, more ? Ahead(sequence, start) : 0);
            return target;
        }

        stride = layout.ValueDim;
        for (int i = 0; i < count; i++)
        {
            float* page = sequence.Pages[list[start + i] / Chunk];
            int slot = list[start + i] % Chunk;
            if (layout.Type == KeyValueType.F32)
                layout.ReadValue(page, job->KvHead, slot, target + (long)i * stride);
            else
                PackedPages.ReadValue(layout, (byte*)page, job->KvHead, slot, target + (long)i * stride);
        }

        return target;
    }
}
