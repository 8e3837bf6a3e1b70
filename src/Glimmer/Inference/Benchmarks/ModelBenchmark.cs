using System.Diagnostics;
using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Tensors;

namespace Glimmer.Inference.Benchmarks;

/// <summary>Measures a model on random tokens: the library behind <c>glimmer bench</c>. Needs no tokenizer.</summary>
/// <remarks>
/// Tests of kind pp and tg are those that llama.cpp's tools run: pp reads a prompt, 512 tokens a pass, with the logits of its last token; tg writes tokens one pass a token. Kinds of
/// activations run in turns, and a plain read of memory stands between the repetitions.
/// </remarks>
public sealed class ModelBenchmark : IDisposable
{
    private const int PassTokens = 512;

    private static readonly TimeSpan s_warmUp = TimeSpan.FromSeconds(1);

    private readonly CausalLm _model;
    private readonly Compute _compute;
    private readonly BenchmarkOptions _options;
    private readonly ReadBandwidth _read = new();
    private readonly WeightTraffic _traffic;
    private readonly ExpertReads _experts;
    private readonly double _active;
    private readonly Batch _batch = new();
    private readonly int[] _rows;
    private long _cacheBytes;

    /// <summary>Prepares measurements.</summary>
    /// <param name="model">The model; not owned.</param>
    /// <param name="compute">Where it runs; not owned.</param>
    /// <param name="options">What to measure.</param>
    /// <exception cref="ArgumentException">The options make no sense, or a test does not fit the model.</exception>
    public ModelBenchmark(CausalLm model, Compute compute, BenchmarkOptions options)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(compute);
        ArgumentNullException.ThrowIfNull(options);
        options.Check();
        if (model.NextToken is null && options.Tests.FirstOrDefault(test => test.Kind == BenchmarkKind.Speculate) is { } speculate)
            throw new ArgumentException($"{speculate.Name} drafts with the MTP layer, which this model does not have.");
        (_model, _compute, _options) = (model, compute, options);
        _traffic = WeightTraffic.Of(model, compute.Team);
        _experts = new ExpertReads(compute, model.Config.NumHiddenLayers, Math.Max(1, model.Config.NRoutedExperts));
        _active = ParameterCount.Of(model.Config).Active;
        _rows = new int[options.Tests.Max(test => test.Sequences)];
    }

    /// <summary>Runs the tests.</summary>
    /// <param name="progress">Told what is running.</param>
    /// <param name="cancellationToken">Ends between two measurements.</param>
    public IEnumerable<BenchmarkResult> Run(IProgress<string>? progress = null, CancellationToken cancellationToken = default)
    {
        var engine = new EngineBenchmark(_model, _compute, _options, _traffic, _experts);
        foreach (BenchmarkTest test in _options.Tests)
        {
            bool isPlain = test.Kind is BenchmarkKind.Prompt or BenchmarkKind.Decode;
            foreach (int depth in isPlain ? _options.Depths : [0])
            {
                progress?.Report(depth == 0 ? test.Name : $"{test.Name} at depth {depth}");
                foreach (BenchmarkResult result in isPlain ? Plain(test, depth, cancellationToken) : ThroughEngine(engine, test, cancellationToken))
                    yield return result;
            }
        }

        _cacheBytes = Math.Max(_cacheBytes, engine.CacheBytes);
    }

    /// <summary>Memory after the tests; nothing can be measured behind it. The peak includes the 256 MiB of the plain read.</summary>
    public ProcessMemory ReadMemory()
    {
        _read.Dispose();
        GC.Collect();
        return ProcessMemory.Read(_traffic.Total, _cacheBytes);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _experts.Dispose();
        _read.Dispose();
    }

    private IEnumerable<BenchmarkResult> Plain(BenchmarkTest test, int depth, CancellationToken cancellationToken)
    {
        using var cache = _model.NewCache();
        CachedSequence[] sequences = [.. Enumerable.Range(0, test.Sequences).Select(_ => cache.NewSequence())];
        SyntheticCache.Fill(_compute.Team, cache, sequences[0], depth, _options.Seed);
        var samples = _options.Activations.ToDictionary(kind => kind, _ => new Samples());
        var random = new Random((int)_options.Seed);
        for (int repetition = -1; repetition < _options.Repetitions; repetition++)
        {
            foreach (ActivationType kind in _options.Activations)
            {
                cancellationToken.ThrowIfCancellationRequested();
                _compute.Activations = kind;
                Samples sample = samples[kind];
                if (repetition < 0)
                {
                    WarmUp(test, sequences, depth, random, sample);
                    continue;
                }

                sample.Speeds.Add(Time(test, sequences, depth, test.Tokens, random, sample));
                sample.Reads.Add(_read.Measure(_compute.Team));
            }
        }

        _cacheBytes = Math.Max(_cacheBytes, cache.BlocksInUse * cache.BlockBytes);
        foreach (CachedSequence sequence in sequences)
            sequence.Dispose();
        foreach ((ActivationType kind, Samples sample) in samples)
            yield return Result(test, depth, kind, sample);
    }

    // Long enough for the runtime to compile what runs often a second time, with what it has seen. Prompts at their own length: the memory of a pass is taken at its first.
    private void WarmUp(BenchmarkTest test, CachedSequence[] sequences, int depth, Random random, Samples sample)
    {
        int count = Math.Min(test.Tokens, test.Kind == BenchmarkKind.Prompt ? PassTokens : 8);
        long start = Stopwatch.GetTimestamp();
        do
            Time(test, sequences, depth, count, random, sample);
        while (Stopwatch.GetElapsedTime(start) < s_warmUp);
        _read.Measure(_compute.Team);
        sample.Experts = default;
    }

    private double Time(BenchmarkTest test, CachedSequence[] sequences, int depth, int count, Random random, Samples sample)
    {
        bool isPrompt = test.Kind == BenchmarkKind.Prompt;
        int vocabulary = _model.Config.VocabSize, position = depth;
        var tokens = new int[Math.Max(count, 2) * sequences.Length];
        foreach (ref int token in tokens.AsSpan())
            token = random.Next(vocabulary);
        for (int i = 0; i < 2 && !isPrompt; i++)
            Decode(sequences, tokens.AsSpan(i * sequences.Length, sequences.Length), position++);
        _experts.Clear();
        ExpertStatistics? stored = _model.ExpertStatistics;
        long bytes = GC.GetAllocatedBytesForCurrentThread();
        long start = Stopwatch.GetTimestamp();
        if (isPrompt)
            Prompt(sequences[0], tokens.AsSpan(0, count), depth);
        for (int i = 0; i < count && !isPrompt; i++)
            Decode(sequences, tokens.AsSpan(i * sequences.Length, sequences.Length), position++);
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        int produced = isPrompt ? count : count * sequences.Length;
        sample.Allocated = (double)(GC.GetAllocatedBytesForCurrentThread() - bytes) / produced;
        sample.Union = _experts.Union;
        if (stored is not null && _model.ExpertStatistics is { } now)
        {
            sample.Experts = (sample.Experts.Hits + now.Hits - stored.Hits, sample.Experts.Misses + now.Misses - stored.Misses,
                sample.Experts.Bytes + now.BytesRead - stored.BytesRead, sample.Experts.Tokens + produced);
        }

        foreach (CachedSequence sequence in sequences)
            sequence.Truncate(depth);
        return produced / seconds;
    }

    private void Prompt(CachedSequence sequence, ReadOnlySpan<int> tokens, int depth)
    {
        for (int first = 0; first < tokens.Length; first += PassTokens)
        {
            int count = Math.Min(PassTokens, tokens.Length - first);
            _batch.Clear();
            _batch.AddCached(sequence, tokens.Slice(first, count), depth + first);
            _compute.Begin();
            Tensor hidden = _model.Forward(_compute, _batch);
            sequence.Commit(depth + first + count);
            _rows[0] = count - 1;
            if (first + count == tokens.Length)
                _model.Logits(_compute, hidden, _rows.AsSpan(0, 1));
        }
    }

    private void Decode(CachedSequence[] sequences, ReadOnlySpan<int> tokens, int position)
    {
        _batch.Clear();
        for (int i = 0; i < sequences.Length; i++)
        {
            _batch.AddCached(sequences[i], tokens.Slice(i, 1), position);
            _rows[i] = i;
        }

        _compute.Begin();
        Tensor hidden = _model.Forward(_compute, _batch);
        foreach (CachedSequence sequence in sequences)
            sequence.Commit(position + 1);
        _model.Logits(_compute, hidden, _rows.AsSpan(0, sequences.Length));
    }

    private IEnumerable<BenchmarkResult> ThroughEngine(EngineBenchmark engine, BenchmarkTest test, CancellationToken cancellationToken)
    {
        foreach (ActivationType kind in _options.Activations)
        {
            _compute.Activations = kind;
            var sample = new Samples();
            for (int repetition = 0; repetition < _options.Repetitions; repetition++)
            {
                cancellationToken.ThrowIfCancellationRequested();
                engine.Measure(test, repetition, sample);
                sample.Reads.Add(_read.Measure(_compute.Team));
            }

            yield return engine.Complete(test, sample, Result(test, 0, kind, sample));
        }
    }

    private BenchmarkResult Result(BenchmarkTest test, int depth, ActivationType kind, Samples sample)
    {
        double speed = Samples.Median(sample.Speeds);
        // Prompts, and tests whose passes differ in size, have no bytes a token.
        bool isDecode = test.Kind is BenchmarkKind.Decode or BenchmarkKind.Generate;
        double passBytes = sample.Union is { } union ? _traffic.Pass(union) : _traffic.Single;
        return new BenchmarkResult(test, kind == ActivationType.Q8 ? "q8" : "f32", depth, _compute.Team.Threads, sample.Speeds.Count)
        {
            TokensPerSecond = speed,
            Least = sample.Speeds.Min(),
            Most = sample.Speeds.Max(),
            WeightGigabytesPerSecond = isDecode ? passBytes * speed / test.Sequences / 1e9 : null,
            GigaflopsPerSecond = 2 * _active * speed / 1e9,
            ReadGigabytesPerSecond = Samples.Median(sample.Reads),
            FirstTokenMilliseconds = test.Kind == BenchmarkKind.Prompt ? 1e3 * test.Tokens / speed : null,
            AllocatedBytesPerToken = sample.Allocated,
            ExpertUnion = sample.Union,
            ExpertHitRate = sample.Experts.Hits + sample.Experts.Misses == 0 ? null : (double)sample.Experts.Hits / (sample.Experts.Hits + sample.Experts.Misses),
            ExpertBytesPerToken = sample.Experts.Tokens == 0 ? null : (double)sample.Experts.Bytes / sample.Experts.Tokens,
        };
    }
}
