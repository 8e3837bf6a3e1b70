using System.Runtime.CompilerServices;
using System.Text;

namespace Glimmer.Tokenization;

/// <summary>Makes a tokenizer from the metadata of a GGUF file.</summary>
/// <remarks>
/// The token list mixes vocabulary and added tokens; only tokens of type 1 may stand for a piece of text. GGUF cannot express a normalizer,
/// the flags of added tokens, or <c>ignore_merges</c>, which follows from the name of the pre-tokenizer.
/// </remarks>
internal static class GgufTokenizerReader
{
    private const int Normal = 1;
    private const int Unknown = 2;
    private const int Control = 3;
    private const int UserDefined = 4;
    private const int Unused = 5;

    /// <summary>Tokens of GLM that converters mark as control for their shape but that are not special in the checkpoint.</summary>
    private static readonly string[] s_glmNotSpecial =
    [
        "<|code_prefix|>", "<|code_middle|>", "<|code_suffix|>", "<|begin_of_box|>", "<|end_of_box|>", "<|image|>", "<|video|>",
    ];

    /// <summary>Reads the metadata; <paramref name="source"/> names the file in messages.</summary>
    public static TokenizerDefinition Read(GgufTokenizerMetadata metadata, string source)
    {
        (PreTokenizer splitter, bool isGlm, bool isLlama) = ReadKind(metadata, source);
        if (metadata.Tokens.Count == 0)
            throw new ModelFormatException($"{source}: tokenizer.ggml.tokens is absent or empty.");
        if (metadata.TokenTypes is IReadOnlyList<int> types && types.Count != metadata.Tokens.Count)
            throw new ModelFormatException($"{source}: tokenizer.ggml.token_type has {types.Count} entries for {metadata.Tokens.Count} tokens.");
        var vocabulary = new VocabularyBuilder(source, metadata.Tokens.Count);
        List<AddedToken> added = ReadTokens(metadata, source, isGlm, vocabulary);
        ReadMerges(metadata, source, vocabulary);
        if (isGlm || isLlama)
            vocabulary.Pieces.AllowDirectUse();

        int? bos = Id(metadata.BosTokenId, "bos"), eos = Id(metadata.EosTokenId, "eos");
        var ends = new List<int>();
        foreach (int? end in (ReadOnlySpan<int?>)[eos, Id(metadata.EotTokenId, "eot"), Id(metadata.EomTokenId, "eom"), EndOfText(added)])
        {
            if (end is int id && !ends.Contains(id))
                ends.Add(id);
        }

        // GLM's files name a bos, but the chat template writes it: nothing is ever prepended.
        bool addsBos = !isGlm && (metadata.AddBosToken ?? isLlama);
        Id(metadata.UnknownTokenId, "unknown");
        return new TokenizerDefinition
        {
            Tokens = vocabulary.Tokens,
            Pieces = vocabulary.Pieces,
            Merges = vocabulary.Merges,
            Unspellable = vocabulary.Unspellable,
            AddedTokens = added,
            PreTokenizer = splitter,
            IgnoresMerges = isGlm || isLlama,
            Prefix = addsBos && bos is int first ? [first] : [],
            Suffix = metadata.AddEosToken == true && eos is int last ? [last] : [],
            Roles = new TokenizerRoles
            {
                BosId = bos,
                EosId = eos,
                PadId = Id(metadata.PaddingTokenId, "padding"),
                EndIds = ends,
                ChatTemplate = metadata.ChatTemplate,
            },
        };

        int? Id(long? value, string role) => value switch
        {
            null => null,
            >= 0 when value < metadata.Tokens.Count => (int)value,
            _ => throw new ModelFormatException($"{source}: tokenizer.ggml.{role}_token_id is {value}, but there are {metadata.Tokens.Count} tokens."),
        };
    }

    /// <summary>Some files name only the end of a turn; the end of text ends a generation too.</summary>
    private static int? EndOfText(List<AddedToken> added) => added.Find(t => t.Text == "<|endoftext|>")?.Id;

    private static (PreTokenizer Splitter, bool IsGlm, bool IsLlama) ReadKind(GgufTokenizerMetadata metadata, string source)
    {
        if (metadata.Model is null)
            throw new ModelFormatException($"{source}: tokenizer.ggml.model is absent.");
        if (metadata.Model != "gpt2")
            throw new UnsupportedModelException($"{source}: tokenizer.ggml.model '{metadata.Model}' is not supported; only gpt2 (byte-level BPE) is.");
        return metadata.Pre switch
        {
            "glm4" or "chatglm-bpe" => (PreTokenizer.Glm, true, false),
            "llama-bpe" => (PreTokenizer.Glm, false, true),
            "gpt-2" => (PreTokenizer.Gpt2, false, false),
            "smollm" => (PreTokenizer.DigitsGpt2, false, false),
            "qwen2" => (PreTokenizer.Qwen2, false, false),
            null => throw new UnsupportedModelException(
                $"{source}: tokenizer.ggml.pre is absent, so it is not known how text is cut into pieces. Convert the model again with a current converter."),
            _ => throw new UnsupportedModelException(
                $"{source}: tokenizer.ggml.pre '{metadata.Pre}' is not supported; supported: glm4, chatglm-bpe, llama-bpe, gpt-2, smollm, qwen2."),
        };
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static List<AddedToken> ReadTokens(GgufTokenizerMetadata metadata, string source, bool isGlm, VocabularyBuilder vocabulary)
    {
        var added = new List<AddedToken>();
        var spelled = new byte[256];
        for (int id = 0; id < metadata.Tokens.Count; id++)
        {
            string token = metadata.Tokens[id];
            int type = metadata.TokenTypes?[id] ?? Normal;
            if (type == Unused)
                continue;
            if (type is not (Normal or Unknown or Control or UserDefined))
                throw new UnsupportedModelException($"{source}: token {id} ('{token}') has type {type}; supported are 1 to 5.");
            vocabulary.Add(id, Utf8(token, ref spelled));
            if (type == Normal)
                continue;
            bool special = type != UserDefined && !(isGlm && s_glmNotSpecial.Contains(token));
            added.Add(new AddedToken(id, token, special));
            vocabulary.Tokens.Mark(id, TokenFlags.Added | (special ? TokenFlags.Special : 0));
        }

        vocabulary.Tokens.PadTo(metadata.Tokens.Count);
        return added;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void ReadMerges(GgufTokenizerMetadata metadata, string source, VocabularyBuilder vocabulary)
    {
        if (metadata.Merges is not IReadOnlyList<string> merges)
            throw new ModelFormatException($"{source}: tokenizer.ggml.merges is absent; a gpt2 tokenizer needs it.");
        var spelled = new byte[512];
        for (int i = 0; i < merges.Count; i++)
        {
            ReadOnlySpan<byte> merge = Utf8(merges[i], ref spelled);
            int space = merge.IndexOf((byte)' ');
            if (space <= 0 || space == merge.Length - 1 || merge[(space + 1)..].Contains((byte)' '))
                throw new ModelFormatException($"{source}: merge {i} ('{merges[i]}') is not two tokens with a space between.");
            vocabulary.AddMerge(merge[..space], merge[(space + 1)..]);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ReadOnlySpan<byte> Utf8(string text, ref byte[] buffer)
    {
        if (buffer.Length < 3 * text.Length)
            buffer = new byte[3 * text.Length];
        return buffer.AsSpan(0, Encoding.UTF8.GetBytes(text, buffer));
    }
}
