using System.Text.Json;
using Glimmer.Tokenization;
using static Glimmer.Tests.Tokenization.TokenizerRecordings;

namespace Glimmer.Tests.Tokenization;

/// <summary>The tokenizer of the embedded model, from its GGUF file.</summary>
[Trait("Category", "Golden")]
public class SmolLm2TokenizerTests
{
    private static readonly string? s_recording = Existing(Path.Combine(Fixtures.Models ?? "", "smollm2", "tokenizer.jsonl"));

    private static readonly string? s_model = new[] { Path.Combine(Fixtures.Repository, "models"), Path.Combine(Fixtures.Models ?? "", "smollm2") }
        .Where(Directory.Exists).SelectMany(f => Directory.EnumerateFiles(f, "*.gguf", SearchOption.AllDirectories)).FirstOrDefault();

    public static TheoryData<string> Texts => Fixtures.Rows(s_recording is null || s_model is null ? null : Rows(s_recording).Keys);

    [SkippableTheory]
    [MemberData(nameof(Texts))]
    public void Text_gives_the_recorded_ids(string name)
    {
        Fixtures.SkipIfAbsent(name);
        JsonElement row = Rows(s_recording!)[name];
        Tokenizer tokenizer = LoadGguf(s_model!);
        string text = row.GetProperty("text").GetString()!;
        int[] ids = Ids(row, "ids");
        Assert.Equal(ids, tokenizer.Encode(text, EncodeOptions.RenderedPrompt with { AddSpecialTokens = true }));
        Assert.Equal(Ids(row, "ids_plain", "ids"), tokenizer.Encode(text));
        Assert.Equal(row.GetProperty("decoded_equal").GetBoolean(), tokenizer.Decode(ids) == text);
    }

    private static string? Existing(string path) => File.Exists(path) ? path : null;
}
