using System.CommandLine;
using System.Globalization;
using Glimmer.Training.Checkpoints;
using Glimmer.Training.Distributed;
using Glimmer.Training.Loops;
using Glimmer.Training.Sft;

namespace Glimmer.Cli;

/// <summary><c>glimmer sft</c>: supervised fine-tuning of a model or an adapter, with the flags of ms-swift or a recipe.</summary>
internal sealed class SftCommand : Command
{
    private static readonly string[] s_otherTools = ["CUDA_VISIBLE_DEVICES", "NPROC_PER_NODE", "PYTORCH_CUDA_ALLOC_CONF"];

    private readonly Terminal _terminal;
    private readonly TimeProvider _time = TimeProvider.System;
    private readonly TrainingFlags _flags;
    private readonly Argument<string?> _recipe = new("recipe") { Arity = ArgumentArity.ZeroOrOne, Description = "A YAML file with flags as keys; flags on the command line win.", HelpName = "file" };

    public SftCommand(Terminal terminal)
        : base("sft", "Fine-tune a model, or an adapter of it, on conversations. Ctrl-C saves a checkpoint; --resume_from_checkpoint goes on from it.")
    {
        _terminal = terminal;
        Add(_recipe);
        _flags = SftFlags.Create().AddTo(this);
        // An unknown flag would pass for the recipe.
        _recipe.Validators.Add(result =>
        {
            if (result.Tokens is [{ Value: var flag }] && flag.StartsWith("--", StringComparison.Ordinal))
                result.AddError($"'{flag}' is no flag of 'sft'.{LayeredOptions.Nearest(flag, Options.Where(option => !option.Hidden).SelectMany(option => option.Aliases.Prepend(option.Name)))}");
        });
        SetAction(Execute);
    }

    private int Execute(ParseResult parsed)
    {
        if (Communicator.Launched > 1)
            throw new UsageException($"fine-tuning runs in one process, but mpirun started {Communicator.Launched}. Start it without mpirun; pretrain and midtrain run on several ranks.");
        string? recipe = parsed.GetValue(_recipe);
        if (recipe is not null && !File.Exists(recipe))
            throw new UsageException($"There is no recipe '{recipe}'.");
        _flags.Read(LayeredOptions.Complete(this, parsed, recipe, _ => null));
        foreach (string notice in _flags.Notices)
            _terminal.Notice(notice);
        foreach (string variable in s_otherTools.Where(name => Environment.GetEnvironmentVariable(name) is { Length: > 0 }))
            _terminal.Notice($"the variable {variable} has no effect here: training runs on the processor, in one process; --threads sets its threads.");
        bool isDry = _flags.Flag("dry_run", false);
        SftOptions options = SftFlags.Options(_flags, isDry ? Path.GetTempPath() : Folder());
        SftData data = SftData.Load(options, _terminal.Interrupted);
        if (data.RejectedResponses > 0)
            _terminal.Notice(string.Create(CultureInfo.InvariantCulture, $"{data.RejectedResponses} records have a rejected_response, which is not read: the answers that were chosen are learned. DPO is an objective of the library (PreferenceObjective)."));
        if (options.Lora is not null && _flags.Has("torch_dtype"))
            _terminal.Notice("--torch_dtype has no effect on an adapter, whose factors are stored in fp32; 'glimmer export --torch_dtype' chooses how a merged model is stored.");
        if (_flags.Text("recompute_granularity") == "selective")
            _terminal.Notice("--recompute_granularity selective keeps everything that the backward pass needs; full recomputes layers.");
        if (isDry)
        {
            new SftPreview(_terminal, options, data).Write(_flags.Whole("dry_run_samples") ?? 3);
            return data.Bad.Count > 0 ? ExitCodes.Failure : ExitCodes.Success;
        }

        SftPreview.WriteBad(_terminal, data, most: 10);
        return Train(options, data);
    }

