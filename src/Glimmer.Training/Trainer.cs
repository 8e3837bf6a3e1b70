using System.Globalization;
using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Tensors;
using Glimmer.Training.Balance;
using Glimmer.Training.Batching;
using Glimmer.Training.Checkpoints;
using Glimmer.Training.Distributed;
using Glimmer.Training.Objectives;
using Glimmer.Training.Optimizers;

namespace Glimmer.Training;

/// <summary>Trains a model step by step: the one place where losses, gradients, clipping, optimizer and balance come together.</summary>
/// <remarks>
/// <para>The objective of a step is, unless the options say otherwise, <c>CE + lambda / D sum_j MTP_j + beta sum_routers Balance (+ z-loss)</c>. Every mean is over the targets of the whole
/// step: sums of all micro-batches are divided by one
/// count, so that how a batch is cut into micro-batches changes rounding only.</para>
/// <para>The bits of a step depend on model, batch and options, not on the number of threads, of ranks or on recomputation. With several ranks every call here is collective: all make it, with the same
/// arguments.</para>
/// </remarks>
public sealed class Trainer : IDisposable
{
    private readonly Compute _c;
    private readonly TrainerOptions _options;
    private readonly IReadOnlyList<Parameter> _trained;
    private readonly RouterBalance _balance;
    private readonly DataParallel _parallel;
    private readonly ExpertParallel? _experts;

    /// <summary>Prepares a model for training: fp32 values, gradients, optimizer state, of what the options select.</summary>
    /// <param name="model">The model. It must outlive the trainer.</param>
    /// <param name="c">Context whose threads train; used by the trainer alone while a step runs.</param>
    /// <param name="options">How to train.</param>
    /// <param name="ranks">The ranks that train together, each with the same model; null for this process alone.</param>
    /// <exception cref="ArgumentException">MTP is asked for but the model has no MTP layer.</exception>
    public Trainer(CausalLm model, Compute c, TrainerOptions options, Communicator? ranks = null)
        : this(model, c, options, Rules(model, options), ranks)
    {
    }

    /// <summary>Prepares the training of an adapter: its factors learn, the model stays as it is.</summary>
    /// <param name="model">The model, with the adapter attached. It must outlive the trainer.</param>
    /// <param name="c">Context whose threads train.</param>
    /// <param name="options">How to train. AdamW updates the factors; the rate of the balance bias must be 0.</param>
    /// <param name="adapter">The adapter.</param>
    public Trainer(CausalLm model, Compute c, TrainerOptions options, LoraAdapter adapter)
        : this(model, c, options, ParameterRule.For(adapter, options.Optimizer.WeightDecay, options.LoraPlusRatio))
    {
    }

    /// <summary>Prepares the training of some parameters of a model: weights of its own, factors of an attached adapter. Everything else stays as it is, of any type.</summary>
    /// <param name="model">The model. It must outlive the trainer.</param>
    /// <param name="c">Context whose threads train.</param>
    /// <param name="options">How to train.</param>
    /// <param name="rules">What is trained, each parameter once, and how.</param>
    /// <param name="ranks">The ranks that train together, each with the same model; null for this process alone.</param>
    public Trainer(CausalLm model, Compute c, TrainerOptions options, IReadOnlyList<ParameterRule> rules, Communicator? ranks = null)
    {
        if (options.NextTokenDepths > 0 && model.NextToken is null)
            throw new ArgumentException($"{options.NextTokenDepths} MTP depths are asked for, but the model has no MTP layer. Set NextTokenDepths to 0.", nameof(options));
        if (options.Indexer != IndexerStage.Frozen && model.Config.IndexTopk == 0)
            throw new ArgumentException($"Indexers are to learn, but this {model.Config.ModelType} model has none.", nameof(options));
        if (ranks is { Size: > 1 } && options.Objective is PreferenceObjective)
            throw new ArgumentException("A preference objective keeps a mean of all rewards, which ranks do not exchange: train it in one process.", nameof(options));
        if (options.ChannelLosses && !options.Objective.HasTokenLosses)
            throw new ArgumentException($"Losses by source are asked for, but {options.Objective.GetType().Name} has no loss of each token. Set ChannelLosses to false.", nameof(options));
        if (ranks is { Size: > 1 } && options.ChannelLosses)
            throw new ArgumentException("Losses by source are not exchanged between ranks. Set ChannelLosses to false, or train in one process.", nameof(options));
        (Model, _c, _options, _trained) = (model, c, options, [.. rules.Select(rule => rule.Parameter)]);
        _balance = new RouterBalance(model.Config.NumExpertsPerTok, options.BalanceWeight, options.ZLossWeight);
        if (options.ExpertParallel && ranks is { Size: > 1 })
            _experts = new ExpertParallel(model, ranks);
        _parallel = new DataParallel(rules, options.Optimizer, ranks ?? Communicator.Single, experts: _experts);
        c.ExpertRanks = _experts?.Places;
    }

