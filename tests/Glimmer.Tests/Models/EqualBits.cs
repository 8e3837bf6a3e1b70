using System.Runtime.InteropServices;
using Glimmer.Kernels;
using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Tensors;

namespace Glimmer.Tests.Models;

/// <summary>Runs a model in many ways that must all give the bits of one sequence computed alone.</summary>
internal static class EqualBits
{
    /// <summary>Compares batch sizes, chunkings, thread counts, packing and the tape.</summary>
    public static void Check(CausalLm model, int[] lengths, int maxBatch = 17, ActivationType activations = ActivationType.F32)
    {
        using var one = new Compute(1) { Activations = activations };
        int[][] sequences = [.. Enumerable.Range(0, maxBatch).Select(i => Tokens(model, lengths[i % lengths.Length], seed: i))];
        float[][] alone = [.. sequences.Select(tokens => Whole(model, one, [tokens], Tape.None)[0])];

        foreach (int threads in (ReadOnlySpan<int>)[1, 2, 3])
        {
            using var c = new Compute(threads) { Activations = activations };
            foreach (int count in (ReadOnlySpan<int>)[1, 3, 8, 17])
            {
                if (count <= maxBatch && (threads == 2 || count == 3))
                    AssertAll(alone, Whole(model, c, sequences[..count], Tape.None), $"{count} documents, {threads} threads");
            }
        }

        using var two = new Compute(2) { Activations = activations };
        AssertAll(alone, Whole(model, two, sequences[..3], Tape.Recording), "packed with the tape on");
        foreach (int chunk in (ReadOnlySpan<int>)[1, 7, 64, 4096])
            AssertAll(alone, Chunked(model, two, sequences[..Math.Min(8, maxBatch)], chunk), $"chunks of {chunk}");
        if (model.NextToken is not null)
            CheckNextToken(model, sequences[..3]);
    }

    /// <summary>Compares batches, chunks and threads over caches of a type with a sequence that is computed alone and whole over such a cache.</summary>
    public static void CheckCache(CausalLm model, KeyValueType type, int[] lengths)
    {
        model.CacheType = type;
        using var one = new Compute(1);
        int[][] sequences = [.. lengths.Select((length, i) => Tokens(model, length, seed: i))];
        float[][] alone = [.. sequences.Select(tokens => Chunked(model, one, [tokens], 4096)[0])];
        foreach (int threads in (ReadOnlySpan<int>)[1, 2, 3])
        {
            using var c = new Compute(threads);
            foreach (int chunk in (ReadOnlySpan<int>)[1, 7, 64, 4096])
            {
                if (chunk == 7 || threads == 2)
                    AssertAll(alone, Chunked(model, c, sequences, chunk), $"{type} pages, chunks of {chunk}, {threads} threads");
            }
        }
    }

    // The MTP layer: states of a sequence alone, packed with others, on a tape, and through a cache in two parts.
    private static void CheckNextToken(CausalLm model, int[][] sequences)
    {
        using var c = new Compute(2);
        float[][] alone = [.. sequences.Select(tokens => NextToken(model, c, [tokens], null)[0])];
        AssertAll(alone, NextToken(model, c, sequences, null), "MTP packed");
        AssertAll(alone, NextToken(model, c, sequences, new Glimmer.Tensors.Tape()), "MTP packed, with the tape on");
        using var cache = new KeyValueCache(model.CacheSlots);
        for (int i = 0; i < sequences.Length; i++)
        {
            using CachedSequence cached = cache.NewSequence();
            var states = new List<float>();
            int half = sequences[i].Length / 2;
            foreach ((int first, int count) in (ReadOnlySpan<(int, int)>)[(0, half), (half, sequences[i].Length - 1 - half)])
            {
                var batch = new Batch();
                batch.AddCached(cached, sequences[i].AsSpan(first, count), first);
                c.Begin();
                Tensor hidden = model.Forward(c, batch);
                var next = new Batch();
                next.AddCached(cached, sequences[i].AsSpan(first + 1, count), first);
                states.AddRange(model.NextToken!.Forward(c, next, hidden).F32);
            }

            AssertSame(alone[i], System.Runtime.InteropServices.CollectionsMarshal.AsSpan(states), $"sequence {i}, MTP in two parts");
        }
    }

    // z at all positions but the last of each sequence.
    private static float[][] NextToken(CausalLm model, Compute c, int[][] sequences, Glimmer.Tensors.Tape? tape)
    {
        c.Begin(tape);
        var batch = new Batch();
        var next = new Batch();
        var rows = new List<int>();
        foreach (int[] tokens in sequences)
        {
            rows.AddRange(Enumerable.Range(batch.TokenCount, tokens.Length - 1));
            batch.AddDocument(tokens);
            next.AddDocument(tokens.AsSpan(1));
        }

        Tensor z = model.NextToken!.Forward(c, next, Rows.Gather(c, model.Forward(c, batch), [.. rows]));
        var result = new float[sequences.Length][];
        for (int i = 0, first = 0; i < sequences.Length; first += sequences[i].Length - 1, i++)
            result[i] = z.F32.Slice(first * z.Shape[1], (sequences[i].Length - 1) * z.Shape[1]).ToArray();
        return result;
    }

