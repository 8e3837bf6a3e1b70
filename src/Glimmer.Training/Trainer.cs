using System.Globalization;
using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Tensors;
using Glimmer.Training.Balance;
using Glimmer.Training.Batching;
using Glimmer.Training.Optimizers;

namespace Glimmer.Training;

/// <summary>Trains a model step by step: the one place where losses, gradients, clipping, optimizer and balance come together.</summary>
/// <remarks>
/// <para>The objective of a step is, unless the options say otherwise, <c>CE + lambda / D sum_j MTP_j + beta sum_routers Balance (+ z-loss)</c>. Every mean is over the targets of the whole
/// step: sums of all micro-batches are divided by one
/// count, so that how a batch is cut into micro-batches changes rounding only.</para>
/// <para>The bits of a step depend on model, batch and options, not on the number of threads or on recomputation.</para>
/// </remarks>
public sealed class Trainer : IDisposable
{
    private readonly Compute _c;
    private readonly TrainerOptions _options;
    private readonly RouterBalance _balance;
    private readonly IReadOnlyList<Parameter> _trained;

    /// <summary>Prepares a model for training: fp32 values, gradients, optimizer state, of what the options select.</summary>
    /// <param name="model">The model. It must outlive the trainer.</param>
    /// <param name="c">Context whose threads train; used by the trainer alone while a step runs.</param>
    /// <param name="options">How to train.</param>
    /// <exception cref="ArgumentException">MTP is asked for but the model has no MTP layer.</exception>
    public Trainer(CausalLm model, Compute c, TrainerOptions options)
        : this(model, c, options, Rules(model, options))
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
    public Trainer(CausalLm model, Compute c, TrainerOptions options, IReadOnlyList<ParameterRule> rules)
    {
        if (options.NextTokenDepths > 0 && model.NextToken is null)
            throw new ArgumentException($"{options.NextTokenDepths} MTP depths are asked for, but the model has no MTP layer. Set NextTokenDepths to 0.", nameof(options));
        if (options.Indexer != IndexerStage.Frozen && model.Config.IndexTopk == 0)
            throw new ArgumentException($"Indexers are to learn, but this {model.Config.ModelType} model has none.", nameof(options));
        (Model, _c, _options) = (model, c, options);
        _trained = [.. rules.Select(rule => rule.Parameter)];
        _balance = new RouterBalance(model.Config.NumExpertsPerTok, options.BalanceWeight, options.ZLossWeight);
        Optimizer = new Optimizer(rules, options.Optimizer);
    }

    /// <summary>The model that is trained.</summary>
    public CausalLm Model { get; }

    /// <summary>The optimizer with its state.</summary>
    public Optimizer Optimizer { get; }

    /// <summary>Steps taken.</summary>
    public long Steps { get; internal set; }

    /// <summary>Tokens that went through the model.</summary>
    public long TokensSeen { get; internal set; }

    /// <summary>Takes one step over a global batch.</summary>
    /// <param name="batch">The micro-batches, which run one after another.</param>
    /// <exception cref="ArgumentException">Nothing in the batch is to be predicted.</exception>
    /// <exception cref="ArithmeticException">A gradient is not finite and the options say to stop. Weights and optimizer are unchanged.</exception>
    public StepReport Step(IReadOnlyList<MicroBatch> batch)
    {
        double now = _options.Unit == ScheduleUnit.Steps ? Steps : TokensSeen;
        double learningRate = _options.LearningRate.At(now), mtpWeight = _options.NextTokenWeight.At(now);
        long tokens = batch.Sum(micro => micro.TokenCount);
        double[] counts = [.. Enumerable.Range(0, _options.NextTokenDepths + 1).Select(depth => batch.Sum(micro => micro.WeightOf(depth)))];
        if (counts[0] == 0)
            throw new ArgumentException($"Nothing in the batch of step {Steps} is to be predicted: every target is masked.", nameof(batch));

        var losses = new double[counts.Length];
        ClearGradients();
        _balance.Begin(_c, batch.Sum(micro => micro.Rows.Count), tokens);
        _options.Objective.Begin(batch);
        IndexerObjective? indexer = _options.Indexer == IndexerStage.Frozen ? null : new IndexerObjective(_options.Indexer == IndexerStage.WarmUp, _options.IndexerWeight / tokens);
        _c.IndexerObjective = indexer;
        try
        {
            long firstRow = 0;
            foreach (MicroBatch micro in batch)
            {
                var draws = new DropoutDraws(_options.Seed, Steps, firstRow);
                _c.Dropout = draws;
                _c.EmbeddingNoise = _options.EmbeddingNoise > 0 ? new EmbeddingNoise((float)_options.EmbeddingNoise, draws) : null;
                ForwardBackward(micro, counts, mtpWeight, losses);
                firstRow += micro.TokenCount;
            }
        }
        finally
        {
            (_c.Dropout, _c.EmbeddingNoise, _c.IndexerObjective) = (null, null, null);
            RouterBalance.End(_c);
        }

        double norm = GradientClipping.Norm(_trained);
        double clip = _options.ClipNorm is { } most ? GradientClipping.Coefficient(norm, most) : 1;
        string? broken = double.IsFinite(norm) ? null : GradientClipping.FirstNotFinite(_trained)?.Name ?? "the sum of squares";
        if (broken is not null && _options.NotFinite == NotFiniteGradient.Stop)
            throw new ArithmeticException($"The gradient of '{broken}' is not finite in step {Steps} (loss {losses[0]:g6}). Weights are unchanged: lower the learning rate or look at the batch.");
        if (broken is null)
        {
            GradientClipping.Scale(_trained, (float)clip);
            Optimizer.Step(_c.Team, learningRate);
            if (_options.Indexer != IndexerStage.WarmUp)
                UpdateBiases((float)_options.BiasRate.At(now));
        }

        StepReport report = Report(tokens, counts[0], losses, mtpWeight, norm, clip, learningRate) with { SkippedBecauseOf = broken };
        if (indexer is not null)
        {
            double[] divergences = [.. indexer.Losses.Values.Select(loss => loss / tokens)];
            double learnt = _options.IndexerWeight * divergences.Sum();
            report = report with { IndexerLosses = divergences, Objective = _options.Indexer == IndexerStage.WarmUp ? learnt : report.Objective + learnt };
        }

        Steps++;
        TokensSeen += tokens;
        return report;
    }