    private int Train(SftOptions options, SftData data)
    {
        options = options with { Run = options.Run with { Settings = RunArguments.Of(options.Model, options.Lora is null ? "full" : "lora", _flags.Given) } };
        using SftRun run = Load(options, data);
        _terminal.Notice(string.Create(CultureInfo.InvariantCulture, $"{data.Train.Samples.Count} samples, {data.HeldOut.Samples.Count} held out, {run.Steps} steps, {run.TrainedParameters} trained weights; the run is in {options.Run.Folder}"));
        foreach (string warning in run.Adapter?.PeftWarnings ?? [])
            _terminal.Notice(warning);
        RunResult result;
        using (var view = new TrainingView(_terminal))
            result = run.Run(view, _terminal.Interrupted, _terminal.Notice);
        _terminal.Output.WriteLine(TrainingView.Summary(result, $"go on with --resume_from_checkpoint {options.Run.Folder}"));
        if (result.End == RunEnd.Interrupted)
            return ExitCodes.Interrupted;
        if (_flags.Flag("enable_channel_loss", false))
        {
            foreach ((string channel, HeldOutLoss figures) in run.ChannelLosses(_terminal.Interrupted))
                _terminal.Output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"channel {channel}: held-out loss {figures.Loss:f4}, accuracy {figures.Accuracy:p1}"));
        }

        string model = result.Checkpoint;
        if (_flags.Flag("merge_lora", false) && options.Lora is not null)
        {
            model = Path.Combine(options.Run.Folder, "merged");
            run.WriteMerged(model);
            _terminal.Output.WriteLine(model);
        }

        if (_flags.Text("publish") is { } published)
        {
            PublishedModel.Write(model, published, Card(published, options, result));
            _terminal.Output.WriteLine(published);
        }

        return ExitCodes.Success;
    }

    private SftRun Load(SftOptions options, SftData data)
    {
        using var progress = new ProgressLine(_terminal);
        return new SftRun(options, data, progress.IsShown ? progress.Share($"loading {Path.GetFileName(options.Model)}") : null, _terminal.Interrupted);
    }

    private ModelCard Card(string folder, SftOptions options, RunResult result) => new()
    {
        Name = Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder))),
        BaseModel = Path.GetFileName(Path.TrimEndingDirectorySeparator(options.Model)),
        Recipe = [.. _flags.Given.Where(flag => flag.Key is not ("publish" or "output_dir" or "threads" or "model" or "mcore_model"))],
        Metrics =
        [
            KeyValuePair.Create("steps", result.Steps.ToString(CultureInfo.InvariantCulture)),
            KeyValuePair.Create("tokens", result.TokensSeen.ToString(CultureInfo.InvariantCulture)),
            .. result.Evaluation is { } figures
                ? (KeyValuePair<string, string>[])[KeyValuePair.Create("held-out loss", figures.Loss.ToString("f4", CultureInfo.InvariantCulture)), KeyValuePair.Create("held-out token accuracy", figures.Accuracy.ToString("p1", CultureInfo.InvariantCulture))]
                : [],
        ],
    };

    private string Folder()
    {
        if (_flags.Text("resume_from_checkpoint") is { } resumed)
        {
            if (!Directory.Exists(resumed))
                throw new UsageException($"--resume_from_checkpoint names '{resumed}', which does not exist.");
            if (_flags.Flag("finetune", false))
                throw new UsageException("--finetune true starts from weights alone, --resume_from_checkpoint goes on with everything. Leave one out, or name the checkpoint with --model.");
            // The newest checkpoint of a run may be named too.
            string named = Path.TrimEndingDirectorySeparator(Path.GetFullPath(resumed));
            bool isCheckpoint = Path.GetFileName(named).StartsWith("checkpoint-", StringComparison.Ordinal);
            string run = isCheckpoint ? Path.GetDirectoryName(named)! : named;
            if (CheckpointFolder.Find(run, out IReadOnlyList<string> passedOver) is not { } newest)
            {
                string[] versions = [.. Directory.EnumerateDirectories(run, "v*-*").Where(folder => Directory.EnumerateDirectories(folder, "checkpoint-*").Any()).Order(StringComparer.Ordinal)];
                throw new UsageException($"--resume_from_checkpoint: '{run}' holds no complete checkpoint. {string.Concat(passedOver.Select(problem => problem + " "))}{(versions.Length > 0 ? $"Name a run in it: {string.Join(", ", versions)}." : "Start the run without the flag.")}");
            }

            if (isCheckpoint && newest.Folder != named)
                throw new UsageException($"--resume_from_checkpoint names '{resumed}', but a run goes on from its newest checkpoint, '{Path.GetFileName(newest.Folder)}'. Name that one, or start a new run from the weights with --model {resumed}.");
            return isCheckpoint ? run : resumed;
        }

        string output = _flags.Text("output_dir") ?? throw new UsageException("--output_dir names the folder of the run.");
        if (!_flags.Flag("add_version", true))
            return output;
        int version = Directory.Exists(output) ? Directory.EnumerateDirectories(output, "v*-*").Count() : 0;
        return Path.Combine(output, string.Create(CultureInfo.InvariantCulture, $"v{version}-{_time.GetLocalNow():yyyyMMdd-HHmmss}"));
    }
}
