using Glimmer.Chat;
using Glimmer.Inference;
using Glimmer.Inference.Constraints;
using Glimmer.Models;
using Glimmer.Tokenization;

namespace Glimmer.Server.Turns;

/// <summary>A model as the server sees it: vocabulary, template, defaults, and where its tokens come from.</summary>
public sealed class ServedModel
{
    private readonly Lazy<TokenTrie> _trie;

    /// <summary>Creates a model.</summary>
    /// <param name="tokenizer">The vocabulary.</param>
    /// <param name="template">From messages to prompts; null for a model that only continues text.</param>
    /// <param name="source">Where tokens come from.</param>
    public ServedModel(Tokenizer tokenizer, ChatTemplate? template, ITokenSource source)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        ArgumentNullException.ThrowIfNull(source);
        (Tokenizer, Template, Source) = (tokenizer, template, source);
        _trie = new Lazy<TokenTrie>(() => new TokenTrie(tokenizer, StopTokens.Count == 0 ? null : StopTokens));
        Formats = new FormatCompiler(this);
    }

    /// <summary>Creates the model that an engine runs.</summary>
    /// <param name="model">The model; not owned.</param>
    /// <param name="engine">The engine; not owned.</param>
    public ServedModel(LoadedModel model, Engine engine)
        : this((model ?? throw new ArgumentNullException(nameof(model))).Tokenizer, model.Template, new EngineTokens(engine))
    {
        Generation = model.Generation;
        StopTokens = model.StopTokens;
        Path = model.Path;
        Control = new WeightControl(engine, model);
        VocabularySize = model.Model.Config.VocabSize;
    }

    /// <summary>The vocabulary.</summary>
    public Tokenizer Tokenizer { get; }

    /// <summary>From messages to prompts.</summary>
    public ChatTemplate? Template { get; init; }

    /// <summary>Where tokens come from.</summary>
    public ITokenSource Source { get; }

    /// <summary>How the checkpoint wants to be sampled.</summary>
    public GenerationConfig Generation { get; init; } = new();

    /// <summary>Tokens that end an answer.</summary>
    public IReadOnlyCollection<int> StopTokens { get; init; } = [];

    /// <summary>Folder or file of the weights; empty when there are none.</summary>
    public string Path { get; init; } = "";

    /// <summary>Control of the engine; null where there is none.</summary>
    public WeightControl? Control { get; init; }

    /// <summary>Rows of the output matrix.</summary>
    public int VocabularySize { get => field > 0 ? field : Tokenizer.VocabularySize; init; }

    /// <summary>The vocabulary as constraints need it; built at its first use.</summary>
    internal TokenTrie Trie => _trie.Value;

    /// <summary>Compiled constraints of earlier requests.</summary>
    internal FormatCompiler Formats { get; }
}