    /// <inheritdoc/>
    public void Dispose() => Optimizer.Dispose();

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

    private void ForwardBackward(MicroBatch micro, double[] counts, double mtpWeight, double[] losses)
    {
        // In the warm-up layers compute the gradients of their indexers as they run: nothing has to be kept for a backward pass.
        Tape? tape = _options.Indexer == IndexerStage.WarmUp ? null : new Tape();
        _c.Begin(tape);
        _c.RecomputeBlocks = _options.RecomputeBlocks;
        _balance.BeginMicroBatch(micro.RowLengths);
        Tensor hidden = Model.Forward(_c, BatchOf(micro, 0));
        losses[0] += _options.Objective.Loss(_c, hidden, Model.Head, micro, 1 / counts[0]);
        Tensor state = hidden;
        for (int depth = 1; depth < counts.Length; depth++)
        {
            // Positions without a token that far ahead are computed with id 0: they carry no loss, but they are routed.
            state = Model.NextToken!.Forward(_c, BatchOf(micro, depth), state);
            double scale = counts[depth] == 0 ? 0 : mtpWeight / (counts.Length - 1) / counts[depth];
            (int[] targets, float[] weights) = micro.TargetsOf(depth, scale);
            double loss = Model.NextToken.Loss(_c, state, targets, weights);
            losses[depth] += scale == 0 ? 0 : loss / (scale * counts[depth]);
        }

        tape?.Backward();
        _c.Tape = null;
    }

    /// <summary>The tokens of a micro-batch for the model (depth 0) or for a depth of MTP.</summary>
    internal static Batch BatchOf(MicroBatch micro, int depth)
    {
        var batch = new Batch();
        foreach (TrainingDocument document in micro.Documents)
            batch.AddDocument(depth == 0 ? document.Tokens : [.. Enumerable.Range(0, document.Tokens.Length).Select(i => document.TokenAhead(i, depth))]);
        return batch;
    }

    private void ClearGradients()
    {
        foreach (Parameter parameter in _trained)
            parameter.Gradient?.F32.Clear();
    }

    private void UpdateBiases(float rate)
    {
        foreach (RouterBalance.Router router in _balance.Routers)
        {
            ExpertLoad.UpdateBias(router.Bias.Value!.F32, router.Counts, rate);
            router.Bias.Touch();
        }
    }

    private StepReport Report(long tokens, double targetWeight, double[] losses, double mtpWeight, double norm, double clip, double learningRate)
    {
        double[] balance = [.. _balance.Routers.Select(router => router.BalanceLoss)];
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
            Objective = losses[0] + mtp + (_options.BalanceWeight * balance.Sum()) + (_options.ZLossWeight * _balance.Routers.Sum(router => router.ZLoss)),
            GradientNorm = norm,
            ClipFactor = clip,
            LearningRate = learningRate,
            Experts = [.. _balance.Routers.Select(router => new ExpertLoad(router.Bias.Name, router.Counts))],
        };
    }
}
