using System.Diagnostics;
using System.Text;
using CsCheck;
using Glimmer.Tokenization;

namespace Glimmer.Tests.Tokenization;

/// <summary>What holds for every text, on small tokenizers trained here.</summary>
public class TokenizerPropertyTests
{
    private static readonly string[] s_corpus =
    [
        "The quick brown fox jumps over the lazy dog. It's the 1234th time that the fox's jump was seen, isn't it?\n\n\tNo: 5,678!\r\n",
        "for (int i = 0; i < 100; i++) { total += values[i]; } // the total of the values\n        return total;\n    }\n}\n",
        "今天天气很好，我们去公园散步。公园里有很多人，天气也很好。\n",
        "Ünïcödé naïve café, ελληνικά, русский, العربية, 한국어, 😀🎉👍🏽 and 𠀀𠀁",
    ];

    private static readonly (string Text, bool IsSpecial)[] s_added =
    [
        ("<|user|>", true), ("<|assistant|>", true), ("<think>", false), ("</think>", false), ("/nothink", false), ("<|", true),
    ];

    private static readonly Dictionary<PreTokenizer, Trained> s_trained = Enum.GetValues<PreTokenizer>().ToDictionary(p => p, Train);

    private static readonly Gen<string> s_piece = Gen.OneOf(
        Choose(s_corpus),
        Choose(s_added.Select(a => a.Text).ToArray()),
        Choose(" ", "  ", "\n", "\r\n", "\t", "'s", "'S", "'ll", "'", "a", "1", "123", "½", "\u00A0", "\u3000", "\u0085", "\u0301", "你", "ſ", "!", "\0", "\u2028"),
        Gen.Int[0, 0x10FFFF].Where(c => c is < 0xD800 or > 0xDFFF).Select(char.ConvertFromUtf32),
        Gen.String[Gen.Char[' ', '~'], 0, 40]);

    private static readonly Gen<string> s_text = s_piece.List[0, 12].Select(string.Concat);

    private static readonly Gen<Tokenizer> s_tokenizer = Choose(s_trained.Values.Select(t => t.Tokenizer).ToArray());

    [Fact]
    public void Decoding_gives_back_every_text() =>
        Gen.Select(s_tokenizer, s_text).Sample((tokenizer, text) =>
        {
            Assert.Equal(text, tokenizer.Decode(tokenizer.Encode(text)));
            Assert.Equal(text, tokenizer.Decode(tokenizer.Encode(text, EncodeOptions.RenderedPrompt)));
            Assert.Equal(tokenizer.Encode(text), tokenizer.EncodeUtf8(Encoding.UTF8.GetBytes(text)));
        });

    [Fact]
    public void User_text_never_gives_an_added_token() =>
        Gen.Select(s_tokenizer, s_text).Sample((tokenizer, text) => Assert.DoesNotContain(tokenizer.Encode(text), tokenizer.IsAdded));

    [Fact]
    public void Fast_encoding_equals_merging_by_definition() =>
        Gen.Select(Choose(PreTokenizer.Glm, PreTokenizer.Gpt2), s_text).Sample((kind, text) =>
        {
            var expected = new List<int>();
            byte[] utf8 = [.. Encoding.UTF8.GetBytes(text), .. new byte[Utf8Text.Padding]];
            int end = utf8.Length - Utf8Text.Padding;
            for (int p = 0; p < end;)
            {
                int q = kind == PreTokenizer.Glm ? GlmSplitter.Next(ref utf8[0], p, end) : Gpt2Splitter.Next(ref utf8[0], p, end);
                expected.AddRange(MergeByDefinition(s_trained[kind], utf8[p..q]));
                p = q;
            }

            Assert.Equal(expected, s_trained[kind].Tokenizer.Encode(text));
        });

    [Fact]
    public void Flat_and_heap_merging_give_the_same_ids()
    {
        Trained trained = s_trained[PreTokenizer.Glm];
        var byteIds = new int[256];
        for (int b = 0; b < 256; b++)
            byteIds[b] = trained.Id(ByteAlphabet.CharOf((byte)b).ToString());
        var table = new MergeTable([.. trained.Result.Merges.Select(m => new Merge(trained.Id(m.Left), trained.Id(m.Right), trained.Id(m.Left + m.Right)))], byteIds);
        byte[] all = Encoding.UTF8.GetBytes(string.Concat(s_corpus));
        Gen.Select(Gen.Int[2, FlatMerger.MaxSymbols], Gen.Int[0, all.Length - 2]).Sample((length, start) =>
        {
            byte[] piece = all[start..Math.Min(all.Length, start + length)];
            int[] flat = new int[piece.Length], flatBytes = new int[piece.Length], heap = new int[piece.Length];
            for (int i = 0; i < piece.Length; i++)
                flat[i] = heap[i] = byteIds[piece[i]];
            int count = new HeapMerger().Merge(heap, table);
            Assert.Equal(heap[..count], flat[..new FlatMerger().Merge(flat, table)]);
            Assert.Equal(heap[..count], flatBytes[..new FlatMerger().MergeBytes(piece, table, byteIds, flatBytes)]);
        });
    }

    [Fact]
    public void Any_chunking_of_ids_is_detokenized_to_the_same_text() =>
        Gen.Select(s_tokenizer, Gen.Int[0, 700].List[0, 60], Gen.Int[1, 9], Gen.Bool).Sample((tokenizer, ids, size, skipSpecial) =>
        {
            var detokenizer = new Detokenizer(tokenizer, skipSpecial);
            var text = new StringBuilder();
            foreach (int[] chunk in ids.Chunk(size))
                text.Append(detokenizer.Append(chunk));
            text.Append(detokenizer.Flush());
            Assert.Equal(tokenizer.Decode([.. ids], skipSpecial), text.ToString());
        });

