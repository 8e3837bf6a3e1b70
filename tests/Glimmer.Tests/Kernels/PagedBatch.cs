using Glimmer.Kernels;

namespace Glimmer.Tests.Kernels;

/// <summary>Random sequences with keys and values in pages, for the attention tests. Memory beyond the written positions holds NaN.</summary>
internal sealed unsafe class PagedBatch : IDisposable
{
    private readonly List<nint> _allocations = [];
    private readonly KeyValueLayout _layout;

    /// <param name="layout">Page format.</param>
    /// <param name="steps">For each sequence the position of its first token in the step and the number of its tokens.</param>
    /// <param name="seed">Seed; sequence i depends on seed and i only, and position by position, so longer ones extend shorter ones.</param>
    /// <param name="valueIsKeyPrefix">Whether values repeat the start of their keys.</param>
    public PagedBatch(KeyValueLayout layout, (int First, int Tokens)[] steps, int seed, bool valueIsKeyPrefix = false)
    {
        _layout = layout;
        Sequences = new AttentionSequence[steps.Length];
        for (int s = 0; s < steps.Length; s++)
        {
            int positions = steps[s].First + steps[s].Tokens;
            int pageCount = KeyValueLayout.PagesFor(positions) + 1;
            float** pages = (float**)Allocate(pageCount * sizeof(float*));
            for (int p = 0; p < pageCount; p++)
            {
                pages[p] = (float*)Allocate(layout.PageFloats * sizeof(float));
                new Span<float>(pages[p], layout.PageFloats).Fill(float.NaN);
            }

            float* k = (float*)Allocate(layout.KeyDim * sizeof(float)), v = (float*)Allocate((layout.ValueDim + 1) * sizeof(float));
            for (int position = 0; position < positions; position++)
            {
                for (int head = 0; head < layout.KvHeads; head++)
                {
                    var random = new Random(HashCode(seed, s, position, head));
                    for (int d = 0; d < layout.KeyDim; d++)
                        k[d] = random.NextSingle() * 2 - 1;
                    for (int d = 0; d < layout.ValueDim; d++)
                        v[d] = valueIsKeyPrefix ? k[d] : random.NextSingle() * 2 - 1;
                    Write(layout, pages[position / 64], head, position % 64, k, v);
                }
            }

            Sequences[s] = new AttentionSequence(Tokens, steps[s].Tokens, steps[s].First, pages);
            Tokens += steps[s].Tokens;
        }
    }

    public AttentionSequence[] Sequences { get; }

    public int Tokens { get; }

    /// <summary>The same sequences with the numbers that the pages stand for in F32 pages; valid until this batch is disposed.</summary>
    public AttentionSequence[] Plain()
    {
        KeyValueLayout plain = _layout with { Type = KeyValueType.F32 };
        var result = new AttentionSequence[Sequences.Length];
        float* k = (float*)Allocate(plain.KeyDim * sizeof(float)), v = (float*)Allocate((plain.ValueDim + 1) * sizeof(float));
        for (int s = 0; s < result.Length; s++)
        {
            AttentionSequence sequence = Sequences[s];
            int positions = sequence.FirstPosition + sequence.Tokens;
            int pageCount = KeyValueLayout.PagesFor(positions);
            float** pages = (float**)Allocate((pageCount + 1) * sizeof(float*));
            for (int p = 0; p < pageCount; p++)
            {
                pages[p] = (float*)Allocate(plain.PageFloats * sizeof(float));
                new Span<float>(pages[p], plain.PageFloats).Fill(float.NaN);
            }

            for (int position = 0; position < positions; position++)
            {
                for (int head = 0; head < plain.KvHeads; head++)
                {
                    byte* page = (byte*)sequence.Pages[position / 64];
                    PackedPages.ReadKey(_layout, page, head, position % 64, k);
                    PackedPages.ReadValue(_layout, page, head, position % 64, v);
                    Write(plain, pages[position / 64], head, position % 64, k, v);
                }
            }

            result[s] = new AttentionSequence(sequence.FirstToken, sequence.Tokens, sequence.FirstPosition, pages);
        }

        return result;
    }

    /// <summary>Random queries: a row depends on seed, sequence and position only.</summary>
    public float[] Queries(int width, int seed, float size = 2f)
    {
        var q = new float[Tokens * width];
        for (int s = 0; s < Sequences.Length; s++)
        {
            for (int t = 0; t < Sequences[s].Tokens; t++)
            {
                var random = new Random(HashCode(seed, s, Sequences[s].FirstPosition + t, -1));
                foreach (ref float value in q.AsSpan((Sequences[s].FirstToken + t) * width, width))
                    value = (random.NextSingle() * 2 - 1) * size;
            }
        }

        return q;
    }

    /// <summary>The same pages under another step.</summary>
    public AttentionSequence Step(
        int sequence, int firstToken, int tokens, int firstPosition) => new(firstToken, tokens, firstPosition, Sequences[sequence].Pages);

    public void Dispose()
    {
        foreach (nint allocation in _allocations)
            System.Runtime.InteropServices.NativeMemory.AlignedFree((void*)allocation);
        _allocations.Clear();
    }

    private static void Write(in KeyValueLayout layout, float* page, int head, int slot, float* k, float* v)
    {
        if (layout.Type != KeyValueType.F32)
        {
            PackedPages.Write(layout, (byte*)page, head, slot, k, v);
            return;
        }

        layout.WriteKey(page, head, slot, k);
        layout.WriteValue(page, head, slot, v);
    }

    private void* Allocate(int bytes)
    {
        void* memory = System.Runtime.InteropServices.NativeMemory.AlignedAlloc((nuint)bytes, 64);
        _allocations.Add((nint)memory);
        return memory;
    }

    private static int HashCode(int a, int b, int c, int d) => unchecked((((a * 31 + b) * 1000003 + c) * 31 + d) * 7919);
}
