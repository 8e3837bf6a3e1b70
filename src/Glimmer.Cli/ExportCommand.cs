using System.CommandLine;
using System.Globalization;
using Glimmer.Kernels;
using Glimmer.Models;
using Glimmer.Models.Megatron;
using Glimmer.Tensors;
using Glimmer.Training.Checkpoints;

namespace Glimmer.Cli;

/// <summary><c>glimmer export</c>: between the names of Hugging Face and of Megatron-core, adapters added to their model, folders to publish.</summary>
internal sealed class ExportCommand : Command
{
    private readonly Terminal _terminal;
    private readonly TrainingFlags _flags;

    public ExportCommand(Terminal terminal)
        : base("export", "Convert a checkpoint to Megatron-core's names or back, add an adapter to its model, or write a folder to publish. Megatron-core's names are kept in safetensors with args.json, which is not Megatron's own file format.")
    {
        _terminal = terminal;
        _flags = new TrainingFlags()
            .One("model", "Folder or file of the model.")
            .One("mcore_model|load", "Folder under Megatron-core's names.")
            .One("adapters|mcore_adapter|mcore_adapters", "Folder of an adapter, which is added to the weights of its model (--model, else the one it was trained on).")
            .Switch("to_mcore", "Write Megatron-core's names.")
            .Switch("to_hf", "Write a Hugging Face folder.")
            .Switch("merge_lora", "The same as to_hf with an adapter.")
            .One("output_dir|save", "Folder to write; it does not exist yet, or is empty.")
            .One("torch_dtype", "How weights are stored: float32 or bfloat16. Default: as they are.")
            .One("make_vocab_size_divisible_by", "Pad the vocabulary of Megatron-core's names with zero rows. Default: 1.")
            .One("tensor_model_parallel_size", "Ranks that to_mcore divides matrices among. Default: 1.")
            .One("expert_model_parallel_size", "Ranks that to_mcore divides experts among. Default: 1.")
            .Switch("slime_names", "Spell the indexer of GLM-5 as slime does.")
            .Switch("test_convert_precision", "Load both sides, compare every weight, and the logits of a fixed conversation.")
            .One("test_convert_dtype", "float32, which is how activations are always computed.")
            .Switch("exist_ok", "Replace output_dir when it exists.")
            .One("publish", "Write a folder to publish: weights, tokenizer, model card.")
            .One("license", "Licence that the model card names, for example mit.")
            .One("threads", "Computing threads of the test. Default: one a processor.")
            .WithoutEffect("thread_count", "one thread writes")
            .WithoutEffect("max_shard_size", "files hold 5 GB")
            .WithoutEffect("use_hf", "models are local");
        foreach (string name in (string[])["push_to_hub", "hub_model_id", "hub_token"])
            _flags.WithoutEffect(name, "nothing is uploaded; --publish writes the folder that the tools of a hub take");
        _flags.AddTo(this);
        SetAction(Execute);
    }

    private int Execute(ParseResult parsed)
    {
        _flags.Read(parsed);
        foreach (string notice in _flags.Notices)
            _terminal.Notice(notice);
        string? adapter = _flags.Text("adapters"), output = _flags.Text("output_dir"), published = _flags.Text("publish");
        string model = _flags.Text("model") ?? _flags.Text("mcore_model") ?? (adapter is null ? throw new UsageException("--model (or --mcore_model, --mcore_adapters) names what is exported.") : RunArguments.BaseModel(adapter));
        bool toMcore = _flags.Flag("to_mcore", false), toHf = _flags.Flag("to_hf", false) || _flags.Flag("merge_lora", false);
        if (toMcore == toHf && (toMcore || published is null))
            throw new UsageException("say what is written: --to_mcore true, --to_hf true, or --publish FOLDER.");
        DType? type = _flags.Choice("torch_dtype", (DType?)null, ("float32", DType.F32), ("bfloat16", DType.BF16));
        if (_flags.Text("test_convert_dtype") is { } dtype && dtype != "float32")
            throw new UsageException($"--test_convert_dtype is '{dtype}'; activations are computed in float32.");
        if (toMcore || toHf)
            Convert(model, adapter, output ?? throw new UsageException("--output_dir names the folder to write."), toMcore, type);
        if (published is not null)
        {
            PublishedModel.Write(output ?? adapter ?? model, published, Card(published, model, adapter), output is null && adapter is null ? type : null);
            _terminal.Output.WriteLine(published);
        }

        return ExitCodes.Success;
    }

    private void Convert(string model, string? adapter, string output, bool toMcore, DType? type)
    {
        string final = Path.TrimEndingDirectorySeparator(Path.GetFullPath(output));
        bool replaces = _flags.Flag("exist_ok", false) && Directory.Exists(output);
        if (replaces)
            CheckReplaceable(output, model, adapter);
        string source = model, written = replaces ? $"{final}.{Guid.NewGuid():N}.new" : output;
        string? merged = null;
        try
        {
            if (adapter is not null)
            {
                using var team = new ThreadTeam(Threads);
                source = merged = $"{final}.{Guid.NewGuid():N}.merged";
                MergedModel.Write(model, adapter, merged, type, team);
            }

            using (Checkpoint checkpoint = Checkpoint.Open(source))
            using (var progress = new ProgressLine(_terminal))
            {
                IProgress<ConversionProgress> reporter = progress.Of<ConversionProgress>(state => $"writing: {(double)state.ElementsDone / Math.Max(1, state.ElementsTotal):p0} {state.Tensor}");
                if (toMcore)
                    MegatronCheckpoint.Write(checkpoint, written, Layout(type), reporter, _terminal.Interrupted);
                else
                    CheckpointConverter.WriteFolder(checkpoint, written, type, reporter, _terminal.Interrupted, asPublished: true);
            }

            _terminal.Output.WriteLine($"{output}: {Quantities.Bytes(new DirectoryInfo(written).EnumerateFiles("*", SearchOption.AllDirectories).Sum(file => file.Length))}");
            if (_flags.Flag("test_convert_precision", false))
                Test(source, written, replaces ? $"what would replace '{output}', which stays," : $"'{output}'");
            if (replaces)
                Replace(final, written);
        }
        finally
        {
            if (replaces && Directory.Exists(written))
                Directory.Delete(written, recursive: true);
            if (merged is not null && Directory.Exists(merged))
                Directory.Delete(merged, recursive: true);
        }
    }

