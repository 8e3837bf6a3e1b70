using Glimmer.Chat;
using Glimmer.Formats;
using Glimmer.Models;
using Glimmer.Tokenization;

namespace Glimmer.Inference;

/// <summary>Finds the tokenizer of a model without loading its weights, and stores a trained one.</summary>
public static class TokenizerFiles
{
    /// <summary>Opens a tokenizer.</summary>
    /// <param name="path">A folder with <c>tokenizer.json</c>, that file, a <c>.gguf</c> file (only its metadata are read), or a file of a checkpoint folder.</param>
    /// <exception cref="FileNotFoundException">There is no tokenizer.</exception>
    /// <exception cref="ModelFormatException">A file is malformed.</exception>
    /// <exception cref="UnsupportedModelException">The tokenizer is of another kind; the message names what is not supported.</exception>
    public static Tokenizer Open(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        if (GgufIn(path) is { } gguf)
        {
            using GgufFile file = GgufFile.Open(gguf);
            return FromGguf(file);
        }

        if (AdditionIn(path) is { } addition)
        {
            using GgufFile trunk = GgufFile.Open(addition.Trunk);
            return OfAddition(trunk, addition.Folder);
        }

        bool isWeights = path.EndsWith(".safetensors", StringComparison.OrdinalIgnoreCase) || path.EndsWith("config.json", StringComparison.Ordinal)
            || path.EndsWith(".index.json", StringComparison.Ordinal);
        return Tokenizer.Load(isWeights ? Path.GetDirectoryName(Path.GetFullPath(path))! : path);
    }

    /// <summary>Makes a tokenizer from the metadata of a GGUF file.</summary>
    /// <exception cref="ModelFormatException">The metadata contradict themselves.</exception>
    /// <exception cref="UnsupportedModelException">The tokenizer is of another kind.</exception>
    public static Tokenizer FromGguf(GgufFile gguf)
    {
        ArgumentNullException.ThrowIfNull(gguf);
        return Tokenizer.FromGguf(MetadataOf(gguf), gguf.Path);
    }

    /// <summary>Makes the tokenizer of an upcycled model: the trunk's, then the tokens of <c>tokenizer_additions.json</c>, with the template in <c>chat_template.jinja</c>.</summary>
    /// <param name="trunk">The trunk's file.</param>
    /// <param name="folder">The addition's folder.</param>
    /// <exception cref="ModelFormatException">A file is missing or malformed, or the ids do not follow the trunk's.</exception>
    public static Tokenizer OfAddition(GgufFile trunk, string folder)
    {
        ArgumentNullException.ThrowIfNull(trunk);
        string template = Path.Combine(folder, "chat_template.jinja");
        GgufTokenizerMetadata metadata = MetadataOf(trunk);
        IReadOnlyList<AddedToken> added = TokenizerAdditions.Read(Path.Combine(folder, TokenizerAdditions.FileName), metadata.Tokens.Count);
        int end = metadata.Tokens.ToList().IndexOf("<|endoftext|>");
        return Tokenizer.FromGguf(
            metadata with
            {
                Tokens = [.. metadata.Tokens, .. added.Select(token => token.Text)],
                TokenTypes = [.. metadata.TokenTypes ?? [.. Enumerable.Repeat(1, metadata.Tokens.Count)], .. added.Select(token => token.IsSpecial ? 3 : 4)],
                BosTokenId = null,
                EosTokenId = end < 0 ? metadata.EosTokenId : end,
                PaddingTokenId = end < 0 ? metadata.PaddingTokenId : end,
                ChatTemplate = File.Exists(template) ? File.ReadAllText(template) : null,
            },
            folder);
    }

