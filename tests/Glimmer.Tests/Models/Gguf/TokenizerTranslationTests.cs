using System.Text.Json;
using Glimmer.Formats;
using Glimmer.Models.Gguf;

namespace Glimmer.Tests.Models.Gguf;

[Trait("Category", "Golden")]
public class TokenizerTranslationTests
{
    private static string? Root => Fixtures.Folder("tokenizer");

    public static TheoryData<string> Tokenizers =>
        Fixtures.Rows(Root is null ? null : Directory.EnumerateFiles(Root, "tokenizer.json", SearchOption.AllDirectories)
            .Select(f => Path.GetRelativePath(Root, f)));

    [SkippableTheory]
    [MemberData(nameof(Tokenizers))]
    public void Tokenizer_files_survive_gguf_or_are_refused_by_name(string file)
    {
        Fixtures.SkipIfAbsent(file);
        using var temporary = new TemporaryFolder();
        string folder = Path.GetDirectoryName(Path.Combine(Root!, file))!;
        using JsonDocument original = JsonDocument.Parse(File.ReadAllText(Path.Combine(Root!, file)));
        int size = LargestId(original.RootElement) + 3;
        using JsonDocument config = JsonDocument.Parse($$"""{"vocab_size": {{size}}, "eos_token_id": [0, 1]}""");
        List<KeyValuePair<string, GgufValue>> keys;
        try
        {
            keys = TokenizerToGguf.Translate(folder, config.RootElement);
        }
        catch (UnsupportedModelException e)
        {
            Assert.Contains("GGUF", e.Message, StringComparison.Ordinal);
            return;
        }

        using (GgufWriter writer = GgufWriter.Create(temporary["vocabulary.gguf"], keys, []))
            writer.Complete();
        using GgufFile gguf = GgufFile.Open(temporary["vocabulary.gguf"]);
        TokenizerFromGguf.Write(gguf, "{}", temporary.ToString());
        using JsonDocument again = JsonDocument.Parse(File.ReadAllText(temporary["tokenizer.json"]));
        Assert.Equal(Ids(original.RootElement), Ids(again.RootElement));
        Assert.Equal(Merges(original.RootElement), Merges(again.RootElement));
        Assert.Equal(Added(original.RootElement), Added(again.RootElement));
        Assert.True(JsonElement.DeepEquals(original.RootElement.GetProperty("pre_tokenizer"), again.RootElement.GetProperty("pre_tokenizer"))
            || !original.RootElement.GetProperty("pre_tokenizer").TryGetProperty("use_regex", out _));
    }

    private static IEnumerable<(string, int)> Ids(JsonElement tokenizer)
    {
        IEnumerable<(string Name, int Id)> vocabulary = tokenizer.GetProperty("model").GetProperty("vocab").EnumerateObject().Select(p =>
            (p.Name, p.Value.GetInt32()));
        IEnumerable<(string Name, int Id)> added = tokenizer.GetProperty("added_tokens").EnumerateArray().Select(t =>
            (t.GetProperty("content").GetString()!, t.GetProperty("id").GetInt32()));
        return vocabulary.Concat(added).Distinct().OrderBy(t => t.Id);
    }

    private static IEnumerable<string> Merges(JsonElement tokenizer) => tokenizer.GetProperty("model").GetProperty("merges").EnumerateArray()
        .Select(m => m.ValueKind == JsonValueKind.Array ? $"{m[0].GetString()} {m[1].GetString()}" : m.GetString()!);

    // Whether a token is special is lost for those shaped like a control token.
    private static IEnumerable<string> Added(JsonElement tokenizer) =>
        tokenizer.GetProperty("added_tokens").EnumerateArray().OrderBy(t => t.GetProperty("id").GetInt32()).Select(t =>
    {
        string content = t.GetProperty("content").GetString()!;
        bool control = t.GetProperty("special").GetBoolean() || content.StartsWith("<|", StringComparison.Ordinal);
        return $"{t.GetProperty("id").GetInt32()} {content} {control}";
    });

    private static int LargestId(JsonElement tokenizer) => Ids(tokenizer).Max(t => t.Item2);
}
