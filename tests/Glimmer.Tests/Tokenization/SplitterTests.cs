using System.Text;
using System.Text.Json;
using Glimmer.Tokenization;
using static Glimmer.Tests.Tokenization.TokenizerRecordings;

namespace Glimmer.Tests.Tokenization;

/// <summary>Pieces recorded from the reference's pre-tokenizers.</summary>
[Trait("Category", "Golden")]
public class SplitterTests
{
    public static TheoryData<string> Rows => Names("pretokenize.jsonl");

    public static TheoryData<string> ChatRows =>
        Fixtures.Rows(Fixtures.Folder("chat") is string chat ? TokenizerRecordings.Rows(Path.Combine(chat, "pretokenize.jsonl")).Keys : null);

    [SkippableTheory]
    [MemberData(nameof(Rows))]
    public void Text_is_cut_as_recorded(string name)
    {
        Fixtures.SkipIfAbsent(name);
        JsonElement row = Row("pretokenize.jsonl", name);
        byte[] text = Encoding.UTF8.GetBytes(row.GetProperty("text").GetString()!);
        Assert.Equal(Ids(row, "glm4"), Ends<GlmSplitter>(text));
        Assert.Equal(Ids(row, "gpt-2"), Ends<Gpt2Splitter>(text));
        Assert.Equal(Ids(row, "smollm"), Ends<DigitsGpt2Splitter>(text));
        Assert.Equal(Ids(row, "qwen2"), Ends<Qwen2Splitter>(text));
    }

    [SkippableTheory]
    [MemberData(nameof(ChatRows))]
    public void Pieces_are_spelled_as_recorded(string name)
    {
        Fixtures.SkipIfAbsent(name);
        JsonElement row = TokenizerRecordings.Rows(Path.Combine(Fixtures.Folder("chat")!, "pretokenize.jsonl"))[name];
        byte[] text = Encoding.UTF8.GetBytes(row.GetProperty("text").GetString()!);
        int start = 0;
        var pieces = new List<byte[]>();
        foreach (int end in Ends<GlmSplitter>(text))
        {
            pieces.Add(text[start..end]);
            start = end;
        }

        Assert.Equal(row.GetProperty("pieces").EnumerateArray().Select(p => p.GetString()!), pieces.Select(Encoding.UTF8.GetString));
        Assert.Equal(row.GetProperty("byte_level").EnumerateArray().Select(p => p.GetString()!), pieces.Select(p => ByteAlphabet.Spell(p)));
    }

    /// <summary>The ends of all pieces. What lies behind the text is letters, digits, spaces or marks, which must not matter.</summary>
    private static int[] Ends<TSplitter>(byte[] text) where TSplitter : struct, IPieceSplitter
    {
        int[]? ends = null;
        foreach (byte behind in "\0a1 !\n"u8)
        {
            byte[] padded = [.. text, .. Enumerable.Repeat(behind, Utf8Text.Padding)];
            var found = new List<int>();
            for (int p = 0; p < text.Length; found.Add(p))
                p = TSplitter.Next(ref padded[0], p, text.Length);
            if (ends is not null)
                Assert.Equal(ends, found);
            ends = [.. found];
        }

        return ends!;
    }
}
