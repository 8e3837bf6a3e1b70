using Glimmer.Chat;
using Glimmer.Kernels;
using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Tokenization;

namespace Glimmer.Inference;

/// <summary>Everything needed to talk with a model: weights, tokenizer, chat template, stop tokens, threads.</summary>
public sealed class LoadedModel : IDisposable
{
    private readonly Lazy<ChatTemplate?> _template;
    private Checkpoint _checkpoint;
    private LoraAdapter? _adapter;

    private LoadedModel(Checkpoint checkpoint, CausalLm model, Tokenizer tokenizer, ThreadTeam team)
    {
        (_checkpoint, Model, Tokenizer) = (checkpoint, model, tokenizer);
        Compute = new Compute(team);
        Team = team;
        _template = new Lazy<ChatTemplate?>(() => TokenizerFiles.TemplateOf(tokenizer));
        StopTokens = Stops(checkpoint, tokenizer);
        UnusedTokens = Enumerable.Range(0, model.Config.VocabSize).Where(id => id >= tokenizer.VocabularySize || !tokenizer.HasToken(id)).ToArray();
    }

    /// <summary>The folder or file.</summary>
    public string Path => _checkpoint.Path;

    /// <summary>The files that hold the weights.</summary>
    internal IEnumerable<string> WeightFiles => _checkpoint.Weights.Files.Select(file => file.File.Path);

    /// <summary>Folder of the adapter that <see cref="UseAdapter"/> loaded; null without one.</summary>
    public string? AdapterPath { get; private set; }

    /// <summary>How the checkpoint wants to be sampled.</summary>
    public GenerationConfig Generation => _checkpoint.Generation;

    /// <summary>Whether the file says that 8-bit activations are good enough to be its default.</summary>
    public bool PrefersQ8Activations => _checkpoint.PrefersQ8Activations;

    /// <summary>The model.</summary>
    public CausalLm Model { get; private set; }

    /// <summary>From text to ids and back.</summary>
    public Tokenizer Tokenizer { get; }

    /// <summary>From messages to prompts; null for a model without a chat template. Read at its first use, because continuing a text needs none.</summary>
    /// <exception cref="ModelFormatException">The template is malformed.</exception>
    public ChatTemplate? Template => _template.Value;

    /// <summary>Tokens that end an answer.</summary>
    public IReadOnlyCollection<int> StopTokens { get; }

    /// <summary>Ids of the output matrix that the tokenizer has no token for (padding rows); they must not be generated.</summary>
    public ReadOnlyMemory<int> UnusedTokens { get; }

    /// <summary>The computing threads.</summary>
    public ThreadTeam Team { get; }

    /// <summary>Where forward passes run.</summary>
    public Compute Compute { get; }

    /// <summary>Loads a model.</summary>
    /// <param name="path">A Hugging Face folder or a GGUF file.</param>
    /// <param name="threads">Computing threads.</param>
    /// <param name="progress">Told the share of the weights that is loaded, 0 to 1.</param>
    /// <param name="cancellationToken">Ends the loading between two tensors.</param>
    /// <exception cref="ModelFormatException">A file is missing or damaged.</exception>
    /// <exception cref="UnsupportedModelException">The architecture, the tokenizer or an option is not supported.</exception>
    public static LoadedModel Open(string path, int threads, IProgress<double>? progress = null, CancellationToken cancellationToken = default) =>
        Open(path, threads, new LoadOptions(), progress, cancellationToken);

    /// <summary>Loads a model.</summary>
    /// <param name="path">A Hugging Face folder or a GGUF file.</param>
    /// <param name="threads">Computing threads.</param>
    /// <param name="options">Where its packed weights are kept.</param>
    /// <param name="progress">Told the share of the weights that is loaded, 0 to 1.</param>
    /// <param name="cancellationToken">Ends the loading between two tensors.</param>
    /// <exception cref="ModelFormatException">A file is missing or damaged.</exception>
    /// <exception cref="UnsupportedModelException">The architecture, the tokenizer or an option is not supported, or the weights need more memory than there is.</exception>
    /// <exception cref="IOException">The pack cache cannot be written.</exception>
    public static LoadedModel Open(string path, int threads, LoadOptions options, IProgress<double>? progress = null, CancellationToken cancellationToken = default)
    {
        Checkpoint checkpoint = Checkpoint.Open(path);
        ThreadTeam? team = null;
        CausalLm? model = null;
        Task<Tokenizer>? tokenizer = null;
        try
        {
            _ = checkpoint.Config; // names an unsupported architecture before anything is loaded
            tokenizer = Task.Run(() => OpenTokenizer(checkpoint), CancellationToken.None);
            team = new ThreadTeam(threads);
            model = checkpoint.LoadModel(team, progress: new Share(checkpoint, progress, cancellationToken), options: options);
            return new LoadedModel(checkpoint, model, tokenizer.GetAwaiter().GetResult(), team);
        }
        catch
        {
            // The tokenizer may still be read from the mapped file. Its own error, if any, is not the first one.
            if (tokenizer is not null)
                Task.WhenAny(tokenizer).GetAwaiter().GetResult();
            model?.Dispose();
            team?.Dispose();
            checkpoint.Dispose();
            throw;
        }
    }