    /// <summary>The model that is trained.</summary>
    public CausalLm Model { get; }

    /// <summary>The ranks that train together.</summary>
    public Communicator Ranks => _parallel.Ranks;

    /// <summary>The optimizer of what this rank owns, with its state: of everything, when it trains alone.</summary>
    public Optimizer Optimizer => _parallel.Optimizer;

    /// <summary>Steps taken.</summary>
    public long Steps { get; internal set; }

    /// <summary>Tokens that went through the model.</summary>
    public long TokensSeen { get; internal set; }

    /// <summary>Takes one step over a global batch.</summary>
    /// <param name="batch">The micro-batches, which run one after another.</param>
    /// <exception cref="ArgumentException">Nothing in the batch is to be predicted.</exception>
    /// <exception cref="ArithmeticException">A gradient is not finite, or a router or indexer met NaN, and the options say to stop. Weights and optimizer are unchanged.</exception>
    public StepReport Step(IReadOnlyList<MicroBatch> batch)
    {
        double now = _options.Unit == ScheduleUnit.Steps ? Steps : TokensSeen;
        double learningRate = _options.LearningRate.At(now), mtpWeight = _options.NextTokenWeight.At(now);
        long tokens = batch.Sum(micro => micro.TokenCount);
        double[] counts = [.. Enumerable.Range(0, _options.NextTokenDepths + 1).Select(depth => batch.Sum(micro => micro.WeightOf(depth)))];
        if (counts[0] == 0)
            throw new ArgumentException($"Nothing in the batch of step {Steps} is to be predicted: every target is masked.", nameof(batch));

        var own = new List<MicroBatchFigures>();
        string? failure = null; // what a choice among NaN said
        ChannelLosses? channels = _options.ChannelLosses ? new ChannelLosses() : null;
        _parallel.Gradients.Begin(batch.Count);
        _balance.Begin(_c, batch.Sum(micro => micro.Rows.Count), tokens);
        _options.Objective.Begin(batch);
        try
        {
            for (int first = 0; first < batch.Count; first += Ranks.Size)
            {
                int mine = first + Ranks.Rank;
                MicroBatchFigures? figures = _experts is not null ? InStep(() => ForwardBackward(batch, mine < batch.Count ? mine : first, counts, tokens, mtpWeight, channels))
                    : Ranks.Together(() => mine < batch.Count ? Guarded(() => ForwardBackward(batch, mine, counts, tokens, mtpWeight, channels), counts.Length, failed => failure ??= failed) : null);
                if (mine < batch.Count)
                    own.Add(figures!);
                _parallel.Gradients.AddRound(_c.Team);
            }
        }
        finally
        {
            (_c.Dropout, _c.EmbeddingNoise, _c.IndexerObjective) = (null, null, null);
            RouterBalance.End(_c);
        }

        var total = new MicroBatchFigures(counts.Length);
        foreach (MicroBatchFigures figures in MicroBatchFigures.InOrder(Ranks, own, batch.Count, Model.Parameters))
            total.Add(figures);
        failure = Ranks.Size == 1 ? failure : Ranks.AllGather(failure ?? "").FirstOrDefault(message => message.Length > 0);
        double norm = failure is null ? _parallel.GradientNorm() : double.NaN;
        double clip = _options.ClipNorm is { } most ? GradientClipping.Coefficient(norm, most) : 1;
        string? broken = failure is not null ? FirstBrokenWeight() ?? "forward pass" : double.IsFinite(norm) ? null : _parallel.FirstNotFinite() ?? "the sum of squares";
        if (broken is not null && _options.NotFinite == NotFiniteGradient.Stop)
        {
            string what = failure is null ? $"The gradient of '{broken}' is not finite in step {Steps} (loss {total.Losses[0]:g6})."
                : broken == "forward pass" ? $"The forward pass of step {Steps} is not finite: {failure}" : $"The weight '{broken}' is not finite in step {Steps}: {failure}";
            throw Ranks.FoundByAll(new ArithmeticException($"{what} Weights are unchanged: lower the learning rate or look at the batch."));
        }

        if (broken is null)
        {
            _parallel.Step(_c.Team, learningRate, (float)clip);
            if (_options.Indexer != IndexerStage.WarmUp)
                UpdateBiases(total.Routers, (float)_options.BiasRate.At(now));
        }

        StepReport report = Report(tokens, counts[0], total, mtpWeight, norm, clip, learningRate) with { SkippedBecauseOf = broken };
        if (channels is not null)
            report = report with { ChannelLosses = channels.Means };
        if (_options.Indexer != IndexerStage.Frozen)
        {
            double[] divergences = [.. total.Indexers.Values.Select(loss => loss / tokens)];
            double learnt = _options.IndexerWeight * divergences.Sum();
            report = report with { IndexerLosses = divergences, Objective = _options.Indexer == IndexerStage.WarmUp ? learnt : report.Objective + learnt };
        }

        Steps++;
        TokensSeen += tokens;
        return report;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _c.ExpertRanks = null;
        _parallel.Dispose();
        _experts?.Dispose();
    }