    private static GgufTokenizerMetadata MetadataOf(GgufFile gguf) => new()
    {
        Model = Text(gguf, "model"),
        Pre = Text(gguf, "pre"),
        Tokens = gguf.TryGetValue("tokenizer.ggml.tokens", out GgufValue? tokens) ? tokens.AsStrings() : [],
        TokenTypes = gguf.TryGetValue("tokenizer.ggml.token_type", out GgufValue? types) ? types.AsIntegers() : null,
        Merges = gguf.TryGetValue("tokenizer.ggml.merges", out GgufValue? merges) ? merges.AsStrings() : null,
        BosTokenId = Id(gguf, "bos_token_id"),
        EosTokenId = Id(gguf, "eos_token_id"),
        EotTokenId = Id(gguf, "eot_token_id"),
        EomTokenId = Id(gguf, "eom_token_id"),
        PaddingTokenId = Id(gguf, "padding_token_id"),
        UnknownTokenId = Id(gguf, "unknown_token_id"),
        AddBosToken = Flag(gguf, "add_bos_token"),
        AddEosToken = Flag(gguf, "add_eos_token"),
        ChatTemplate = gguf.TryGetValue("tokenizer.chat_template", out GgufValue? template) ? template.AsString() : null,
    };

    /// <summary>The chat template of a tokenizer with the special tokens that templates name; null when it has none.</summary>
    /// <exception cref="ModelFormatException">The template is malformed.</exception>
    public static ChatTemplate? TemplateOf(Tokenizer tokenizer)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        return tokenizer.ChatTemplate is { } source ? new ChatTemplate(source, SpecialTokens(tokenizer)) : null;
    }

    /// <summary>Writes a trained vocabulary as <c>tokenizer.json</c> into a folder. The file appears only when it is complete.</summary>
    /// <param name="result">The vocabulary.</param>
    /// <param name="layout">What is in the file beside it.</param>
    /// <param name="folder">Created when it does not exist.</param>
    /// <returns>Path of the file.</returns>
    /// <exception cref="IOException">The folder has a <c>tokenizer.json</c> already, or cannot be written.</exception>
    public static string Save(BpeTrainingResult result, TokenizerLayout layout, string folder)
    {
        ArgumentNullException.ThrowIfNull(result);
        string path = Path.Combine(folder, "tokenizer.json");
        if (File.Exists(path))
            throw new IOException($"'{path}' exists already. Delete it or choose another folder.");
        Directory.CreateDirectory(folder);
        using var file = new AtomicFile(path);
        result.WriteTokenizerJson(file.Stream, layout);
        file.Commit();
        return path;
    }

    private static (string Folder, string Trunk)? AdditionIn(string path)
    {
        string folder = Directory.Exists(path) ? path : Path.GetDirectoryName(Path.GetFullPath(path))!, config = Path.Combine(folder, "config.json");
        return File.Exists(config) && Models.Upcycling.TrunkReference.Read(File.ReadAllText(config), config) is { } reference ? (folder, reference.Find(folder)) : null;
    }

    private static string? GgufIn(string path)
    {
        if (path.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase))
            return path;
        return Directory.Exists(path) && !File.Exists(Path.Combine(path, "tokenizer.json")) ? Checkpoint.GgufIn(path) : null;
    }

    private static string? Text(GgufFile gguf, string key) => gguf.TryGetValue("tokenizer.ggml." + key, out GgufValue? value) ? value.AsString() : null;

    private static long? Id(GgufFile gguf, string key) => gguf.TryGetValue("tokenizer.ggml." + key, out GgufValue? value) ? value.AsInteger() : null;

    private static bool? Flag(GgufFile gguf, string key) => gguf.TryGetValue("tokenizer.ggml." + key, out GgufValue? value) ? value.AsBool() : null;

    private static Dictionary<string, string> SpecialTokens(Tokenizer tokenizer)
    {
        var tokens = new Dictionary<string, string>();
        foreach ((string name, int? id) in (ReadOnlySpan<(string, int?)>)[("bos_token", tokenizer.BosId), ("eos_token", tokenizer.EosId), ("pad_token", tokenizer.PadId)])
        {
            if (id is { } value && tokenizer.IdToToken(value) is { } token)
                tokens[name] = token;
        }

        return tokens;
    }
}
