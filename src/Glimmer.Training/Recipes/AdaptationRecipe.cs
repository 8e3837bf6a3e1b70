namespace Glimmer.Training.Recipes;

/// <summary>What <c>glimmer adapt-dsa</c> does: a model with attention over all keys becomes one whose indexers choose the keys. All lengths are in tokens, schedules count tokens seen in their phase.</summary>
/// <remarks>Properties have setters because generated JSON code would lose the defaults of init-only ones.</remarks>
public sealed record AdaptationRecipe
{
    /// <summary>Folder of the dense checkpoint, or of a run, whose last checkpoint it is: <c>glm_moe_dsa</c>, or <c>glm4_moe_lite</c>, which is given indexers.</summary>
    public string Model { get; set; } = "";

    /// <summary>Folder with <c>tokenizer.json</c>, template and generation settings, which are stored with every checkpoint. Default: those of the model.</summary>
    public string? Tokenizer { get; set; }

    /// <summary>Folder of the two runs, <c>warm-up</c> and <c>sparse</c>.</summary>
    public string Output { get; set; } = "";

    /// <summary>Seed of new indexers and of the order of the data; the second phase takes the next one.</summary>
    public ulong Seed { get; set; } = 42;

    /// <summary>Keys that each token attends to in the end; those of the model by default. GLM-5: 2,048.</summary>
    public int? IndexTopk { get; set; }

    /// <summary>Heads of new indexers. GLM-5: 32.</summary>
    public int IndexNHeads { get; set; } = 32;

    /// <summary>Width of a head of new indexers. GLM-5: 128.</summary>
    public int IndexHeadDim { get; set; } = 128;

    /// <summary>Factor of the indexers' loss. DeepSeek-V3.2: 1.</summary>
    public double IndexerWeight { get; set; } = 1;

    /// <summary>Tokens of a row; the longest context that the model was trained with is best.</summary>
    public int SequenceLength { get; set; } = 4096;

    /// <summary>How documents become rows: <c>best_fit</c>, which cuts none that fits, or <c>cut</c>.</summary>
    public Batching.RowPacking Packing { get; set; } = Batching.RowPacking.BestFit;

    /// <summary>Rows that go through the model at once.</summary>
    public int MicroBatchRows { get; set; } = 8;

    /// <summary>Where text comes from.</summary>
    public IReadOnlyList<DataRecipe> Data { get; set; } = [];

    /// <summary>Whether shards are read as a whole and compared with their hashes before the first step.</summary>
    public bool VerifyData { get; set; } = true;

    /// <summary>Rows to measure losses and the choice of keys on, which are not trained on.</summary>
    public HeldOutRecipe? HeldOut { get; set; }

    /// <summary>Phase 1: only the indexers learn, from attention over all keys. GLM-5: 1,000 steps, 5e-3 to 2e-4.</summary>
    public PhaseRecipe WarmUp { get; set; } = new();

    /// <summary>Phase 2: everything learns, attention runs over the chosen keys. GLM-5: 20e9 tokens at 1e-5.</summary>
    public PhaseRecipe Sparse { get; set; } = new();

    /// <summary>Optimizer.</summary>
    public OptimizerRecipe Optimizer { get; set; } = new();

    /// <summary>Loss of the MTP layer in the second phase; its own indexer learns in both when there are depths.</summary>
    public MtpRecipe Mtp { get; set; } = new();

    /// <summary>Balance of the experts in the second phase. The rate of the bias is 0 by default: that of pre-training has done its work.</summary>
    public AdaptationBalanceRecipe Balance { get; set; } = new();

    /// <summary>Whether layers keep only their input and run again in the backward pass.</summary>
    public bool Recompute { get; set; }

    /// <summary>Checkpoints.</summary>
    public SaveRecipe Save { get; set; } = new();

    /// <summary>What happens when a gradient is not finite: <c>stop</c> or <c>skip</c> the step.</summary>
    public NotFiniteGradient NotFinite { get; set; } = NotFiniteGradient.Stop;

    /// <summary>Reads a recipe; see <see cref="RecipeFile.Load"/>.</summary>
    public static AdaptationRecipe Load(string? path, IEnumerable<KeyValuePair<string, string>> overrides) => RecipeFile.Load(path, overrides, RecipeJson.Default.AdaptationRecipe);

    /// <summary>A phase as a stage of training on text.</summary>
    /// <param name="stage">The phase.</param>
    /// <param name="model">What it starts from.</param>
    /// <param name="output">Folder of its run.</param>
    internal TrainingRecipe StageOf(IndexerStage stage, string model, string output)
    {
        PhaseRecipe phase = stage == IndexerStage.WarmUp ? WarmUp : Sparse;
        return new TrainingRecipe
        {
            Model = model,
            Tokenizer = Tokenizer,
            Output = output,
            Seed = stage == IndexerStage.WarmUp ? Seed : Seed + 1,
            Tokens = phase.Tokens,
            SequenceLength = SequenceLength,
            Packing = Packing,
            MicroBatchRows = MicroBatchRows,
            Data = Data,
            VerifyData = VerifyData && stage == IndexerStage.WarmUp,
            HeldOut = HeldOut,
            Batch = phase.Batch,
            LearningRate = phase.LearningRate,
            Optimizer = Optimizer,
            Mtp = Mtp,
            Balance = new BalanceRecipe { BiasRate = Balance.BiasRate, SequenceWeight = Balance.SequenceWeight, ZLossWeight = Balance.ZLossWeight },
            IndexTopk = IndexTopk,
            Indexer = new IndexerRecipe { Stage = stage, Weight = IndexerWeight },
            Recompute = Recompute,
            Save = Save,
            NotFinite = NotFinite,
        };
    }
}

/// <summary>Length, batches and learning rate of a phase.</summary>
public sealed record PhaseRecipe
{
    /// <summary>Tokens of the phase.</summary>
    public long Tokens { get; set; }

    /// <summary>Size of a global batch.</summary>
    public BatchRecipe Batch { get; set; } = new();

    /// <summary>Learning rate; its peak must be given.</summary>
    public LearningRateRecipe LearningRate { get; set; } = new() { Peak = 0 };
}

/// <summary>Balance of the experts while a trained model is adapted.</summary>
public sealed record AdaptationBalanceRecipe
{
    /// <summary>Rate of the balance bias; 0 freezes it.</summary>
    public double BiasRate { get; set; }

    /// <summary>Weight of the sequence balance loss.</summary>
    public double SequenceWeight { get; set; } = 1e-4;

    /// <summary>Weight of the router's z-loss.</summary>
    public double ZLossWeight { get; set; }
}
