using System.Buffers;
using System.Runtime.InteropServices;
using System.Text;

namespace Glimmer.Tokenization;

/// <summary>From text to token ids and back: byte-level BPE as GLM, Llama 3, Qwen 2, GPT-2 and SmolLM2 use it.</summary>
/// <remarks>
/// Ids are exactly those of Hugging Face's <c>tokenizers</c>. Instances are safe for several threads. By default text is taken for user text:
/// no added token is matched in it. Rendered prompts are encoded with <see cref="EncodeOptions.RenderedPrompt"/> or, with the parts that users
/// wrote kept apart, as a list of <see cref="TextSegment"/>.
/// </remarks>
public sealed class Tokenizer
{
    private readonly TokenizerDefinition _definition;
    private readonly TextPipeline _pipeline;
    private readonly Dictionary<string, AddedToken> _addedByText;

    internal Tokenizer(TokenizerDefinition definition)
    {
        _definition = definition;
        _addedByText = definition.AddedTokens.ToDictionary(t => t.Text);
        BytePairEncoder full = TokenizerModels.Full(definition);
        _pipeline = new TextPipeline(definition, full, TokenizerModels.Plain(definition, full));
    }

    /// <summary>Loads a tokenizer from a checkpoint folder or a <c>tokenizer.json</c> file.</summary>
    /// <param name="path">The folder or file. <c>tokenizer_config.json</c> and <c>chat_template.jinja</c> beside it are read where they exist.</param>
    /// <exception cref="FileNotFoundException">There is no <c>tokenizer.json</c>.</exception>
    /// <exception cref="ModelFormatException">A file is malformed.</exception>
    /// <exception cref="UnsupportedModelException">The tokenizer is of another kind; the message names what is not supported.</exception>
    public static Tokenizer Load(string path)
    {
        string file = Directory.Exists(path) ? Path.Combine(path, "tokenizer.json") : path;
        if (!File.Exists(file))
            throw new FileNotFoundException($"{file} does not exist. A checkpoint folder needs its tokenizer.json.", file);
        string folder = Path.GetDirectoryName(Path.GetFullPath(file))!;
        string config = Path.Combine(folder, "tokenizer_config.json"), template = Path.Combine(folder, "chat_template.jinja");
        return FromJson(
            File.ReadAllBytes(file),
            File.Exists(config) ? File.ReadAllBytes(config) : default(ReadOnlySpan<byte>),
            File.Exists(template) ? File.ReadAllText(template) : null,
            file);
    }

    /// <summary>Makes a tokenizer from the content of a <c>tokenizer.json</c>.</summary>
    /// <param name="tokenizerJson">The file's content.</param>
    /// <param name="tokenizerConfigJson">Content of <c>tokenizer_config.json</c>, or empty.</param>
    /// <param name="chatTemplate">Content of <c>chat_template.jinja</c>, or null: then the template of <c>tokenizer_config.json</c> counts.</param>
    /// <param name="source">Name of the file for messages.</param>
    /// <exception cref="ModelFormatException">A file is malformed.</exception>
    /// <exception cref="UnsupportedModelException">The tokenizer is of another kind; the message names what is not supported.</exception>
    public static Tokenizer FromJson(
        ReadOnlySpan<byte> tokenizerJson,
        ReadOnlySpan<byte> tokenizerConfigJson = default,
        string? chatTemplate = null,
        string source = "tokenizer.json")
    {
        TokenizerDefinition definition = RequireText(TokenizerJsonReader.Read(tokenizerJson, source), source);
        TokenizerRoles roles = TokenizerConfigReader.Read(tokenizerConfigJson, definition, Path.Combine(Path.GetDirectoryName(source) ?? "", "tokenizer_config.json"));
        definition.Roles = chatTemplate is null ? roles : roles with { ChatTemplate = chatTemplate };
        return new Tokenizer(definition);
    }

    /// <summary>Makes a tokenizer from the metadata of a GGUF file.</summary>
    /// <param name="metadata">The metadata.</param>
    /// <param name="source">Name of the file for messages.</param>
    /// <exception cref="ModelFormatException">The metadata contradict themselves.</exception>
    /// <exception cref="UnsupportedModelException">The tokenizer is of another kind; the message names what is not supported.</exception>
    public static Tokenizer FromGguf(GgufTokenizerMetadata metadata, string source = "GGUF file")
    {
        ArgumentNullException.ThrowIfNull(metadata);
        return new Tokenizer(RequireText(GgufTokenizerReader.Read(metadata, source), source));
    }