    // The old folder goes when the new one is complete, and never when it is what the new one is made of.
    private static void CheckReplaceable(string output, params ReadOnlySpan<string?> sources)
    {
        if (!Directory.EnumerateFileSystemEntries(output).All(IsOurs))
            throw new UsageException($"'{output}' holds files that are no checkpoint; it is not replaced.");
        string replaced = Inside(output);
        foreach (string? source in sources)
        {
            if (source is not null && (replaced.StartsWith(Inside(source), StringComparison.Ordinal) || Inside(source).StartsWith(replaced, StringComparison.Ordinal)))
                throw new UsageException($"--exist_ok would replace '{output}', which is '{source}', holds it or lies in it. Choose another --output_dir.");
        }
    }

    private static void Replace(string output, string complete)
    {
        string old = $"{output}.{Guid.NewGuid():N}.old";
        Directory.Move(output, old);
        Directory.Move(complete, output);
        Directory.Delete(old, recursive: true);
    }

    private static string Inside(string path) => Path.TrimEndingDirectorySeparator(Path.GetFullPath(path)) + Path.DirectorySeparatorChar;

    private MegatronOptions Layout(DType? type) => new()
    {
        Type = type,
        PadVocabularyTo = _flags.Whole("make_vocab_size_divisible_by", 1) ?? 1,
        SlimeNames = _flags.Flag("slime_names", false),
        TensorParallel = _flags.Whole("tensor_model_parallel_size", 1) ?? 1,
        ExpertParallel = _flags.Whole("expert_model_parallel_size", 1) ?? 1,
    };

    private void Test(string before, string after, string name)
    {
        ConversionTest test = ConversionTest.Run(before, after, Threads);
        foreach ((string side, WeightFigures figures) in ((string, WeightFigures)[])[("before", test.Before), ("after", test.After)])
        {
            Line($"{side}: {figures.Tensors} tensors, {figures.Parameters} weights, sum of absolute values {figures.AbsoluteSum:g9}, {figures.Zeros} zeros");
        }

        string[] both = [.. test.Before.Warnings.Intersect(test.After.Warnings)];
        if (both.Length > 0)
            _terminal.Notice($"both: {string.Join("; ", both.Take(3))}{(both.Length > 3 ? string.Create(CultureInfo.InvariantCulture, $"; and {both.Length - 3} more") : "")}");
        foreach (string warning in test.Before.Warnings.Except(both).Select(text => "before: " + text).Concat(test.After.Warnings.Except(both).Select(text => "after: " + text)))
            _terminal.Notice(warning);

        Line($"weights: {(test.DifferentTensors.Count > 0 ? string.Create(CultureInfo.InvariantCulture, $"{test.DifferentTensors.Count} tensors differ, the first is {test.DifferentTensors[0]}") : test.IsRounded ? "stored in another type" : "every bit is the same")}");
        Line($"token mean difference of the logits: {string.Join(' ', test.TokenDifferences.Select(value => value.ToString("g3", CultureInfo.InvariantCulture)))}");
        Line($"logits: mean difference {test.MeanDifference:g3}, largest {test.LargestDifference:g3}; with loss: mean {test.LossMeanDifference:g3}, largest {test.LossLargestDifference:g3}");
        Line($"best ids: {string.Join(' ', test.BestBefore)}");
        Line($"          {string.Join(' ', test.BestAfter)}, {test.DifferentBest} differ");
        if (!test.Passes)
            throw new ModelFormatException($"The precision test failed: {name} does not compute what '{before}' computes.");
        _terminal.Output.WriteLine("precision test passed");
    }

    private ModelCard Card(string folder, string model, string? adapter) => new()
    {
        Name = Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder))),
        BaseModel = adapter is null ? null : Path.GetFileName(Path.TrimEndingDirectorySeparator(model)),
        License = _flags.Text("license"),
        Recipe = adapter is null ? [] : RunArguments.Flags(adapter),
    };

    private int Threads => _flags.Whole("threads", 1) ?? Environment.ProcessorCount;

    // What a conversion writes: never a folder of something else.
    private static bool IsOurs(string path) => Path.GetFileName(path).StartsWith("iter_", StringComparison.Ordinal) || Path.GetExtension(path) is ".json" or ".safetensors" or ".jinja" or ".txt" || Path.GetFileName(path) is "LICENSE" or "NOTICE" or "README.md";

    private void Line(FormattableString text) => _terminal.Output.WriteLine(text.ToString(CultureInfo.InvariantCulture));
}
