using Glimmer.Kernels;
using Glimmer.Operations;
using Glimmer.Tensors;

namespace Glimmer.Models;

/// <summary>
/// A causal language model: embedding, decoder layers, final norm, output matrix. One forward pass serves prefill, decode, draft verification,
/// scoring and training; a <see cref="Batch"/> says what it runs over, a tape in the <see cref="Compute"/> makes it differentiable.
/// </summary>
/// <remarks>A model may be shared by many sequences but runs one forward pass at a time. Architectures are in files of their own.</remarks>
public abstract class CausalLm : IDisposable
{
    private readonly List<DecoderLayer> _layers = [];
    private readonly IReadOnlyList<Parameter> _parameters;
    private readonly ForwardPass _pass;
    private readonly Parameter _embedding;
    private readonly Parameter _finalNorm;
    private readonly Parameter _head;
    private PackCache? _packCache;
    private ExpertStore? _experts;
    private LoraAdapter? _adapter;

    private protected CausalLm(ModelConfig config, ParameterLoader load)
    {
        Config = config;
        _parameters = load.Parameters;
        _pass = new ForwardPass(config);
        _embedding = load.VocabularyMatrix("model.embed_tokens.weight", config.VocabSize, config.HiddenSize);
        _finalNorm = load.Vector("model.norm.weight", config.HiddenSize);
        _head = load.IsTied(config) ? _embedding : load.VocabularyMatrix("lm_head.weight", config.VocabSize, config.HiddenSize);
        Rotation = NewRotation();
    }

    /// <summary>What config.json says.</summary>
    public ModelConfig Config { get; }

    /// <summary>Every weight, by checkpoint name.</summary>
    public IReadOnlyList<Parameter> Parameters => _parameters;

    /// <summary>What the cache of a sequence stores for each position.</summary>
    public IReadOnlyList<CacheSlot> CacheSlots { get; private set; } = [];

    /// <summary>How <see cref="NewCache"/> keeps keys and values unless it is told otherwise.</summary>
    public KeyValueType CacheType { get; set; }

    /// <summary>The MTP layer that drafts the token after the next; null when the checkpoint has none.</summary>
    public NextTokenHead? NextToken { get; private set; }

    /// <summary>How often experts were found in memory; null when all weights are there.</summary>
    public ExpertStatistics? ExpertStatistics => _experts?.Statistics;

    /// <summary>Where the packed weights come from when they are mapped, or null.</summary>
    public string? PackedPath => _packCache?.File?.Path;

    /// <summary>The embedding, [V, D].</summary>
    internal Parameter EmbeddingMatrix => _embedding;

    /// <summary>The output matrix, [V, D]; the embedding itself when they are tied.</summary>
    internal Parameter Head => _head;

    /// <summary>Rotary angles shared by all layers.</summary>
    internal Rotation Rotation { get; }

    /// <summary>Runs the trunk over a batch.</summary>
    /// <param name="c">Context, begun for this run.</param>
    /// <param name="batch">Tokens and layout. Keys and values of cached sequences are written to their pages.</param>
    /// <returns>Hidden states after the final norm, [T, D], valid until the context begins the next run.</returns>
    public Tensor Forward(Compute c, Batch batch)
    {
        // What a tape refers to must outlive this call: the backward pass may run a layer again.
        ForwardPass pass = c.Tape is null ? _pass : new ForwardPass(Config);
        pass.Begin(c, batch, firstLayer: 0, Config.NumHiddenLayers);
        Rotation.EnsurePositions(batch);
        c.AdapterRuns = pass.Batch.AdapterRuns;
        Tensor x = Embedding.Forward(c, batch.Tokens, _embedding, Config.PadTokenId); // [T, D]
        if (c.Tape is not null)
            c.EmbeddingNoise?.AddTo(batch, x);
        c.Observe("", "hidden.embed", x);
        foreach (DecoderLayer layer in _layers)
        {
            x = c.Block(x, (layer, pass), static (c, x, state) => state.layer.Forward(c, x, state.pass));
            if (c.Observer is not null)
                c.Observe("", $"hidden.layer{layer.Index}", x);
        }

        Tensor hidden = Normalisation.Forward(c, x, _finalNorm, Config.RmsNormEps);
        c.Observe("", "hidden.final_norm", hidden);
        return hidden;
    }

    /// <summary>Logits of hidden states: <c>h W^T</c>.</summary>
    /// <param name="c">Context.</param>
    /// <param name="hidden">[T, D].</param>
    /// <returns>[T, V].</returns>
    /// <remarks>Adapters are those of the last forward pass, whose rows these are.</remarks>
    public Tensor Logits(Compute c, Tensor hidden) => OutputProduct.Forward(c, hidden, _head);