    /// <summary>One more than the largest id with a token. The model's embedding may have more rows.</summary>
    public int VocabularySize => _definition.Tokens.Count;

    /// <summary>The added tokens, special or not, in the file's order.</summary>
    public IReadOnlyList<AddedToken> AddedTokens => _definition.AddedTokens;

    /// <summary>The id of the beginning of text, where the tokenizer names one.</summary>
    public int? BosId => _definition.Roles.BosId;

    /// <summary>The id of the end of text, where the tokenizer names one.</summary>
    public int? EosId => _definition.Roles.EosId;

    /// <summary>The id of padding, where the tokenizer names one.</summary>
    public int? PadId => _definition.Roles.PadId;

    /// <summary>
    /// Ids that end a generation as far as the tokenizer knows (GGUF: eos, eot and eom). A checkpoint's <c>generation_config.json</c> may name more.
    /// </summary>
    public IReadOnlyList<int> EndIds => _definition.Roles.EndIds;

    /// <summary>The chat template that came with the tokenizer, or null.</summary>
    public string? ChatTemplate => _definition.Roles.ChatTemplate;

    /// <summary>How text is cut into pieces.</summary>
    public PreTokenizer PreTokenizer => _definition.PreTokenizer;

    /// <summary>Encodes text.</summary>
    /// <param name="text">The text. Each lone surrogate counts as U+FFFD.</param>
    /// <param name="options">How; by default as user text.</param>
    /// <returns>The ids.</returns>
    public int[] Encode(ReadOnlySpan<char> text, EncodeOptions? options = null)
    {
        options ??= EncodeOptions.UserText;
        BytePairEncoder model = _pipeline.Model(options.AddedTokens);
        EncoderScratch scratch = model.Rent();
        scratch.AppendText(text);
        return Finish(model, scratch, options, null);
    }

    /// <summary>Encodes text and appends the ids to a list.</summary>
    /// <param name="text">The text. Each lone surrogate counts as U+FFFD.</param>
    /// <param name="destination">Receives the ids.</param>
    /// <param name="options">How; by default as user text.</param>
    public void Encode(ReadOnlySpan<char> text, List<int> destination, EncodeOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(destination);
        options ??= EncodeOptions.UserText;
        BytePairEncoder model = _pipeline.Model(options.AddedTokens);
        EncoderScratch scratch = model.Rent();
        scratch.AppendText(text);
        Run(model, scratch, options, null);
        int before = destination.Count;
        CollectionsMarshal.SetCount(destination, before + scratch.Count);
        scratch.Ids.CopyTo(CollectionsMarshal.AsSpan(destination)[before..]);
        model.Return(scratch);
    }

    /// <summary>Encodes text that is UTF-8 already.</summary>
    /// <param name="utf8">The text. Each maximal invalid part counts as U+FFFD.</param>
    /// <param name="options">How; by default as user text.</param>
    /// <returns>The ids.</returns>
    public int[] EncodeUtf8(ReadOnlySpan<byte> utf8, EncodeOptions? options = null)
    {
        options ??= EncodeOptions.UserText;
        BytePairEncoder model = _pipeline.Model(options.AddedTokens);
        EncoderScratch scratch = model.Rent();
        scratch.AppendUtf8(utf8);
        return Finish(model, scratch, options, null);
    }

    /// <summary>
    /// Encodes a prompt of parts that the template wrote and parts that others wrote. The text is encoded as one, so that the ids are those of
    /// the whole string, but added tokens are matched only inside runs of trusted parts.
    /// </summary>
    /// <param name="segments">The parts in order.</param>
    /// <param name="addSpecialTokens">Puts the ids around the result that the tokenizer's template asks for.</param>
    /// <returns>The ids.</returns>
    public int[] Encode(IReadOnlyList<TextSegment> segments, bool addSpecialTokens = false)
    {
        ArgumentNullException.ThrowIfNull(segments);
        BytePairEncoder model = _pipeline.Model(AddedTokenMatching.None);
        EncoderScratch scratch = model.Rent();
        var trusted = new List<(int From, int To)>();
        foreach (TextSegment segment in segments)
        {
            int from = scratch.TextLength;
            scratch.AppendText(segment.Text);
            if (!segment.IsTrusted)
                continue;
            if (trusted.Count > 0 && trusted[^1].To == from)
                trusted[^1] = (trusted[^1].From, scratch.TextLength);
            else
                trusted.Add((from, scratch.TextLength));
        }

        return Finish(model, scratch, new EncodeOptions { AddedTokens = AddedTokenMatching.All, AddSpecialTokens = addSpecialTokens }, trusted);
    }

