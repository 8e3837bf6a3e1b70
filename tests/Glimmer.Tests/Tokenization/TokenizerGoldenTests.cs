using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text.Json;
using Glimmer.Tokenization;
using static Glimmer.Tests.Tokenization.TokenizerRecordings;

namespace Glimmer.Tests.Tokenization;

/// <summary>Ids, texts and pieces recorded from Hugging Face's tokenizers. Everything is exact.</summary>
[Trait("Category", "Golden")]
public class TokenizerGoldenTests
{
    private static readonly EncodeOptions s_specialAsText = new() { AddedTokens = AddedTokenMatching.NonSpecial };

    public static TheoryData<string> Texts => Names("texts.jsonl");

    public static TheoryData<string> Files => Names("files.jsonl");

    public static TheoryData<string> DecodeRows => Names("decode.jsonl");

    public static TheoryData<string> StreamingRows => Names("streaming.jsonl");

    [SkippableTheory]
    [MemberData(nameof(Texts))]
    public void Text_gives_the_recorded_ids_and_comes_back(string name)
    {
        Fixtures.SkipIfAbsent(name);
        JsonElement row = Row("texts.jsonl", name);
        Tokenizer tokenizer = Of(row);
        bool isRecipe = row.TryGetProperty("recipe", out JsonElement recipe);
        string text = isRecipe ? Build(recipe) : row.GetProperty("text").GetString()!;
        int[] ids = isRecipe ? Unroll(row.GetProperty("ids_rle")) : Ids(row, "ids");
        int[] plain = !isRecipe ? Ids(row, "ids_plain", "ids") : row.TryGetProperty("ids_plain_rle", out JsonElement rle) ? Unroll(rle) : ids;
        if (isRecipe)
            Assert.Equal(row.GetProperty("ids_count").GetInt32(), ids.Length);

        string input = row.TryGetProperty("utf16", out JsonElement units)
            ? new string([.. units.EnumerateArray().Select(u => (char)u.GetInt32())])
            : text;
        Assert.Equal(ids, tokenizer.Encode(input, EncodeOptions.RenderedPrompt));
        Assert.Equal(ids, tokenizer.Encode(input, EncodeOptions.RenderedPrompt with { AddSpecialTokens = true }));
        Assert.Equal(plain, tokenizer.Encode(input));
        if (!isRecipe)
        {
            Assert.Equal(Ids(row, "ids_with_special", "ids"), ids);
            Assert.Equal(Ids(row, "ids_special_as_text", "ids"), tokenizer.Encode(input, s_specialAsText));
        }

        Assert.Equal(text, tokenizer.Decode(ids));
        Assert.Equal(text, tokenizer.Decode(plain));
        if (row.TryGetProperty("offsets", out JsonElement offsets))
            Assert.Equal(offsets.EnumerateArray().Select(o => (o[0].GetInt32(), o[1].GetInt32())), CodePointSpans(tokenizer, text, ids));
    }

    [SkippableTheory]
    [MemberData(nameof(Files))]
    public void Whole_file_gives_the_recorded_ids(string name)
    {
        Fixtures.SkipIfAbsent(name);
        JsonElement row = Row("files.jsonl", name);
        string path = Path.Combine(TokenizerRecordings.Data ?? "", name);
        Skip.IfNot(File.Exists(path), $"the data file {name} is not here");
        byte[] bytes = File.ReadAllBytes(path);
        Assert.Equal(row.GetProperty("sha256").GetString(), Convert.ToHexStringLower(SHA256.HashData(bytes)));
        int[] ids = Of(row).EncodeUtf8(bytes, EncodeOptions.RenderedPrompt);
        int every = row.GetProperty("probe_every").GetInt32();
        Assert.Equal(Ids(row, "probe"), ids.Where((_, i) => i % every == 0));
        Assert.Equal(row.GetProperty("ids_count").GetInt32(), ids.Length);
        Assert.Equal(row.GetProperty("ids_sha256").GetString(), Convert.ToHexStringLower(SHA256.HashData(MemoryMarshal.AsBytes<int>(ids))));
    }

    [SkippableTheory]
    [MemberData(nameof(DecodeRows))]
    public void Ids_give_the_recorded_text(string name)
    {
        Fixtures.SkipIfAbsent(name);
        JsonElement row = Row("decode.jsonl", name);
        int[] ids = Ids(row, "ids");
        Assert.Equal(row.GetProperty("text").GetString(), Of(row).Decode(ids));
        Assert.Equal(row.GetProperty("text_skip_special").GetString(), Of(row).Decode(ids, skipSpecial: true));
    }

    [SkippableTheory]
    [MemberData(nameof(StreamingRows))]
    public void Detokenizer_emits_the_recorded_pieces(string name)
    {
        Fixtures.SkipIfAbsent(name);
        JsonElement row = Row("streaming.jsonl", name);
        int[] ids = Ids(row, "ids");
        Check(false, "pieces", "flush", "text");
        if (row.TryGetProperty("pieces_skip_special", out _))
            Check(true, "pieces_skip_special", "flush_skip_special", "text_skip_special");

        void Check(bool skipSpecial, string pieces, string flush, string text)
        {
            var detokenizer = new Detokenizer(Of(row), skipSpecial);
            string[] emitted = [.. ids.Select(id => detokenizer.Append(id).ToString())];
            string rest = detokenizer.Flush().ToString();
            Assert.Equal(row.GetProperty(pieces).EnumerateArray().Select(p => p.GetString()!), emitted);
            Assert.Equal(row.GetProperty(flush).GetString(), rest);
            Assert.Equal(row.GetProperty(text).GetString(), string.Concat(emitted) + rest);
        }
    }

    private static IEnumerable<(int, int)> CodePointSpans(Tokenizer tokenizer, string text, int[] ids)
    {
        // Positions in UTF-16 units to positions in code points.
        var codePoint = new int[text.Length + 1];
        for (int i = 0; i < text.Length; i++)
            codePoint[i + 1] = codePoint[i] + (char.IsLowSurrogate(text[i]) ? 0 : 1);
        return TokenSpans.Locate(tokenizer, text, ids).Select(s => (codePoint[s.Start], codePoint[s.End]));
    }
}
