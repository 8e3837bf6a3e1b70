using System.Text.Json;
using System.Text.Json.Serialization;
using Glimmer.Training.Batching;
using Glimmer.Training.Checkpoints;
using Glimmer.Training.Optimizers;
using Glimmer.Training.Schedules;

namespace Glimmer.Training.Recipes;

/// <summary>What <c>glimmer pretrain</c> and <c>glimmer midtrain</c> do: one stage of training on text. All lengths are in tokens, all schedules count tokens seen.</summary>
/// <remarks>Properties have setters because generated JSON code would lose the defaults of init-only ones.</remarks>
public sealed record TrainingRecipe
{
    /// <summary>A <c>config.json</c>: start from random weights. Or a folder: start from the weights of a checkpoint, or of the last one of a run.</summary>
    public string Model { get; set; } = "";

    /// <summary>Folder with <c>tokenizer.json</c>, template and generation settings, which are stored with every checkpoint. Default: those of the model.</summary>
    public string? Tokenizer { get; set; }

    /// <summary>Folder of the run.</summary>
    public string Output { get; set; } = "";

    /// <summary>Seed of weights and of the order of the data.</summary>
    public ulong Seed { get; set; } = 42;

    /// <summary>Whether optimizer and counters of the run in <see cref="Model"/> go on too, so that one schedule spans both runs.</summary>
    public bool Continue { get; set; }

    /// <summary>Tokens seen at the end of the run; those of runs it continues count.</summary>
    public long Tokens { get; set; }

    /// <summary>Tokens of a row.</summary>
    public int SequenceLength { get; set; } = 4096;

    /// <summary>How documents become rows: <c>cut</c>, or <c>best_fit</c>, which cuts none that fits. Default: cut in pre-training, best_fit in mid-training.</summary>
    public RowPacking? Packing { get; set; }

    /// <summary>Rows that go through the model at once; more are added up over several passes. Changes no number but rounding.</summary>
    public int MicroBatchRows { get; set; } = 8;

    /// <summary>Where text comes from.</summary>
    public IReadOnlyList<DataRecipe> Data { get; set; } = [];

    /// <summary>Whether shards are read as a whole and compared with their hashes before the first step of a run.</summary>
    public bool VerifyData { get; set; } = true;

    /// <summary>Rows to measure the loss on, which are not trained on.</summary>
    public HeldOutRecipe? HeldOut { get; set; }

    /// <summary>Size of a global batch.</summary>
    public BatchRecipe Batch { get; set; } = new();

    /// <summary>Learning rate.</summary>
    public LearningRateRecipe LearningRate { get; set; } = new();

    /// <summary>Optimizer.</summary>
    public OptimizerRecipe Optimizer { get; set; } = new();

    /// <summary>Loss of the MTP layer.</summary>
    public MtpRecipe Mtp { get; set; } = new();

    /// <summary>Balance of the experts.</summary>
    public BalanceRecipe Balance { get; set; } = new();

    /// <summary>Base of the rotary embedding, to change it; GLM goes from 10,000 to 1,000,000 when it goes to 32K.</summary>
    public double? RopeTheta { get; set; }

    /// <summary>Keys that each token attends to, <c>index_topk</c>, to change it: the length of the rows for attention over all of them, GLM-5's 2,048. Models with DSA only.</summary>
    public int? IndexTopk { get; set; }

    /// <summary>The indexers of DSA.</summary>
    public IndexerRecipe Indexer { get; set; } = new();

    /// <summary>Whether the ranks of <c>mpirun</c> share the routed experts instead of holding all of them each. The same bits with less memory.</summary>
    public bool ExpertParallel { get; set; }

    /// <summary>Whether layers keep only their input and run again in the backward pass.</summary>
    public bool Recompute { get; set; }

    /// <summary>Checkpoints.</summary>
    public SaveRecipe Save { get; set; } = new();

    /// <summary>What happens when a gradient is not finite: <c>stop</c> or <c>skip</c> the step.</summary>
    public NotFiniteGradient NotFinite { get; set; } = NotFiniteGradient.Stop;

