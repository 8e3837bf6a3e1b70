using System.CommandLine;
using System.CommandLine.Parsing;
using System.Diagnostics;
using System.Globalization;
using Glimmer.Inference;
using Glimmer.Inference.Benchmarks;
using Glimmer.Kernels;
using Glimmer.Models;
using Glimmer.Models.Slices;
using Glimmer.Operations;
using Glimmer.Tensors;

namespace Glimmer.Cli;

/// <summary><c>glimmer bench</c>: how fast a model runs here, and slices of large models to measure with.</summary>
internal sealed class BenchCommand : Command
{
    private readonly Terminal _terminal;
    private readonly Argument<string?> _path = new("model") { Arity = ArgumentArity.ZeroOrOne, Description = "Folder or file of the model; it needs no tokenizer. Default: the small model that comes with Glimmer." };
    private readonly Option<string> _tests = new("--tests")
    {
        Description = "Tests, separated by commas: ppN (prompt), tgN and tgNbS (decode, S sequences), genN and genNbS (through the engine), mtpN@A (drafts of which a share A is right), "
            + "hitN+M (second turn that adds M tokens), mixS+N (a prompt arrives beside S sequences).",
        HelpName = "list",
        DefaultValueFactory = _ => "pp512,tg32,tg32b8",
    };

    private readonly Option<string> _depth = new("--depth") { Description = "Tokens in the cache before pp and tg begin, filled with random keys: one number or several.", HelpName = "list", DefaultValueFactory = _ => "0" };
    private readonly Option<int?> _reps = NumberOption.Create("--reps", "Measurements of each test after a warm-up; medians are reported. Default: 5.", 1, 1000);
    private readonly Option<int?> _threads = NumberOption.Create("--threads", "Computing threads. Default: one a processor.", 1, 1024);
    private readonly Option<string> _activations = new("--activations") { Description = "f32 (exact), q8 (8-bit integers), or both in turns: f32,q8.", HelpName = "list", DefaultValueFactory = _ => "f32" };
    private readonly Option<string> _cacheType = CacheTypeOption.Create();
    private readonly Option<int?> _drafts = NumberOption.Create("--drafts", "Most drafts of a step in mtp tests. Default: 3.", 1, 16);
    private readonly Option<ulong?> _seed = NumberOption.Create("--seed", "Seed of tokens, of cache contents and of the weights of --make. Default: 1.", 0UL, ulong.MaxValue);
    private readonly Option<string?> _packCache = new("--pack-cache") { Description = "Folder that keeps packed weights, as for the other commands.", HelpName = "folder" };
    private readonly Option<long?> _memoryBudget = SizeOption.Create("--memory-budget", "Most memory for weights, for example 6G; needs --pack-cache.");
    private readonly Option<bool> _json = new("--json") { Description = "Print JSON lines: the model, each test, the memory." };
    private readonly Option<string?> _make = new("--make")
    {
        Description = "Write a slice of a large model with random weights instead: " + string.Join("; ", ModelSlice.All.Select(slice => $"{slice.Name} ({slice.Description})")) + ".",
        HelpName = "slice",
    };

    private readonly Option<string?> _type = new("--type", "-t") { Description = "Element type of the slice: q8_0, q4_0, q4_k, bf16 ...", HelpName = "type" };
    private readonly Option<string?> _out = new("--out", "-o") { Description = "File of the slice; ends in .gguf.", HelpName = "path" };

    public BenchCommand(Terminal terminal)
        : base("bench", "Measure prompt and decode speed, memory and allocations of a model.")
    {
        _terminal = terminal;
        Add(_path);
        foreach (Option option in (ReadOnlySpan<Option>)[_tests, _depth, _reps, _threads, _activations, _cacheType, _drafts, _seed, _packCache, _memoryBudget, _json, _make, _type, _out])
            Add(option);
        _make.CompletionSources.Add(_ => ModelSlice.All.Select(slice => slice.Name).ToArray());
        _type.CompletionSources.Add(_ => StorageTypes.Names);
        Validators.Add(CheckSlice);
        Validators.Add(result =>
        {
            if (result.GetValue(_memoryBudget) is not null && result.GetValue(_packCache) is null)
                result.AddError("--memory-budget needs --pack-cache.");
        });
        SetAction(Execute);
    }

    private void CheckSlice(CommandResult result)
    {
        bool make = result.GetValue(_make) is not null;
        if (make && (result.GetValue(_type) is null || result.GetValue(_out) is null))
            result.AddError("--make needs --type and --out.");
        if (make && result.GetValue(_path) is not null)
            result.AddError("--make writes a file of its own and takes no model.");
        if (!make && (result.GetValue(_type) is not null || result.GetValue(_out) is not null))
            result.AddError("--type and --out go with --make.");
    }