    /// <summary>Compares the portable and AVX2 forms of all kernels with the best form.</summary>
    public static void CheckInstructionSets(CausalLm model, int length, ActivationType activations = ActivationType.F32)
    {
        using var c = new Compute(2) { Activations = activations };
        int[] tokens = Tokens(model, length, seed: 3);
        float[] best = Whole(model, c, [tokens], Tape.Recording)[0];
        try
        {
            for (SimdLevel level = SimdLevel.Portable; level < Simd.Best; level++)
            {
                Simd.Level = level;
                AssertSame(best, Whole(model, c, [tokens], Tape.Recording)[0], $"whole, {level}");
                AssertSame(best, Chunked(model, c, [tokens], 9)[0], $"chunks of 9, {level}");
            }
        }
        finally
        {
            Simd.Level = Simd.Best;
        }
    }

    /// <summary>Gradients of a next-token loss over three packed documents.</summary>
    public static Dictionary<string, float[]> Gradients(CausalLm model, ThreadTeam team, bool recompute)
    {
        using var c = new Compute(team) { RecomputeBlocks = recompute };
        int[][] documents = [Tokens(model, 20, 1), Tokens(model, 9, 2), Tokens(model, 31, 3)];
        foreach (Parameter parameter in model.Parameters)
            parameter.ClearGradient();
        var tape = new Glimmer.Tensors.Tape();
        c.Begin(tape);
        var batch = new Batch();
        foreach (int[] document in documents)
            batch.AddDocument(document);
        (int[] targets, float[] weights) = NextTokenTraining.Targets(documents, null, 0);
        Tensor hidden = model.Forward(c, batch);
        model.Loss(c, hidden, targets, weights);
        if (model.NextToken is { } head)
            NextTokenTraining.Losses(c, head, hidden, documents, null, depths: 3, scale: 0.1f);
        batch.Clear(); // the tape must not need the caller's batch any more
        tape.Backward();
        return model.Parameters.Where(p => p.Gradient is not null).ToDictionary(p => p.Name, p => p.Gradient!.F32.ToArray());
    }

    public static void AssertSame(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual, string what)
    {
        Assert.Equal(expected.Length, actual.Length);
        int at = MemoryMarshal.Cast<float, int>(expected).CommonPrefixLength(MemoryMarshal.Cast<float, int>(actual));
        Assert.True(at == expected.Length, $"{what}: value {at} is {(at < actual.Length ? actual[at] : 0):r} instead of {(at < expected.Length ? expected[at] : 0):r}");
    }

    private enum Tape
    {
        None,
        Recording,
    }

    private static void AssertAll(float[][] expected, float[][] actual, string what)
    {
        for (int i = 0; i < actual.Length; i++)
            AssertSame(expected[i], actual[i], $"sequence {i}, {what}");
    }

    // Documents packed into one batch; logits of each.
    private static float[][] Whole(CausalLm model, Compute c, int[][] sequences, Tape tape)
    {
        c.Begin(tape == Tape.Recording ? new Glimmer.Tensors.Tape() : null);
        var batch = new Batch();
        foreach (int[] tokens in sequences)
            batch.AddDocument(tokens);
        Tensor logits = model.Logits(c, model.Forward(c, batch));
        var result = new float[sequences.Length][];
        int first = 0, vocabulary = model.Config.VocabSize;
        for (int i = 0; i < sequences.Length; first += sequences[i].Length, i++)
            result[i] = logits.F32.Slice(first * vocabulary, sequences[i].Length * vocabulary).ToArray();
        return result;
    }

    // All sequences advance together in chunks through their caches (a chunk of 1 is decoding); the first chunk of each differs, so that steps mix chunks.
    internal static float[][] Chunked(CausalLm model, Compute c, int[][] sequences, int chunk)
    {
        using KeyValueCache cache = model.NewCache();
        CachedSequence[] cached = [.. sequences.Select(_ => cache.NewSequence())];
        var logits = sequences.Select(_ => new List<float>()).ToArray();
        var done = new int[sequences.Length];
        var batch = new Batch();
        int vocabulary = model.Config.VocabSize;
        for (int step = 0; ; step++)
        {
            batch.Clear();
            var running = new List<(int Sequence, int Count)>();
            for (int i = 0; i < sequences.Length; i++)
            {
                int count = Math.Min(step == 0 ? Math.Max(1, chunk - i) : chunk, sequences[i].Length - done[i]);
                if (count <= 0)
                    continue;
                batch.AddCached(cached[i], sequences[i].AsSpan(done[i], count), done[i]);
                running.Add((i, count));
            }

            if (running.Count == 0)
                break;
            c.Begin();
            Tensor rows = model.Logits(c, model.Forward(c, batch));
            int first = 0;
            foreach ((int i, int count) in running)
            {
                logits[i].AddRange(rows.F32.Slice(first * vocabulary, count * vocabulary));
                first += count;
                done[i] += count;
            }
        }

        foreach (CachedSequence sequence in cached)
            sequence.Dispose();
        Assert.Equal(0, cache.BlocksInUse);
        return [.. logits.Select(list => list.ToArray())];
    }

    internal static int[] Tokens(CausalLm model, int length, int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, length).Select(_ => random.Next(model.Config.VocabSize))];
    }
}