    /// <summary>Reads a recipe; see <see cref="RecipeFile.Load"/>.</summary>
    public static TrainingRecipe Load(string? path, IEnumerable<KeyValuePair<string, string>> overrides) => RecipeFile.Load(path, overrides, RecipeJson.Default.TrainingRecipe);
}

/// <summary>A source of text.</summary>
public sealed record DataRecipe
{
    /// <summary>A file or folder of tokenised shards.</summary>
    public string Path { get; set; } = "";

    /// <summary>Name in states and logs; the file's name by default.</summary>
    public string? Name { get; set; }

    /// <summary>Share, in proportion to the other sources.</summary>
    public double Weight { get; set; } = 1;

    /// <summary>Times that it may be read; then the others fill its place. Unlimited by default.</summary>
    public double? MaxEpochs { get; set; }
}

/// <summary>Held-out rows.</summary>
public sealed record HeldOutRecipe
{
    /// <summary>A file or folder of tokenised shards.</summary>
    public string Path { get; set; } = "";

    /// <summary>Rows to take from it; the same ones whatever the seed.</summary>
    public int Rows { get; set; } = 64;

    /// <summary>Steps between two measurements; 0 for one at the end.</summary>
    public int Every { get; set; } = 100;
}

/// <summary>Size of a global batch: it rises linearly and is rounded down to whole rows.</summary>
public sealed record BatchRecipe
{
    /// <summary>Tokens after the ramp.</summary>
    public long Tokens { get; set; } = 32_768;

    /// <summary>Tokens at the beginning; <see cref="Tokens"/> by default.</summary>
    public long? StartTokens { get; set; }

    /// <summary>Tokens seen at the end of the ramp.</summary>
    public long RampTokens { get; set; }
}

/// <summary>Shape of a learning rate.</summary>
public enum LearningRateShape
{
    /// <summary>Half a cosine from peak to final.</summary>
    Cosine,

    /// <summary>A straight line from peak to final.</summary>
    Linear,

    /// <summary>The peak all the time.</summary>
    Constant,

    /// <summary>Constant, then a fall over <see cref="LearningRateRecipe.DecayTokens"/>.</summary>
    Wsd,

    /// <summary>Falls with the square root.</summary>
    InverseSqrt,
}

/// <summary>Learning rate, with a linear warm-up from 0.</summary>
public sealed record LearningRateRecipe
{
    /// <summary>Shape.</summary>
    public LearningRateShape Shape { get; set; } = LearningRateShape.Cosine;

    /// <summary>Highest rate. GLM-4.5: 2.5e-4.</summary>
    public double Peak { get; set; } = 2.5e-4;

    /// <summary>Last rate; a tenth of the peak by default.</summary>
    public double? Final { get; set; }

    /// <summary>Tokens seen at the end of the warm-up.</summary>
    public double WarmupTokens { get; set; }

    /// <summary>Tokens seen at the end of the fall; the end of the run by default. One cosine over several runs names the end of the last.</summary>
    public double? EndTokens { get; set; }

    /// <summary>Tokens of the fall of <see cref="LearningRateShape.Wsd"/>.</summary>
    public double DecayTokens { get; set; }

    /// <summary>The schedule of a run that ends at <paramref name="end"/>.</summary>
    public Schedule Schedule(double end) => Shape switch
    {
        LearningRateShape.Cosine => LearningRates.Cosine(Peak, Final ?? Peak / 10, WarmupTokens, EndTokens ?? end),
        LearningRateShape.Linear => LearningRates.Linear(Peak, Final ?? Peak / 10, WarmupTokens, EndTokens ?? end),
        LearningRateShape.Constant => LearningRates.Constant(Peak, WarmupTokens),
        LearningRateShape.Wsd => LearningRates.WarmupStableDecay(DecayShape.Linear, Peak, Final ?? Peak / 10, WarmupTokens, DecayTokens, EndTokens ?? end),
        LearningRateShape.InverseSqrt => LearningRates.InverseSquareRoot(Peak, Final ?? 0, WarmupTokens, WarmupTokens),
        _ => throw new ArgumentOutOfRangeException(nameof(end), Shape, null),
    };
}

/// <summary>Optimizer; the defaults are GLM's.</summary>
public sealed record OptimizerRecipe
{
    /// <summary>What updates hidden matrices: <c>muon</c> or <c>adam_w</c>. Embedding, head, norms and biases always go to AdamW.</summary>
    public MatrixRule Matrices { get; set; } = MatrixRule.Muon;