    private int Execute(ParseResult parsed)
    {
        if (parsed.GetValue(_make) is { } slice)
            return Make(parsed, slice);
        BenchmarkOptions options = ReadOptions(parsed);
        string path = EmbeddedModel.Resolve(parsed.GetValue(_path) ?? "base");
        using Checkpoint checkpoint = Checkpoint.Open(path);
        using var team = new ThreadTeam(parsed.GetValue(_threads) ?? Environment.ProcessorCount);
        long start = Stopwatch.GetTimestamp();
        using CausalLm model = Load(parsed, checkpoint, team, path);
        double loadSeconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        using var compute = new Compute(team);
        ModelBenchmark benchmark = New(model, compute, options);
        using (benchmark)
        {
            var report = new BenchReport(_terminal, parsed.GetValue(_json));
            report.Begin(path, checkpoint, model, team, loadSeconds);
            using (var progress = new ProgressLine(_terminal))
            {
                foreach (BenchmarkResult result in benchmark.Run(progress.Of<string>(test => $"measuring {test}"), _terminal.Interrupted))
                    report.Add(result);
            }

            report.End(benchmark.ReadMemory());
        }

        return ExitCodes.Success;
    }

    private CausalLm Load(ParseResult parsed, Checkpoint checkpoint, ThreadTeam team, string path)
    {
        using var progress = new ProgressLine(_terminal);
        double total = checkpoint.Weights.Tensors.Sum(tensor => (double)tensor.Count), done = 0;
        IProgress<long> reporter = progress.Of<long>(count =>
        {
            _terminal.Interrupted.ThrowIfCancellationRequested();
            done += count;
            return $"loading {Path.GetFileName(path)}: {Math.Min(1, done / total):p0}";
        });
        var options = new LoadOptions { PackCache = parsed.GetValue(_packCache), MemoryBudget = parsed.GetValue(_memoryBudget) ?? 0 };
        CausalLm model = checkpoint.LoadModel(team, progress: reporter, options: options);
        model.CacheType = CacheTypeOption.Read(parsed, _cacheType);
        return model;
    }

    private static ModelBenchmark New(CausalLm model, Compute compute, BenchmarkOptions options)
    {
        try
        {
            return new ModelBenchmark(model, compute, options);
        }
        catch (ArgumentException error)
        {
            throw new UsageException(error.Message);
        }
    }

    private BenchmarkOptions ReadOptions(ParseResult parsed)
    {
        try
        {
            var options = new BenchmarkOptions
            {
                Tests = [.. Split(parsed.GetValue(_tests)!).Select(BenchmarkTest.Parse)],
                Depths = [.. Split(parsed.GetValue(_depth)!).Select(text => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int depth)
                    ? depth : throw new FormatException($"--depth has '{text}'; numbers of tokens are expected."))],
                Activations = [.. Split(parsed.GetValue(_activations)!).Select(text => text switch
                {
                    "f32" => ActivationType.F32,
                    "q8" => ActivationType.Q8,
                    _ => throw new FormatException($"--activations has '{text}'; f32 and q8 exist."),
                })],
                Repetitions = parsed.GetValue(_reps) ?? 5,
                MaxDrafts = parsed.GetValue(_drafts) ?? 3,
                Seed = parsed.GetValue(_seed) ?? 1,
            };
            options.Check();
            return options;
        }
        catch (Exception error) when (error is FormatException or ArgumentException)
        {
            throw new UsageException(error.Message);
        }
    }

    private static string[] Split(string list) => list.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);

    private int Make(ParseResult parsed, string name)
    {
        string path = parsed.GetValue(_out)!;
        if (!path.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase))
            throw new UsageException($"--out is '{path}'; a slice is a GGUF file, whose name ends in .gguf.");
        ModelSlice slice;
        DType type;
        try
        {
            slice = ModelSlice.Find(name);
            type = StorageTypes.Parse(parsed.GetValue(_type)!);
        }
        catch (UnsupportedModelException error)
        {
            throw new UsageException(error.Message);
        }

        long start = Stopwatch.GetTimestamp();
        using (var progress = new ProgressLine(_terminal))
        {
            IProgress<ConversionProgress> reporter = progress.Of<ConversionProgress>(state => $"writing: {(double)state.ElementsDone / Math.Max(1, state.ElementsTotal):p0} {state.Tensor}");
            SliceWriter.Write(slice, type, path, parsed.GetValue(_seed) ?? 1, reporter, _terminal.Interrupted);
        }

        _terminal.Output.WriteLine($"{path}: {Quantities.Bytes(new FileInfo(path).Length)} in {Stopwatch.GetElapsedTime(start).TotalSeconds:f1} s");
        return ExitCodes.Success;
    }
}