    /// <summary>Logits of some rows of the hidden states of the last forward pass.</summary>
    /// <param name="c">Context.</param>
    /// <param name="hidden">[T, D].</param>
    /// <param name="rows">Row numbers, [R].</param>
    /// <returns>[R, V].</returns>
    public Tensor Logits(Compute c, Tensor hidden, ReadOnlySpan<int> rows)
    {
        Tensor chosen = Rows.Gather(c, hidden, rows);
        List<AdapterRun>? runs = c.AdapterRuns;
        c.SelectRows(rows);
        Tensor logits = Logits(c, chosen);
        c.AdapterRuns = runs;
        return logits;
    }

    /// <summary>An empty cache for sequences of this model.</summary>
    /// <param name="maxBlocks">Most blocks of 64 positions in use at a time.</param>
    /// <param name="type">How keys and values are kept; null for <see cref="CacheType"/>.</param>
    public KeyValueCache NewCache(int maxBlocks = int.MaxValue, KeyValueType? type = null) => new(CacheSlots, maxBlocks, type ?? CacheType);

    /// <summary>Weighted cross-entropy of next tokens, without ever holding all logits.</summary>
    /// <param name="c">Context. With a tape, <see cref="Tape.Backward"/> then gives the gradients.</param>
    /// <param name="hidden">[T, D].</param>
    /// <param name="targets">Token to predict at each row, [T]; negative for none.</param>
    /// <param name="weights">Weight of each row, [T].</param>
    /// <param name="logProbabilities">Receives <c>log p(target)</c>, [T]; may be empty.</param>
    public double Loss(Compute c, Tensor hidden, ReadOnlySpan<int> targets, ReadOnlySpan<float> weights, Span<float> logProbabilities = default) =>
        CrossEntropyLoss.Forward(c, hidden, _head, targets, weights, logProbabilities);

    /// <summary>Prepares every parameter for training: fp32 values and a gradient of zeros.</summary>
    public void EnableGradients()
    {
        foreach (Parameter parameter in _parameters)
        {
            if (!parameter.IsBuffer)
                parameter.EnableGradient();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _adapter?.Dispose();
        foreach (DecoderLayer layer in _layers)
            layer.Dispose();
        NextToken?.Dispose();
        foreach (Parameter parameter in _parameters)
            parameter.Dispose();
        Rotation.Dispose();
        _experts?.Dispose();
        _packCache?.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <summary>A number under which an adapter can be attached beside the others; 0 is that of the adapter of the model as a whole.</summary>
    internal int FreeAdapterNumber()
    {
        for (int number = 1; ; number++)
        {
            bool isFree = true;
            foreach (Parameter parameter in _parameters)
                isFree &= parameter.AdaptationOf(number) is null;
            if (isFree)
                return number;
        }
    }

    /// <summary>The adapter that is part of the checkpoint (of an addition to a trunk); null for none.</summary>
    public LoraAdapter? Adapter => _adapter;

    /// <summary>Attaches an adapter that belongs to the checkpoint.</summary>
    internal void KeepAdapter(LoraAdapter adapter)
    {
        _adapter = adapter;
        adapter.Attach(this);
    }

    /// <summary>Takes over what the packed weights live in. With a store, experts stay in the file and everything else moves into memory.</summary>
    internal void KeepPacked(PackCache? cache, ExpertStore? experts)
    {
        (_packCache, _experts) = (cache, experts);
        if (experts is not null)
            cache!.StartExperts(experts);
        foreach (Parameter parameter in _parameters)
        {
            if (experts is not null && !MemoryPlan.IsExpert(parameter.Name))
                parameter.PackedOrNull?.MoveToOwnMemory();
        }
    }

    /// <summary>Loads the layers; called by the constructor of an architecture.</summary>
    private protected void Build(ParameterLoader load)
    {
        bool hasNextToken = Config.NumNextnPredictLayers > 0 && load.Has($"model.layers.{Config.NumHiddenLayers}.eh_proj.weight");
        int layers = Config.NumHiddenLayers + (hasNextToken ? 1 : 0);
        load.Layers = layers;
        CacheSlots = Slots(layers);
        for (int i = 0; i < Config.NumHiddenLayers; i++)
            _layers.Add(NewLayer(load, i));
        for (int i = 1; i < _layers.Count; i++)
        {
            if (_layers[i - 1].Sparse is { } sparse)
                sparse.NextSparse = _layers[i].Sparse;
        }

        if (hasNextToken)
            NextToken = new NextTokenHead(this, load, NewLayer(load, Config.NumHiddenLayers));
    }

    /// <summary>Loads one layer of the architecture.</summary>
    private protected abstract DecoderLayer NewLayer(ParameterLoader load, int index);

    /// <summary>The cache slots of <paramref name="layers"/> layers; slot i belongs to the attention of layer i.</summary>
    private protected abstract IReadOnlyList<CacheSlot> Slots(int layers);

    /// <summary>The rotary embedding of the architecture.</summary>
    private protected abstract Rotation NewRotation();
}