    /// <summary>Decoupled decay of matrices.</summary>
    public float WeightDecay { get; set; } = 0.1f;

    /// <summary>Momentum of Muon.</summary>
    public float Momentum { get; set; } = 0.95f;

    /// <summary>First decay rate of AdamW.</summary>
    public double Beta1 { get; set; } = 0.9;

    /// <summary>Second decay rate of AdamW.</summary>
    public double Beta2 { get; set; } = 0.95;

    /// <summary>Largest global norm of the gradients; null to leave them.</summary>
    public double? ClipNorm { get; set; } = 1;

    /// <summary>The options of the optimizer.</summary>
    internal OptimizerOptions ToOptions() => new()
    {
        Matrices = Matrices,
        WeightDecay = WeightDecay,
        Muon = new MuonOptions { Momentum = Momentum },
        AdamW = new AdamWOptions { Beta1 = Beta1, Beta2 = Beta2 },
    };
}

/// <summary>Loss of the MTP layer.</summary>
public sealed record MtpRecipe
{
    /// <summary>Depths; 0 leaves the layer as it is. GLM-4.5: 1, GLM-5: 3.</summary>
    public int Depths { get; set; }

    /// <summary>Weight. GLM-4.5: 0.3 at first.</summary>
    public double Weight { get; set; } = 0.3;

    /// <summary>Weight from <see cref="FinalFromTokens"/> on. GLM-4.5: 0.1.</summary>
    public double? FinalWeight { get; set; }

    /// <summary>Tokens seen from which the final weight holds.</summary>
    public double FinalFromTokens { get; set; }
}

/// <summary>Balance of the experts; the defaults are GLM-4.5's.</summary>
public sealed record BalanceRecipe
{
    /// <summary>Rate of the balance bias; 0 freezes it.</summary>
    public double BiasRate { get; set; } = 1e-3;

    /// <summary>Weight of the sequence balance loss.</summary>
    public double SequenceWeight { get; set; } = 1e-4;

    /// <summary>Weight of the router's z-loss.</summary>
    public double ZLossWeight { get; set; }
}

/// <summary>How the indexers of DSA learn.</summary>
public sealed record IndexerRecipe
{
    /// <summary><c>frozen</c>: not at all. <c>warm_up</c>: they alone, from attention over all keys. <c>sparse</c>: beside the model, from attention over the keys they choose.</summary>
    public IndexerStage Stage { get; set; } = IndexerStage.Frozen;

    /// <summary>Factor of their loss. DeepSeek-V3.2: 1.</summary>
    public double Weight { get; set; } = 1;
}

/// <summary>Checkpoints.</summary>
public sealed record SaveRecipe
{
    /// <summary>Steps between two checkpoints; 0 for one at the end.</summary>
    public int Every { get; set; } = 200;

    /// <summary>Checkpoints that stay.</summary>
    public int Keep { get; set; } = 2;

    /// <summary>How weights are stored: <c>float32</c>, or <c>bfloat16</c>, with the fp32 weights that training goes on from beside the optimizer.</summary>
    public WeightStorage Weights { get; set; }

    /// <summary>Whether training goes on while one is written.</summary>
    public bool Asynchronous { get; set; }
}

/// <summary>Generated JSON code of recipes.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    Converters = [typeof(SnakeCaseNames<RowPacking>), typeof(SnakeCaseNames<LearningRateShape>), typeof(SnakeCaseNames<MatrixRule>), typeof(SnakeCaseNames<NotFiniteGradient>), typeof(SnakeCaseNames<WeightStorage>), typeof(SnakeCaseNames<IndexerStage>)])]
[JsonSerializable(typeof(TrainingRecipe))]
[JsonSerializable(typeof(AdaptationRecipe))]
internal sealed partial class RecipeJson : JsonSerializerContext;

/// <summary>Values of an enumeration as words in snake case.</summary>
internal sealed class SnakeCaseNames<T>() : JsonStringEnumConverter<T>(JsonNamingPolicy.SnakeCaseLower)
    where T : struct, Enum;
