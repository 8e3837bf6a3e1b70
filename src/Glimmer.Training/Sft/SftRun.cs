using Glimmer.Formats;
using Glimmer.Inference;
using Glimmer.Models;
using Glimmer.Training.Checkpoints;
using Glimmer.Training.Loops;
using Glimmer.Training.Objectives;
using Glimmer.Training.Optimizers;
using Glimmer.Training.Runs;
using Glimmer.Training.Schedules;

namespace Glimmer.Training.Sft;

/// <summary>Supervised fine-tuning of a model or of an adapter: data, trainer, loop. The library behind <c>glimmer sft</c>.</summary>
public sealed class SftRun : IDisposable
{
    private readonly SftOptions _options;
    private readonly SftData _data;
    private readonly LoadedModel _loaded;
    private readonly LoraAdapter? _adapter;
    private readonly Trainer _trainer;
    private readonly SftRows _rows;

    /// <summary>Loads the model and prepares the run.</summary>
    /// <param name="options">The run.</param>
    /// <param name="data">Its data.</param>
    /// <param name="progress">Told the share of the weights that is loaded.</param>
    /// <param name="cancellation">Ends the loading.</param>
    /// <exception cref="UnsupportedModelException">A target module cannot be adapted, or a GGUF file is to be trained as a whole.</exception>
    public SftRun(SftOptions options, SftData data, IProgress<double>? progress = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        (_options, _data, _rows) = (options, data, data.Rows(options.Rows));
        if (options.Lora is null && options.Model.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase))
            throw new UnsupportedModelException($"'{options.Model}' cannot be trained as a whole. Convert it to a folder first ('glimmer convert {options.Model} DIR --type f32'), or train an adapter.");
        _loaded = LoadedModel.Open(options.Model, options.Threads, progress, cancellation);
        try
        {
            TrainerOptions trainer = TrainerOptions();
            if (options.Lora is { } lora)
            {
                _adapter = LoraAdapter.Create(_loaded.Model, lora);
                _adapter.Attach(_loaded.Model);
                _trainer = new Trainer(_loaded.Model, _loaded.Compute, trainer, _adapter);
            }
            else
            {
                _trainer = new Trainer(_loaded.Model, _loaded.Compute, trainer);
            }
        }
        catch
        {
            _adapter?.Dispose();
            _loaded.Dispose();
            throw;
        }
    }

    /// <summary>Steps of the whole run.</summary>
    public long Steps => Math.Min(_options.Run.Steps ?? long.MaxValue, _rows.Steps);

    /// <summary>The adapter that is trained; null when every weight is.</summary>
    public LoraAdapter? Adapter => _adapter;

    /// <summary>The model.</summary>
    public CausalLm Model => _loaded.Model;

    /// <summary>Weights that are trained.</summary>
    public long TrainedParameters => (_adapter?.Parameters ?? _options.Parameters?.Of(Model) ?? Model.Parameters.Where(parameter => !parameter.IsBuffer)).Sum(parameter => parameter.Count);

    /// <summary>Trains to the end, or until asked to stop; goes on from the last checkpoint in the run's folder.</summary>
    /// <param name="progress">Told after every step.</param>
    /// <param name="stop">Asks to stop after the step that is being taken.</param>
    /// <param name="notice">Told of checkpoints that are passed over because they are damaged or unfinished.</param>
    /// <exception cref="ArithmeticException">A gradient is not finite. The last checkpoint is intact.</exception>
    /// <exception cref="IOException">A checkpoint cannot be written.</exception>
    public RunResult Run(IProgress<RunProgress>? progress = null, CancellationToken stop = default, Action<string>? notice = null)
    {
        var run = new TrainingRun(_trainer, _loaded.Compute, _rows, Weights(), _options.Run with { Steps = Steps })
        {
            HeldOut = _data.HeldOutBatches(),
            Notice = notice,
            OperationsPerToken = TrainingWork.PerToken(Model.Config, (int)Math.Max(1, _rows.TokenCount / _data.Train.Samples.Count), _options.NextTokenDepths, isFrozen: _adapter is not null),
        };
        RunResult result = run.Run(progress, stop);
        if (_options.DropOptimizer && result.End != RunEnd.Interrupted)
            DropOptimizer();
        return result;
    }

    /// <summary>Figures on the held-out samples of each source that has a name.</summary>
    public IReadOnlyList<(string Channel, HeldOutLoss Figures)> ChannelLosses(CancellationToken stop = default) =>
        [.. _data.Channels.Select(channel => (channel, HeldOutLoss.Of(Model, _loaded.Compute, _data.HeldOutBatches(channel), stop)))];

    /// <summary>Bytes of the weights as kernels read them.</summary>
    public long WeightBytes => Model.Parameters.Sum(parameter => parameter.PackedOrNull?.Bytes ?? sizeof(float) * parameter.Count);

    /// <summary>Takes a step over the first batch to learn what a step costs. The run itself must be made anew afterwards.</summary>
    public StepReport Probe()
    {
        string start = _rows.State;
        StepReport report = _trainer.Step(_rows.Next(0)!);
        _rows.State = start;
        return report;
    }

    /// <summary>Writes the trained model as a Hugging Face folder in fp32; an adapter is added to the weights first and cannot be trained any more.</summary>
    /// <param name="output">A folder that does not exist yet, or is empty.</param>
    public void WriteMerged(string output)
    {
        _adapter?.MergeInto(Model);
        using Checkpoint source = Checkpoint.Open(_options.Model);
        OutputFolder.Write(output, new ModelWeights(Model, source).Write);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _trainer.Dispose();
        _adapter?.Dispose();
        _loaded.Dispose();
    }

    private ITrainedWeights Weights()
    {
        if (_adapter is not null)
            return new AdapterWeights(_adapter, Path.GetFullPath(_options.Model));
        using Checkpoint source = Checkpoint.Open(_options.Model);
        return new ModelWeights(Model, source, _options.Storage);
    }

    private TrainerOptions TrainerOptions()
    {
        double peak = _options.LearningRate ?? (_options.Lora is null ? 1e-5 : 1e-4);
        double steps = Steps, warmup = _options.WarmupSteps ?? Math.Ceiling(_options.WarmupFraction * steps);
        return new TrainerOptions
        {
            LearningRate = _options.Decay switch
            {
                RateDecay.Linear => LearningRates.Linear(peak, _options.MinLearningRate, warmup, steps),
                RateDecay.Constant => LearningRates.Constant(peak, warmup),
                RateDecay.WarmupStableDecay => LearningRates.WarmupStableDecay(_options.StableDecayShape, peak, _options.MinLearningRate, warmup, _options.StableDecaySteps ?? Math.Ceiling(0.1 * steps), steps),
                RateDecay.InverseSquareRoot => LearningRates.InverseSquareRoot(peak, _options.MinLearningRate, warmup, Math.Max(1, warmup)),
                _ => LearningRates.Cosine(peak, _options.MinLearningRate, warmup, steps),
            },
            Unit = ScheduleUnit.Steps,
            Optimizer = new OptimizerOptions { Matrices = _options.Optimizer, AdamW = _options.AdamW, WeightDecay = _options.WeightDecay },
            ClipNorm = _options.ClipNorm,
            NotFinite = _options.NotFinite,
            BalanceWeight = _options.BalanceWeight,
            RecomputeBlocks = _options.Recompute,
            Parameters = _options.Parameters,
            LoraPlusRatio = _options.LoraPlusRatio,
            EmbeddingNoise = _options.EmbeddingNoise,
            Objective = _options.DynamicLoss ? TrainingObjective.DynamicFineTuning : TrainingObjective.CrossEntropy,
            ChannelLosses = _options.ChannelLosses,
            NextTokenDepths = _options.NextTokenDepths,
            NextTokenWeight = Schedule.Constant(_options.NextTokenWeight),
            Seed = _options.Rows.Seed,
        };
    }

    private void DropOptimizer()
    {
        foreach (string checkpoint in Directory.EnumerateDirectories(_options.Run.Folder, "checkpoint-*"))
        {
            if (Directory.Exists(Path.Combine(checkpoint, "optimizer")) && CheckpointManifest.Problem(checkpoint, reads: false) is null)
                CheckpointManifest.Remove(checkpoint, "optimizer");
        }
    }
}