    /// <summary>The values of routed experts that lie on other ranks, by name, for a checkpoint: on the root; elsewhere, and when all experts are here, nothing. All ranks call.</summary>
    /// <param name="staging">Memory for them.</param>
    internal IReadOnlyDictionary<string, Tensor> ExpertsElsewhere(StagedTensors staging) => _experts?.Collect(staging) ?? new Dictionary<string, Tensor>();

    /// <summary>The state of the whole optimizer for a checkpoint, in the order of one that trains alone: on the root the tensors themselves, or copies of those of all ranks; elsewhere nothing.</summary>
    /// <param name="staging">Memory of the copies.</param>
    /// <param name="copy">Whether copies are wanted in any case, so that training may go on.</param>
    internal IReadOnlyList<KeyValuePair<string, Tensor>> OptimizerState(StagedTensors staging, bool copy) => _parallel.CollectState(staging, copy);

    // Without an MTP loss its layer has no gradient, and decay alone would wear it away.
    private static bool IsNextToken(CausalLm model, Parameter parameter) =>
        parameter.Name.StartsWith(string.Create(CultureInfo.InvariantCulture, $"model.layers.{model.Config.NumHiddenLayers}."), StringComparison.Ordinal);

    private static bool IsIndexer(Parameter parameter) => parameter.Name.Contains(".indexer.", StringComparison.Ordinal);

    // What no loss reaches is not trained: decay alone would move it.
    private static IReadOnlyList<ParameterRule> Rules(CausalLm model, TrainerOptions options)
    {
        IReadOnlyList<ParameterRule> all = options.Parameters is null
            ? ParameterRule.For(model, options.Optimizer)
            : ParameterRule.For(options.Parameters.Of(model), model.Config, options.Optimizer);
        return [.. all.Where(rule => (options.NextTokenDepths > 0 || !IsNextToken(model, rule.Parameter)) && (options.Indexer switch
        {
            IndexerStage.WarmUp => IsIndexer(rule.Parameter),
            IndexerStage.Frozen => !IsIndexer(rule.Parameter),
            _ => true,
        }))];
    }

    // The ranks meet in every layer, so all of them compute: one without a micro-batch computes the first of the round along, which nobody counts. And one that fails cannot tell the others in time.
    private MicroBatchFigures InStep(Func<MicroBatchFigures> work)
    {
        try
        {
            return work();
        }
        catch (Exception e) when (e is not CommunicatorException)
        {
            throw new CommunicatorException($"Rank {Ranks.Rank} failed: {e.Message} The other ranks end with it, because they need its experts; the run can go on from its last checkpoint.", e);
        }
    }

    // Routers and indexers refuse to choose among NaN, and the policy for gradients that are not finite decides about that too. (Where ranks share experts they end together: see InStep.)
    private MicroBatchFigures Guarded(Func<MicroBatchFigures> work, int losses, Action<string> failed)
    {
        try
        {
            return work();
        }
        catch (ArithmeticException e) when (e is not (OverflowException or DivideByZeroException))
        {
            failed(e.Message);
            _c.Tape = null;
            var figures = new MicroBatchFigures(losses);
            figures.Losses.AsSpan().Fill(double.NaN);
            return figures;
        }
    }

