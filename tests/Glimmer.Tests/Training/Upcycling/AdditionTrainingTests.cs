using Glimmer.Inference;
using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Tensors;
using Glimmer.Training;
using Glimmer.Training.Batching;
using Glimmer.Training.Checkpoints;
using Glimmer.Training.Loops;
using Glimmer.Training.Optimizers;
using Glimmer.Training.Schedules;
using Glimmer.Training.Upcycling;

namespace Glimmer.Tests.Training.Upcycling;

/// <summary>Factors, experts, new rows and the MTP layer are trained together on a quantised trunk that stays as it is.</summary>
public sealed class AdditionTrainingTests
{
    [Fact]
    public void Training_lowers_the_losses_and_leaves_the_trunk_alone()
    {
        using var folder = new TemporaryFolder();
        using var run = new Run(TinyTrunk.Upcycle(folder));
        StepReport first = run.Step(), last = first;
        for (int i = 0; i < 20; i++)
            last = run.Step();
        Assert.True(last.Loss < first.Loss / 2, $"{first.Loss} -> {last.Loss}");
        Assert.True(last.NextTokenLosses[0] < first.NextTokenLosses[0] / 2, $"{first.NextTokenLosses[0]} -> {last.NextTokenLosses[0]}");
        Assert.Equal(3, last.Experts.Count);
        Assert.DoesNotContain(run.Model.Parameters, parameter => parameter.Gradient is not null && !run.Trained.Contains(parameter));
        Assert.All(run.Trained, parameter => Assert.Contains(parameter.Gradient!.F32.ToArray(), value => value != 0));
    }

    [Fact]
    public void Stored_state_goes_on_bit_for_bit_and_is_a_model()
    {
        using var folder = new TemporaryFolder();
        string addition = TinyTrunk.Upcycle(folder);
        using var run = new Run(addition);
        run.Step();
        run.Step();
        string saved = new CheckpointFolder(folder["run"], run.Weights).Save(run.Trainer, "{}");
        StepReport expected = run.Step();

        using var again = new Run(addition);
        var checkpoints = new CheckpointFolder(folder["run"], again.Weights);
        checkpoints.Restore(checkpoints.Latest!, again.Trainer);
        Assert.Equal(expected.Loss, again.Step().Loss);
        foreach ((Parameter mine, Parameter other) in run.Trained.Zip(again.Trained))
            Tests.Models.EqualBits.AssertSame(mine.Value!.F32, other.Value!.F32, mine.Name);

        using LoadedModel model = LoadedModel.Open(saved, 1);
        Assert.NotNull(model.Model.Adapter);
    }

    [Fact]
    public void Published_addition_is_half_as_large_and_gives_nearly_the_same_losses()
    {
        using var folder = new TemporaryFolder();
        using var run = new Run(TinyTrunk.Upcycle(folder));
        for (int i = 0; i < 10; i++)
            run.Step();
        run.Weights.Write(folder["full"]);
        run.Weights.Write(folder["published"], DType.BF16);
        Assert.True(Bytes("published", "model") < 0.7 * Bytes("full", "model"));
        Assert.True(Bytes("published", "adapter_model") < 0.6 * Bytes("full", "adapter_model"));
        using var full = new Run(folder["full"]);
        using var published = new Run(folder["published"]);
        Assert.Equal(full.Step().Loss, published.Step().Loss, tolerance: 0.05);

        long Bytes(string name, string file) => new FileInfo(Path.Combine(folder[name], file + ".safetensors")).Length;
    }

    [Fact]
    public void Weakened_addition_lies_between_the_trunk_and_what_was_trained()
    {
        using var folder = new TemporaryFolder();
        using var run = new Run(TinyTrunk.Upcycle(folder));
        double start = run.Step().Loss;
        for (int i = 0; i < 20; i++)
            run.Step();
        double trained = run.Step().Loss;
        run.Weights.Weaken(0.5f);
        double half = run.Loss();
        run.Weights.Weaken(0);
        double none = run.Loss();
        Assert.True(trained < half && half < none, $"{start} -> {trained}, half {half}, none {none}");
        Assert.Throws<ArgumentOutOfRangeException>(() => run.Weights.Weaken(1.5f));
    }

    [Fact]
    public void Bits_depend_neither_on_threads_nor_on_recomputation()
    {
        using var folder = new TemporaryFolder();
        string addition = TinyTrunk.Upcycle(folder);
        using var one = new Run(addition);
        using var other = new Run(addition, threads: 3, recompute: true);
        for (int i = 0; i < 2; i++)
            Assert.Equal(one.Step().Loss, other.Step().Loss);
        foreach ((Parameter mine, Parameter theirs) in one.Trained.Zip(other.Trained))
            Tests.Models.EqualBits.AssertSame(mine.Value!.F32, theirs.Value!.F32, mine.Name);
    }

    private sealed class Run : IDisposable
    {
        private readonly Checkpoint _checkpoint;
        private readonly Compute _c;
        private readonly MicroBatch _batch;

        public Run(string folder, int threads = 1, bool recompute = false)
        {
            _c = new Compute(threads);
            _checkpoint = Checkpoint.Open(folder);
            Model = _checkpoint.LoadModel(_c.Team);
            Weights = new AdditionWeights(Model, _checkpoint);
            IReadOnlyList<ParameterRule> rules = AdditionRules.For(Model, Weights, new AdditionRates());
            Trained = [.. rules.Select(rule => rule.Parameter)];
            Trainer = new Trainer(Model, _c, new TrainerOptions
            {
                LearningRate = Schedule.Constant(1e-2),
                NextTokenDepths = 1,
                BiasRate = Schedule.Constant(1e-3),
                RecomputeBlocks = recompute,
                Optimizer = new OptimizerOptions { Matrices = MatrixRule.AdamW },
            }, rules);
            var tokenizer = LoadedModel.OpenTokenizer(_checkpoint);
            int[] Encode(string text) => [.. tokenizer.Encode(text), tokenizer.TokenToId("<|user|>")!.Value];
            TrainingDocument[] documents = [.. new[] { "<|user|>", "What is 3 + 4? The answer is seven.", "The capital of Peru is Lima." }
                .Select(text => TrainingDocument.NextToken([tokenizer.TokenToId("<|assistant|>")!.Value, .. Encode(text)]))];
            _batch = new MicroBatch([documents]);
        }

        public CausalLm Model { get; }

        public AdditionWeights Weights { get; }

        public Trainer Trainer { get; }

        public Parameter[] Trained { get; }

        public StepReport Step() => Trainer.Step([_batch]);

        public double Loss() => HeldOutLoss.Of(Model, _c, [_batch]).Loss;

        public void Dispose()
        {
            Trainer.Dispose();
            Model.Dispose();
            _checkpoint.Dispose();
            _c.Dispose();
        }
    }
}