    /// <summary>The text of ids: their bytes joined, then decoded as UTF-8 with one U+FFFD for each maximal invalid part.</summary>
    /// <param name="ids">The ids; those without a token contribute nothing.</param>
    /// <param name="skipSpecial">Whether special tokens are left out.</param>
    public string Decode(ReadOnlySpan<int> ids, bool skipSpecial = false)
    {
        byte[] buffer = ArrayPool<byte>.Shared.Rent(Math.Max(256, (int)Math.Min(8L * ids.Length, 1 << 24)));
        int count = _definition.Tokens.Join(ids, skipSpecial ? TokenFlags.Special : TokenFlags.None, ref buffer);
        string text = Encoding.UTF8.GetString(buffer, 0, count);
        ArrayPool<byte>.Shared.Return(buffer);
        return text;
    }

    /// <summary>The bytes an id decodes to; empty for an id without a token. They need not be whole characters.</summary>
    public ReadOnlySpan<byte> TokenBytes(int id) => _definition.Tokens[id];

    /// <summary>The id of a token as the vocabulary spells it (bytes in GPT-2's alphabet: <c>Ġthe</c>) or of an added token; null when there is none.</summary>
    public int? TokenToId(string token)
    {
        ArgumentNullException.ThrowIfNull(token);
        if (_addedByText.TryGetValue(token, out AddedToken? added))
            return added.Id;
        if (_definition.Unspellable.TryGetValue(token, out int id))
            return id;
        var bytes = new byte[token.Length];
        id = ByteAlphabet.TryRead(token, bytes) ? _definition.Pieces.IdOf(bytes) : -1;
        return id < 0 ? null : id;
    }

    /// <summary>The token of an id as the vocabulary spells it, the text of an added token, or null for an id without a token.</summary>
    public string? IdToToken(int id)
    {
        TokenFlags flags = _definition.Tokens.Flags(id);
        if (flags == TokenFlags.None)
            return null;
        if ((flags & TokenFlags.Added) != 0)
            return AddedTokens.First(t => t.Id == id).Text;
        return (flags & TokenFlags.Bytes) != 0 ? ByteAlphabet.Spell(TokenBytes(id)) : Encoding.UTF8.GetString(TokenBytes(id));
    }

    /// <summary>Whether an id has a token. Rows of the embedding without one must never be sampled.</summary>
    public bool HasToken(int id) => _definition.Tokens.Flags(id) != TokenFlags.None;

    /// <summary>Whether an id is an added token.</summary>
    public bool IsAdded(int id) => (_definition.Tokens.Flags(id) & TokenFlags.Added) != 0;

    /// <summary>Whether decoding with <c>skipSpecial</c> drops an id.</summary>
    public bool IsSpecial(int id) => (_definition.Tokens.Flags(id) & TokenFlags.Special) != 0;

    private int[] Finish(BytePairEncoder model, EncoderScratch scratch, EncodeOptions options, List<(int From, int To)>? trusted)
    {
        Run(model, scratch, options, trusted);
        int[] ids = scratch.Ids.ToArray();
        model.Return(scratch);
        return ids;
    }

    private void Run(BytePairEncoder model, EncoderScratch scratch, EncodeOptions options, List<(int From, int To)>? trusted)
    {
        if (options.AddSpecialTokens)
            scratch.Add(_definition.Prefix);
        _pipeline.Run(model, scratch, options.AddedTokens, trusted);
        if (options.AddSpecialTokens)
            scratch.Add(_definition.Suffix);
    }

    // Published and home-made vocabularies lack some bytes (SmolLM2 21 of them), and encoding drops those as the references do. One without half of
    // printable ASCII would silently drop most of an ordinary text: that is a damaged file.
    private static TokenizerDefinition RequireText(TokenizerDefinition definition, string source)
    {
        const int Printable = '~' - ' ' + 1;
        int missing = 0;
        for (int value = ' '; value <= '~'; value++)
            missing += definition.Pieces.IdOf([(byte)value]) < 0 ? 1 : 0;
        return definition.UnknownId >= 0 || missing <= Printable / 2
            ? definition
            : throw new ModelFormatException(
                $"{source}: the vocabulary has no token for {missing} of the {Printable} printable ASCII characters, and no unknown token: ordinary text would be lost. "
                + "The file is damaged, or was trained without the byte alphabet.");
    }
}