    private string? FirstBrokenWeight()
    {
        foreach (Parameter parameter in Model.Parameters.Concat(_trained))
        {
            if (parameter.Value is not { Type: DType.F32 } value)
                continue;
            foreach (float weight in value.F32)
            {
                if (!float.IsFinite(weight))
                    return parameter.Name;
            }
        }

        return null;
    }

    // One micro-batch, whose gradients start from zero.
    private MicroBatchFigures ForwardBackward(IReadOnlyList<MicroBatch> batch, int place, double[] counts, long tokens, double mtpWeight, ChannelLosses? channels)
    {
        MicroBatch micro = batch[place];
        var figures = new MicroBatchFigures(counts.Length);
        var draws = new DropoutDraws(_options.Seed, Steps, batch.Take(place).Sum(before => before.TokenCount));
        var indexer = _options.Indexer == IndexerStage.Frozen ? null : new IndexerObjective(_options.Indexer == IndexerStage.WarmUp, _options.IndexerWeight / tokens);
        _c.Dropout = draws;
        _c.EmbeddingNoise = _options.EmbeddingNoise > 0 ? new EmbeddingNoise((float)_options.EmbeddingNoise, draws) : null;
        _c.IndexerObjective = indexer;
        _parallel.Gradients.Clear();
        // In the warm-up layers compute the gradients of their indexers as they run: nothing has to be kept for a backward pass.
        Tape? tape = _options.Indexer == IndexerStage.WarmUp ? null : new Tape();
        _c.Begin(tape);
        _c.RecomputeBlocks = _options.RecomputeBlocks;
        _balance.BeginMicroBatch(micro.RowLengths, figures.Routers);
        Tensor hidden = Model.Forward(_c, BatchOf(micro, 0));
        figures.Losses[0] = _options.Objective.Loss(_c, hidden, Model.Head, micro, 1 / counts[0], channels);
        Tensor state = hidden;
        for (int depth = 1; depth < counts.Length; depth++)
        {
            // Positions without a token that far ahead are computed with id 0: they carry no loss, but they are routed.
            state = Model.NextToken!.Forward(_c, BatchOf(micro, depth), state);
            double scale = counts[depth] == 0 ? 0 : mtpWeight / (counts.Length - 1) / counts[depth];
            (int[] targets, float[] weights) = micro.TargetsOf(depth, scale);
            double loss = Model.NextToken.Loss(_c, state, targets, weights);
            figures.Losses[depth] = scale == 0 ? 0 : loss / (scale * counts[depth]);
        }

        tape?.Backward();
        _c.Tape = null;
        foreach ((int layer, double loss) in indexer?.Losses ?? [])
            figures.Indexers.Add(layer, loss);
        return figures;
    }

    /// <summary>The tokens of a micro-batch for the model (depth 0) or for a depth of MTP.</summary>
    internal static Batch BatchOf(MicroBatch micro, int depth)
    {
        var batch = new Batch();
        foreach (TrainingDocument document in micro.Documents)
            batch.AddDocument(depth == 0 ? document.Tokens : [.. Enumerable.Range(0, document.Tokens.Length).Select(i => document.TokenAhead(i, depth))]);
        return batch;
    }

    private static void UpdateBiases(IEnumerable<RouterLoad> routers, float rate)
    {
        foreach (RouterLoad router in routers)
        {
            ExpertLoad.UpdateBias(router.Bias.Value!.F32, router.Counts, rate);
            router.Bias.Touch();
        }
    }

    private StepReport Report(long tokens, double targetWeight, MicroBatchFigures total, double mtpWeight, double norm, double clip, double learningRate)
    {
        double[] losses = total.Losses, balance = [.. total.Routers.Select(router => router.BalanceLoss)];
        double mtp = losses.Length == 1 ? 0 : mtpWeight * losses[1..].Average();
        return new StepReport
        {
            Step = Steps,
            TokensSeen = TokensSeen,
            Tokens = tokens,
            TargetWeight = targetWeight,
            Loss = losses[0],
            NextTokenLosses = losses[1..],
            NextTokenWeight = mtpWeight,
            BalanceLosses = balance,
            Objective = losses[0] + mtp + (_options.BalanceWeight * balance.Sum()) + (_options.ZLossWeight * total.Routers.Sum(router => router.ZLoss)),
            GradientNorm = norm,
            ClipFactor = clip,
            LearningRate = learningRate,
            Experts = [.. total.Routers.Select(router => new ExpertLoad(router.Bias.Name, router.Counts))],
        };
    }
}