    [Fact]
    public void Trusted_segments_alone_match_added_tokens() =>
        Gen.Select(s_tokenizer, Gen.Select(s_text, Gen.Bool).List[0, 5]).Sample((tokenizer, parts) =>
        {
            TextSegment[] segments = [.. parts.Select(p => new TextSegment(p.Item1, p.Item2))];
            string text = string.Concat(segments.Select(s => s.Text));
            int[] ids = tokenizer.Encode(segments);
            Assert.Equal(text, tokenizer.Decode(ids));
            Assert.Equal(tokenizer.Encode(text), tokenizer.Encode([.. segments.Select(s => s with { IsTrusted = false })]));
            Assert.Equal(tokenizer.Encode(text, EncodeOptions.RenderedPrompt), tokenizer.Encode([.. segments.Select(s => s with { IsTrusted = true })]));

            // Every added token lies inside one run of trusted segments.
            var isTrusted = new List<bool>();
            foreach (TextSegment segment in segments)
                isTrusted.AddRange(Enumerable.Repeat(segment.IsTrusted, segment.Text.Length));
            foreach ((int id, TokenSpan span) in ids.Zip(TokenSpans.Locate(tokenizer, text, ids)))
                Assert.True(!tokenizer.IsAdded(id) || isTrusted.Take(span.End).Skip(span.Start).All(t => t));
        });

    [Fact]
    public void Threads_share_a_tokenizer()
    {
        Tokenizer tokenizer = Train(PreTokenizer.Glm).Tokenizer;
        string text = string.Concat(Enumerable.Repeat(string.Concat(s_corpus), 20));
        int[] expected = s_trained[PreTokenizer.Glm].Tokenizer.Encode(text);
        Parallel.For(0, 64, _ => Assert.Equal(expected, tokenizer.Encode(text)));
    }

    public static TheoryData<string, int> Hostile => new()
    {
        { "a", 1_000_000 }, { " ", 1_000_000 }, { "\n", 300_000 }, { "ab", 300_000 }, { "的", 300_000 }, { "<", 1_000_000 }, { "<|use", 200_000 },
        { " \n", 200_000 }, { "'s", 200_000 }, { "\u0301", 200_000 }, { "1", 500_000 }, { "😀", 100_000 }, { "\0", 300_000 }, { "</thin", 200_000 },
    };

    [Theory]
    [MemberData(nameof(Hostile))]
    public void Hostile_text_takes_no_longer_than_other_text(string part, int times)
    {
        string text = string.Concat(Enumerable.Repeat(part, times));
        foreach (Tokenizer tokenizer in s_trained.Values.Select(t => t.Tokenizer))
        {
            var watch = Stopwatch.StartNew();
            int[] ids = tokenizer.Encode(text, EncodeOptions.RenderedPrompt);
            Assert.True(watch.Elapsed < TimeSpan.FromSeconds(10), $"{watch.Elapsed} for {text.Length} characters");
            Assert.Equal(text, tokenizer.Decode(ids));
        }
    }

    [Fact]
    public void Wrong_use_is_told()
    {
        Tokenizer tokenizer = s_trained[PreTokenizer.Glm].Tokenizer;
        Assert.Throws<ArgumentException>(() => TokenSpans.Locate(tokenizer, "abc", tokenizer.Encode("abd")));
        Assert.Throws<ArgumentException>(() => TokenSpans.Locate(tokenizer, "abc", tokenizer.Encode("ab")));
        Assert.Throws<FileNotFoundException>(() => Tokenizer.Load(Path.Combine(Path.GetTempPath(), "no-such-folder")));
        Assert.Equal("", tokenizer.Decode([-1, int.MaxValue, tokenizer.VocabularySize]));
        Assert.Null(tokenizer.TokenToId("no such token"));
        Assert.Null(tokenizer.IdToToken(-1));
    }

    private static Gen<T> Choose<T>(params T[] items) => Gen.Int[0, items.Length - 1].Select(i => items[i]);

    private static Trained Train(PreTokenizer kind)
    {
        BpeTrainingResult result = BpeTrainer.Train(s_corpus, new BpeTrainerOptions { VocabularySize = 600, PreTokenizer = kind });
        return new Trained(result, result.ToTokenizer(new TokenizerLayout { AddedTokens = s_added }));
    }

    private static List<int> MergeByDefinition(Trained trained, byte[] piece)
    {
        List<int> ids = [.. piece.Select(b => trained.Id(ByteAlphabet.CharOf(b).ToString()))];
        while (true)
        {
            (int rank, int id, int at) = (int.MaxValue, 0, 0);
            for (int i = 0; i + 1 < ids.Count; i++)
            {
                if (trained.Merges.TryGetValue((ids[i], ids[i + 1]), out (int Rank, int Id) merge) && merge.Rank < rank)
                    (rank, id, at) = (merge.Rank, merge.Id, i);
            }

            if (rank == int.MaxValue)
                return ids;
            ids[at] = id;
            ids.RemoveAt(at + 1);
        }
    }

    private sealed record Trained(BpeTrainingResult Result, Tokenizer Tokenizer)
    {
        public Dictionary<(int Left, int Right), (int Rank, int Id)> Merges =>
            field ??= Result.Merges.Index().ToDictionary(m => (Id(m.Item.Left), Id(m.Item.Right)), m => (m.Index, Id(m.Item.Left + m.Item.Right)));

        public int Id(string token) => Tokenizer.TokenToId(token)!.Value;
    }
}
