using System.Text.Encodings.Web;
using System.Text.Json;

namespace Glimmer.Tokenization;

/// <summary>Writes a <c>tokenizer.json</c> in the layout of Hugging Face's tokenizers.</summary>
internal static class TokenizerJsonWriter
{
    /// <summary>Writes the file.</summary>
    public static void Write(Stream stream, BpeTrainingResult result, TokenizerLayout layout)
    {
        // Relaxed: the spelling of bytes stays readable, as the reference writes it.
        using var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
        json.WriteStartObject();
        json.WriteString("version", "1.0");
        json.WriteNull("truncation");
        json.WriteNull("padding");
        WriteAddedTokens(json, result, layout);
        WriteNormalizer(json, result.Options);
        WritePreTokenizer(json, result.Options);
        json.WriteStartObject("post_processor");
        json.WriteString("type", "Sequence");
        json.WriteStartArray("processors");
        WriteByteLevel(json, addPrefixSpace: true, trimOffsets: false, useRegex: true);
        json.WriteEndArray();
        json.WriteEndObject();
        json.WritePropertyName("decoder");
        WriteByteLevel(json, addPrefixSpace: true, trimOffsets: true, useRegex: true);
        WriteModel(json, result, layout);
        json.WriteEndObject();
    }

    private static void WriteAddedTokens(Utf8JsonWriter json, BpeTrainingResult result, TokenizerLayout layout)
    {
        json.WriteStartArray("added_tokens");
        int id = 0;
        foreach (string text in result.Options.SpecialTokens.Distinct())
            WriteAddedToken(json, id++, text, true);
        id = result.Tokens.Count;
        foreach ((string text, bool special) in layout.AddedTokens)
            WriteAddedToken(json, id++, text, special);
        json.WriteEndArray();
    }

    private static void WriteAddedToken(Utf8JsonWriter json, int id, string text, bool special)
    {
        json.WriteStartObject();
        json.WriteNumber("id", id);
        json.WriteString("content", text);
        json.WriteBoolean("single_word", false);
        json.WriteBoolean("lstrip", false);
        json.WriteBoolean("rstrip", false);
        json.WriteBoolean("normalized", false);
        json.WriteBoolean("special", special);
        json.WriteEndObject();
    }

    private static void WriteNormalizer(Utf8JsonWriter json, BpeTrainerOptions options)
    {
        if (!options.NormalizeNfc)
        {
            json.WriteNull("normalizer");
            return;
        }

        json.WriteStartObject("normalizer");
        json.WriteString("type", "NFC");
        json.WriteEndObject();
    }

    private static void WritePreTokenizer(Utf8JsonWriter json, BpeTrainerOptions options)
    {
        json.WritePropertyName("pre_tokenizer");
        if (options.PreTokenizer == PreTokenizer.Gpt2)
        {
            WriteByteLevel(json, options.AddPrefixSpace, trimOffsets: true, useRegex: true);
            return;
        }

        if (options.AddPrefixSpace)
            throw new NotSupportedException($"AddPrefixSpace with {options.PreTokenizer} cannot be written: in tokenizer.json it would act on every piece. Use {PreTokenizer.Gpt2}.");
        json.WriteStartObject();
        json.WriteString("type", "Sequence");
        json.WriteStartArray("pretokenizers");
        json.WriteStartObject();
        bool digits = options.PreTokenizer is PreTokenizer.DigitsGpt2 or PreTokenizer.DigitRunsGpt2;
        if (digits)
        {
            json.WriteString("type", "Digits");
            json.WriteBoolean("individual_digits", options.PreTokenizer == PreTokenizer.DigitsGpt2);
        }
        else
        {
            json.WriteString("type", "Split");
            json.WriteStartObject("pattern");
            json.WriteString("Regex", options.PreTokenizer == PreTokenizer.Glm ? GlmPattern.Glm : GlmPattern.Qwen2);
            json.WriteEndObject();
            json.WriteString("behavior", "Isolated");
            json.WriteBoolean("invert", false);
        }

        json.WriteEndObject();
        WriteByteLevel(json, addPrefixSpace: false, trimOffsets: true, useRegex: digits);
        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void WriteByteLevel(Utf8JsonWriter json, bool addPrefixSpace, bool trimOffsets, bool useRegex)
    {
        json.WriteStartObject();
        json.WriteString("type", "ByteLevel");
        json.WriteBoolean("add_prefix_space", addPrefixSpace);
        json.WriteBoolean("trim_offsets", trimOffsets);
        json.WriteBoolean("use_regex", useRegex);
        json.WriteEndObject();
    }

    private static void WriteModel(Utf8JsonWriter json, BpeTrainingResult result, TokenizerLayout layout)
    {
        json.WriteStartObject("model");
        json.WriteString("type", "BPE");
        foreach (string key in (ReadOnlySpan<string>)["dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix"])
            json.WriteNull(key);
        json.WriteBoolean("fuse_unk", false);
        json.WriteBoolean("byte_fallback", false);
        json.WriteBoolean("ignore_merges", layout.IgnoreMerges);
        json.WriteStartObject("vocab");
        for (int id = 0; id < result.Tokens.Count; id++)
            json.WriteNumber(result.Tokens[id], id);
        json.WriteEndObject();
        json.WriteStartArray("merges");
        foreach (BpeMerge merge in result.Merges)
        {
            json.WriteStartArray();
            json.WriteStringValue(merge.Left);
            json.WriteStringValue(merge.Right);
            json.WriteEndArray();
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }
}
