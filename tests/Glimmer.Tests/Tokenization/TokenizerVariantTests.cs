using System.Text.Json;
using Glimmer.Tokenization;
using static Glimmer.Tests.Tokenization.TokenizerRecordings;

namespace Glimmer.Tests.Tokenization;

/// <summary>Small tokenizers of all layouts, good and bad, from tokenizer.json and from GGUF metadata.</summary>
[Trait("Category", "Golden")]
public class TokenizerVariantTests
{
    private static string? Index => Folder is null ? null : Path.Combine(Folder, "variants", "index.jsonl");

    public static TheoryData<string> Variants => Fixtures.Rows(Index is null ? null : Rows(Index).Keys);

    public static TheoryData<string> VariantTexts => Fixtures.Rows(
        Index is null ? null : Rows(Index).Where(v => v.Value.TryGetProperty("texts", out _)).SelectMany(v => Texts(v.Value).Keys.Select(t => $"{v.Key} {t}")));

    [SkippableTheory]
    [MemberData(nameof(Variants))]
    public void Variant_loads_or_is_refused_with_a_clear_message(string name)
    {
        Fixtures.SkipIfAbsent(name);
        JsonElement variant = Rows(Index!)[name];
        string expect = variant.GetProperty("expect").GetString()!;
        Exception? error = Record.Exception(() => LoadVariant(variant));
        if (error is null)
        {
            Assert.NotEqual("refuse", expect);
            return;
        }

        Assert.NotEqual("ids", expect);
        Assert.True(error is ModelFormatException or UnsupportedModelException, error.ToString());
        Assert.Contains(Path.GetFileName(PathOf(variant)), error.Message, StringComparison.Ordinal);
    }

    [SkippableTheory]
    [MemberData(nameof(VariantTexts))]
    public void Variant_gives_the_recorded_ids(string name)
    {
        Fixtures.SkipIfAbsent(name);
        (string variantName, string textName) = (name[..name.IndexOf(' ')], name[(name.IndexOf(' ') + 1)..]);
        JsonElement variant = Rows(Index!)[variantName];
        JsonElement row = Texts(variant)[textName];
        Tokenizer tokenizer;
        try
        {
            tokenizer = LoadVariant(variant);
        }
        catch (Exception e) when (variant.GetProperty("expect").GetString() == "refuse_or_ids" && e is ModelFormatException or UnsupportedModelException)
        {
            return; // a clear refusal is as good as the ids
        }

        string text = row.GetProperty("text").GetString()!;
        int[] ids = Ids(row, "ids");
        Assert.Equal(ids, tokenizer.Encode(text, EncodeOptions.RenderedPrompt));
        Assert.Equal(Ids(row, "ids_plain", "ids"), tokenizer.Encode(text));
        Assert.Equal(Ids(row, "ids_add_special", "ids"), tokenizer.Encode(text, EncodeOptions.RenderedPrompt with { AddSpecialTokens = true }));
        Assert.Equal(ids, tokenizer.Encode([new TextSegment(text, true)]));
        Assert.Equal(Ids(row, "ids_plain", "ids"), tokenizer.Encode([new TextSegment(text, false)]));
        if (variant.TryGetProperty("gguf", out _) || variant.GetProperty("expect").GetString() == "refuse_or_ids")
            return; // decoded texts are recorded for the well-formed tokenizer.json only
        string decoded = Text(row, "decoded", text);
        Assert.Equal(decoded, tokenizer.Decode(ids));
        Assert.Equal(Text(row, "decoded_skip_special", decoded), tokenizer.Decode(ids, skipSpecial: true));
    }

    [SkippableFact]
    public void Special_tokens_are_the_same_from_gguf_and_json()
    {
        // GGUF marks all tokens of the shape <|...|> as control; skipping follows the rule of the checkpoint.
        Fixtures.SkipIfAbsent(Folder ?? "");
        JsonElement gguf = Rows(Index!).Values.FirstOrDefault(v => v.TryGetProperty("pre", out JsonElement pre) && pre.GetString() == "glm4");
        Skip.If(gguf.ValueKind == JsonValueKind.Undefined, "no GGUF with GLM's layout is recorded");
        string folder = Path.GetDirectoryName(gguf.GetProperty("texts").GetString()!)!;
        Tokenizer json = Load(Path.Combine("variants", folder, "tokenizer.json"));
        Assert.Equal(json.AddedTokens, LoadVariant(gguf).AddedTokens);
    }

    private static string PathOf(JsonElement variant) =>
        Path.Combine(Folder!, "variants", variant.GetProperty(variant.TryGetProperty("gguf", out _) ? "gguf" : "tokenizer").GetString()!);

    private static Tokenizer LoadVariant(JsonElement variant) =>
        variant.TryGetProperty("gguf", out _) ? LoadGguf(PathOf(variant)) : Load(PathOf(variant));

    private static Dictionary<string, JsonElement> Texts(JsonElement variant) =>
        Rows(Path.Combine(Folder!, "variants", variant.GetProperty("texts").GetString()!));
}
