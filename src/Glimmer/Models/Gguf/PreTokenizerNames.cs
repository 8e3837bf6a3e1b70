using System.Text.Json;
using System.Text.Json.Nodes;

namespace Glimmer.Models.Gguf;

/// <summary>The names GGUF gives to pre-tokenizers (<c>tokenizer.ggml.pre</c>), beside what tokenizer.json says at length.</summary>
/// <remarks>Source: ggml-org/llama.cpp src/llama-vocab.cpp. GLM's pattern is Llama 3's.</remarks>
internal static class PreTokenizerNames
{
    private const string GlmPattern = @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    private const string Qwen2Pattern = @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    /// <summary>The name for a <c>pre_tokenizer</c> of tokenizer.json.</summary>
    /// <param name="preTokenizer">The JSON object.</param>
    /// <param name="addsBos">Whether encoding prepends a token: that tells llama-bpe from glm4.</param>
    /// <exception cref="UnsupportedModelException">GGUF has no name for it.</exception>
    public static string NameOf(JsonElement preTokenizer, bool addsBos)
    {
        JsonElement[] steps = Text(preTokenizer, "type") == "Sequence" && preTokenizer.TryGetProperty("pretokenizers", out JsonElement list)
            && list.ValueKind == JsonValueKind.Array
            ? [.. list.EnumerateArray()]
            : [preTokenizer];
        string? name = steps switch
        {
            [var only] when IsByteLevel(only, usesRegex: true) => "gpt-2",
            [var first, var last] when Text(first, "type") == "Digits" && Flag(first, "individual_digits") && IsByteLevel(last, usesRegex: true) => "smollm",
            [var first, var last] when IsSplit(first, GlmPattern) && IsByteLevel(last, usesRegex: false) => addsBos ? "llama-bpe" : "glm4",
            [var first, var last] when IsSplit(first, Qwen2Pattern) && IsByteLevel(last, usesRegex: false) => "qwen2",
            _ => null,
        };
        string json = preTokenizer.GetRawText();
        return name ?? throw new UnsupportedModelException($"GGUF has no name for the pre_tokenizer of this tokenizer.json: {json[..Math.Min(160, json.Length)]}");
    }

    /// <summary>The <c>pre_tokenizer</c> of a name.</summary>
    /// <exception cref="UnsupportedModelException">The name is unknown.</exception>
    public static JsonObject PreTokenizer(string name) => name switch
    {
        "gpt-2" => ByteLevel(useRegex: true),
        "smollm" => Sequence(new JsonObject { ["type"] = "Digits", ["individual_digits"] = true }, ByteLevel(useRegex: true)),
        "glm4" or "chatglm-bpe" or "llama-bpe" => Sequence(Split(GlmPattern), ByteLevel(useRegex: false)),
        "qwen2" => Sequence(Split(Qwen2Pattern), ByteLevel(useRegex: false)),
        _ => throw new UnsupportedModelException(
            $"The pre-tokenizer '{name}' (tokenizer.ggml.pre) is not known; gpt-2, smollm, glm4, chatglm-bpe, llama-bpe and qwen2 are."),
    };

    /// <summary>A ByteLevel step, also used as post-processor and decoder.</summary>
    public static JsonObject ByteLevel(bool useRegex) =>
        new() { ["type"] = "ByteLevel", ["add_prefix_space"] = false, ["trim_offsets"] = true, ["use_regex"] = useRegex };

    private static JsonObject Split(string pattern) =>
        new() { ["type"] = "Split", ["pattern"] = new JsonObject { ["Regex"] = pattern }, ["behavior"] = "Isolated", ["invert"] = false };

    private static JsonObject Sequence(JsonObject first, JsonObject second) =>
        new() { ["type"] = "Sequence", ["pretokenizers"] = new JsonArray(first, second) };

    private static bool IsByteLevel(JsonElement step, bool usesRegex) =>
        Text(step, "type") == "ByteLevel" && !Flag(step, "add_prefix_space") && Flag(step, "use_regex", missing: true) == usesRegex;

    private static bool IsSplit(JsonElement step, string pattern) =>
        Text(step, "type") == "Split" && Text(step, "behavior") == "Isolated" && !Flag(step, "invert")
        && step.TryGetProperty("pattern", out JsonElement p) && p.ValueKind == JsonValueKind.Object && Text(p, "Regex") == pattern;

    private static string? Text(JsonElement step, string key) =>
        step.ValueKind == JsonValueKind.Object && step.TryGetProperty(key, out JsonElement value) && value.ValueKind == JsonValueKind.String
            ? value.GetString() : null;

    private static bool Flag(JsonElement step, string key, bool missing = false) =>
        step.TryGetProperty(key, out JsonElement value) ? value.ValueKind == JsonValueKind.True : missing;
}
