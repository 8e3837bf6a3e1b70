using Glimmer.Models;
using Glimmer.Training.Checkpoints;
using Glimmer.Training.Loops;
using Glimmer.Training.Optimizers;
using Glimmer.Training.Schedules;

namespace Glimmer.Training.Sft;

/// <summary>How the learning rate falls after the warm-up.</summary>
public enum RateDecay
{
    /// <summary>Half a cosine.</summary>
    Cosine,

    /// <summary>A straight line.</summary>
    Linear,

    /// <summary>It does not fall.</summary>
    Constant,

    /// <summary>It stays, and falls over the last steps alone (WSD).</summary>
    WarmupStableDecay,

    /// <summary>With the root of the steps: <c>peak sqrt(warmup / step)</c>.</summary>
    InverseSquareRoot,
}

/// <summary>A run of supervised fine-tuning. Defaults are those of ms-swift where it has the option.</summary>
public sealed record SftOptions
{
    /// <summary>Folder or file of the model to start from; also one under Megatron-core's names.</summary>
    public required string Model { get; init; }

    /// <summary>Data files; <c>path#n</c> takes a sample of n records.</summary>
    public IReadOnlyList<string> Dataset { get; init; } = [];

    /// <summary>Data files that are held out as a whole.</summary>
    public IReadOnlyList<string> ValidationDataset { get; init; } = [];

    /// <summary>Share of the records that is held out, chosen by the hash of each.</summary>
    public double SplitDatasetRatio { get; init; }

    /// <summary>Whether a bad record ends the run; otherwise it is left out and reported.</summary>
    public bool Strict { get; init; }

    /// <summary>How records become tokens and loss weights.</summary>
    public SftSampleOptions Sample { get; init; } = new();

    /// <summary>Whether empty think blocks carry no loss where the template can think, as ms-swift has it by itself.</summary>
    public bool IgnoreEmptyThink { get; init; } = true;

    /// <summary>Most tokens of a sample, and the length of a packed row; null for what the model was made for.</summary>
    public int? MaxLength { get; init; }

    /// <summary>What happens to longer samples.</summary>
    public TruncationStrategy Truncation { get; init; } = TruncationStrategy.Delete;

    /// <summary>Packing, batches, epochs, order. The row length is <see cref="MaxLength"/>.</summary>
    public SftRowOptions Rows { get; init; } = new();

    /// <summary>The adapter to train; null trains the model's own weights.</summary>
    public LoraOptions? Lora { get; init; }

    /// <summary>Which weights of the model are trained without an adapter; null for all.</summary>
    public ParameterSelection? Parameters { get; init; }

    /// <summary>LoRA+: factor of the learning rate of the factors B.</summary>
    public double LoraPlusRatio { get; init; } = 1;

    /// <summary>Size of NEFTune's noise on the embeddings; 0 for none.</summary>
    public double EmbeddingNoise { get; init; }

    /// <summary>Whether each target's loss is multiplied by its probability (DFT).</summary>
    public bool DynamicLoss { get; init; }

    /// <summary>Whether the loss of each named source is logged in every step.</summary>
    public bool ChannelLosses { get; init; }

    /// <summary>Depths of the MTP loss, for a model with an MTP layer; 0 for none, which leaves the layer as it is.</summary>
    public int NextTokenDepths { get; init; }

    /// <summary>Weight of the MTP loss.</summary>
    public double NextTokenWeight { get; init; } = 0.1;

    /// <summary>Highest learning rate; null for 1e-4 with an adapter and 1e-5 without.</summary>
    public double? LearningRate { get; init; }

    /// <summary>Learning rate at the end.</summary>
    public double MinLearningRate { get; init; }

    /// <summary>Steps of the warm-up as a share of all steps, rounded up. Not looked at when <see cref="WarmupSteps"/> is set.</summary>
    public double WarmupFraction { get; init; }

    /// <summary>Steps of the warm-up; null for the share.</summary>
    public long? WarmupSteps { get; init; }

    /// <summary>How the learning rate falls.</summary>
    public RateDecay Decay { get; init; } = RateDecay.Cosine;

    /// <summary>Steps of the fall of <see cref="RateDecay.WarmupStableDecay"/>; null for a tenth of all.</summary>
    public int? StableDecaySteps { get; init; }

    /// <summary>Shape of that fall.</summary>
    public DecayShape StableDecayShape { get; init; } = DecayShape.Exponential;

    /// <summary>What a step does whose gradient is not finite.</summary>
    public NotFiniteGradient NotFinite { get; init; } = NotFiniteGradient.Stop;

    /// <summary>Rule of the matrices. Adapters always use AdamW.</summary>
    public MatrixRule Optimizer { get; init; } = MatrixRule.AdamW;

    /// <summary>AdamW.</summary>
    public AdamWOptions AdamW { get; init; } = new();

    /// <summary>Decoupled decay of matrices.</summary>
    public float WeightDecay { get; init; } = 0.1f;

    /// <summary>Largest gradient norm; null for none.</summary>
    public double? ClipNorm { get; init; } = 1;

    /// <summary>Weight of the sequence balance loss of the routers. Their biases never move in fine-tuning.</summary>
    public double BalanceWeight { get; init; }

    /// <summary>Whether layers run again in the backward pass instead of keeping what they computed: less memory, the same bits.</summary>
    public bool Recompute { get; init; }

    /// <summary>Folder of the run, and when evaluations and checkpoints are made. Steps are set from the data unless given.</summary>
    public required RunOptions Run { get; init; }

    /// <summary>How checkpoints store the weights of a model that is trained as a whole. Factors of adapters are stored in fp32.</summary>
    public WeightStorage Storage { get; init; }

    /// <summary>Whether checkpoints lose the optimizer's state when the run is over: small, but nothing goes on from them.</summary>
    public bool DropOptimizer { get; init; }

    /// <summary>Computing threads; changes no number.</summary>
    public int Threads { get; init; } = Environment.ProcessorCount;
}