    /// <summary>The tokenizer of a checkpoint: its tokenizer.json, or the metadata of its GGUF file.</summary>
    public static Tokenizer OpenTokenizer(Checkpoint checkpoint)
    {
        ArgumentNullException.ThrowIfNull(checkpoint);
        if (checkpoint.Trunk is { } trunk)
            return TokenizerFiles.OfAddition(trunk, checkpoint.Folder!);
        return checkpoint.Gguf is { } gguf ? TokenizerFiles.FromGguf(gguf) : Tokenizer.Load(checkpoint.Folder!);
    }

    /// <summary>Renders a conversation with the checkpoint's template.</summary>
    /// <param name="messages">The conversation.</param>
    /// <param name="options">Tools, thinking, and what else the template knows.</param>
    /// <exception cref="UnsupportedModelException">The model has no chat template.</exception>
    public RenderedText RenderChat(IReadOnlyList<ChatMessage> messages, ChatTemplateOptions? options = null) =>
        Template?.Render(messages, options)
        ?? throw new UnsupportedModelException($"'{Path}' has no chat template, so it cannot chat. Use 'generate' to continue a text.");

    /// <summary>A rendered prompt as ids. Control tokens are recognised only where the template wrote them, never in message text.</summary>
    /// <param name="rendered">The prompt.</param>
    /// <param name="from">First character to encode.</param>
    public int[] Encode(RenderedText rendered, int from = 0) => PromptEncoding.Encode(Tokenizer, rendered, from);

    /// <summary>The prompt of a conversation as ids.</summary>
    /// <param name="messages">The conversation.</param>
    /// <param name="options">Tools, thinking, and what else the template knows.</param>
    /// <param name="text">The rendered prompt.</param>
    /// <exception cref="UnsupportedModelException">The model has no chat template.</exception>
    public int[] EncodeChat(IReadOnlyList<ChatMessage> messages, ChatTemplateOptions? options, out string text)
    {
        RenderedText rendered = RenderChat(messages, options);
        text = rendered.Text;
        return Encode(rendered);
    }

    /// <summary>Computes with an adapter from now on. No forward pass may run meanwhile.</summary>
    /// <param name="folder">Folder with <c>adapter_config.json</c> and <c>adapter_model.safetensors</c>.</param>
    /// <exception cref="ModelFormatException">A file is missing or malformed.</exception>
    /// <exception cref="UnsupportedModelException">The adapter is for another model or of a kind that is not supported.</exception>
    public void UseAdapter(string folder)
    {
        if (Model.Adapter is not null)
            throw new UnsupportedModelException($"'{Path}' has an adapter of its own, and one adapter at a time is supported. Name the trunk (--model base for the model that comes with Glimmer).");
        LoraAdapter adapter = LoraAdapter.Load(Model, folder);
        _adapter?.Dispose();
        (_adapter, AdapterPath) = (adapter, folder);
        adapter.Attach(Model);
    }

    /// <summary>Loads other weights of the same shape while an engine runs, and has it use them from one step to the next. On any failure the old ones stay.</summary>
    /// <param name="engine">The engine that runs this model.</param>
    /// <param name="path">A Hugging Face folder or a GGUF file.</param>
    /// <param name="cancellationToken">Ends the loading between two tensors.</param>
    /// <returns>The engine's new version of the weights.</returns>
    /// <exception cref="ModelFormatException">A file is missing or damaged.</exception>
    /// <exception cref="UnsupportedModelException">The weights have another shape, or need more memory than there is beside the running ones.</exception>
    public async Task<int> UpdateWeightsAsync(Engine engine, string path, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(engine);
        if (_adapter is not null)
            throw new UnsupportedModelException("The model runs with an adapter, which belongs to its weights. Start without --adapter to replace them.");
        Checkpoint checkpoint = Checkpoint.Open(path);
        CausalLm? model = null;
        int version;
        try
        {
            // The engine's own threads are busy with its steps.
            using var team = new ThreadTeam(1);
            model = await Task.Run(() => checkpoint.LoadModel(team, progress: new Share(checkpoint, null, cancellationToken)), cancellationToken).ConfigureAwait(false);
            model.CacheType = Model.CacheType;
            version = await engine.ReplaceModelAsync(model).ConfigureAwait(false);
        }
        catch
        {
            model?.Dispose();
            checkpoint.Dispose();
            throw;
        }

        (CausalLm oldModel, Checkpoint oldCheckpoint) = (Model, _checkpoint);
        (Model, _checkpoint) = (model, checkpoint);
        oldModel.Dispose();
        oldCheckpoint.Dispose();
        return version;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Compute.Dispose();
        Team.Dispose();
        _adapter?.Dispose();
        Model.Dispose();
        _checkpoint.Dispose();
    }

    // The checkpoint's own list; the tokenizer's where there is none. The end of a document always ends an answer too.
    internal static HashSet<int> Stops(Checkpoint checkpoint, Tokenizer tokenizer)
    {
        var stops = new HashSet<int>(checkpoint.Generation.EosTokenIds);
        if (stops.Count == 0 || checkpoint.Gguf is not null)
            stops.UnionWith(tokenizer.EndIds);
        if (tokenizer.TokenToId("<|endoftext|>") is { } end && tokenizer.IsSpecial(end))
            stops.Add(end);
        return stops;
    }

    private sealed class Share(Checkpoint checkpoint, IProgress<double>? progress, CancellationToken cancellationToken) : IProgress<long>
    {
        private readonly double _total = checkpoint.Weights.Tensors.Sum(tensor => (double)tensor.Count);
        private double _done;

        public void Report(long value)
        {
            cancellationToken.ThrowIfCancellationRequested();
            progress?.Report(Math.Min(1, (_done += value) / _total));
        }
    }
}
