using System.Text;
using Glimmer.Tokenization;

namespace Glimmer.Tests.Tokenization;

/// <summary>Files that are damaged, contradict themselves or ask for more, and what is read beside tokenizer.json.</summary>
public class TokenizerFileTests
{
    private static readonly string s_file = Encoding.UTF8.GetString(Trained());

    [Fact]
    public void Damaged_files_give_a_clear_error() => Mutate(400);

    [Fact]
    [Trait("Category", "Slow")]
    public void Many_damaged_files_give_a_clear_error() => Mutate(10_000);

    [Theory]
    [InlineData("\"truncation\":null", "\"truncation\":{\"max_length\":5}", "truncation")]
    [InlineData("\"padding\":null", "\"padding\":{\"strategy\":\"BatchLongest\"}", "padding")]
    [InlineData("\"invert\":false", "\"invert\":true", "pre_tokenizer.behavior")]
    [InlineData("\"normalizer\":null", "\"normalizer\":{\"type\":\"Strip\"}", "Strip")]
    [InlineData("\"dropout\":null", "\"dropout\":0.1", "model.dropout")]
    [InlineData("\"add_prefix_space\":false", "\"add_prefix_space\":true", "add_prefix_space")]
    public void What_is_not_understood_is_refused_by_name(string old, string changed, string named)
    {
        Assert.Contains(old, s_file, StringComparison.Ordinal);
        var error = Assert.Throws<UnsupportedModelException>(() => Parse(s_file.Replace(old, changed, StringComparison.Ordinal)));
        Assert.Contains(named, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Keys_the_library_ignores_are_ignored() =>
        Assert.Equal(
            Parse(s_file).Encode("the cat"),
            Parse(s_file.Replace("\"fuse_unk\"", "\"new_key\":[{}],\"fuse_unk\"", StringComparison.Ordinal)).Encode("the cat"));

    [Fact]
    public void Merges_may_come_before_the_vocabulary()
    {
        int vocabulary = s_file.IndexOf("\"vocab\"", StringComparison.Ordinal), merges = s_file.IndexOf("\"merges\"", StringComparison.Ordinal);
        int end = s_file.Length - 2;
        string swapped = $"{s_file[..vocabulary]}{s_file[merges..end]},{s_file[vocabulary..(merges - 1)]}}}}}";
        Assert.Equal(Parse(s_file).Encode("the cat sat"), Parse(swapped).Encode("the cat sat"));
    }

    [Fact]
    public void Unknown_bytes_become_the_unknown_token_only_where_it_may()
    {
        // Without a token for 'x' and with unk_token: rendered text has the unknown token, user text drops the byte.
        string text = s_file.Replace("\"x\":", "\"<unk>\":", StringComparison.Ordinal).Replace("\"unk_token\":null", "\"unk_token\":\"<unk>\"", StringComparison.Ordinal);
        int unknown = Parse(s_file).TokenToId("x")!.Value;
        string marked = text.Replace("\"added_tokens\":[", $"\"added_tokens\":[{{\"id\":{unknown},\"content\":\"<unk>\",\"special\":true,\"normalized\":false}},", StringComparison.Ordinal);
        Tokenizer tokenizer = Parse(marked);
        int[] others = tokenizer.Encode("zz");
        Assert.Equal([unknown, unknown, .. others], tokenizer.Encode("xxzz", EncodeOptions.RenderedPrompt));
        Assert.Equal(others, tokenizer.Encode("xxzz"));
        Tokenizer fusing = Parse(marked.Replace("\"fuse_unk\":false", "\"fuse_unk\":true", StringComparison.Ordinal));
        Assert.Equal([unknown, .. others], fusing.Encode("xxzz", EncodeOptions.RenderedPrompt));
    }

    [Fact]
    public void Roles_and_template_come_from_the_files_beside_it()
    {
        const string Config = """{"eos_token":"<|end|>","bos_token":null,"pad_token":{"content":"<think>"},"chat_template":[{"name":"default","template":"A"},{"name":"x","template":"B"}]}""";
        byte[] file = Encoding.UTF8.GetBytes(s_file);
        Tokenizer tokenizer = Tokenizer.FromJson(file, Encoding.UTF8.GetBytes(Config));
        Assert.Equal(tokenizer.TokenToId("<|end|>"), tokenizer.EosId);
        Assert.Equal(tokenizer.TokenToId("<think>"), tokenizer.PadId);
        Assert.Null(tokenizer.BosId);
        Assert.Equal([tokenizer.EosId!.Value], tokenizer.EndIds);
        Assert.Equal("A", tokenizer.ChatTemplate);
        Assert.Equal("C", Tokenizer.FromJson(file, Encoding.UTF8.GetBytes(Config), "C").ChatTemplate);
        Assert.Throws<ModelFormatException>(() => Tokenizer.FromJson(file, "{"u8));
        Assert.Throws<ModelFormatException>(() => Tokenizer.FromJson(file, "{\"eos_token\":{}}"u8));
    }

    [Fact]
    public void Gguf_ids_outside_the_list_and_padding_rows_are_handled()
    {
        string[] tokens = [.. Enumerable.Range(0, 256).Select(b => ByteAlphabet.CharOf((byte)b).ToString()), "ab", "<|end|>", "[PAD0]", "[PAD1]"];
        var metadata = new GgufTokenizerMetadata
        {
            Model = "gpt2",
            Pre = "gpt-2",
            Tokens = tokens,
            TokenTypes = [.. Enumerable.Repeat(1, 257), 3, 5, 5],
            Merges = ["a b"],
            EosTokenId = 257,
            AddBosToken = true,
            BosTokenId = 257,
        };
        Tokenizer tokenizer = Tokenizer.FromGguf(metadata);
        Assert.Equal(260, tokenizer.VocabularySize);
        Assert.False(tokenizer.HasToken(258));
        Assert.Null(tokenizer.TokenToId("[PAD0]"));
        Assert.Equal([256], tokenizer.Encode("ab"));
        Assert.Equal([257, 256, 257], tokenizer.Encode("ab<|end|>", new EncodeOptions { AddedTokens = AddedTokenMatching.All, AddSpecialTokens = true }));
        Assert.Equal("ab", tokenizer.Decode([256, 258, 257, 259], skipSpecial: true));
        Assert.Throws<ModelFormatException>(() => Tokenizer.FromGguf(metadata with { EotTokenId = 260 }));
        Assert.Throws<ModelFormatException>(() => Tokenizer.FromGguf(metadata with { PaddingTokenId = -1 }));
        Assert.Throws<ModelFormatException>(() => Tokenizer.FromGguf(metadata with { Merges = ["ab"] }));
        Assert.Throws<UnsupportedModelException>(() => Tokenizer.FromGguf(metadata with { Pre = "tekken" }));
    }

    /// <summary>Changes bytes, cuts pieces out and repeats others; whatever loads must also encode.</summary>
    private static void Mutate(int times)
    {
        var random = new Random(17);
        byte[] file = Encoding.UTF8.GetBytes(s_file);
        for (int i = 0; i < times; i++)
        {
            List<byte> damaged = [.. file];
            for (int changes = random.Next(1, 4); changes > 0; changes--)
            {
                int at = random.Next(damaged.Count);
                switch (random.Next(4))
                {
                    case 0:
                        damaged[at] = (byte)random.Next(256);
                        break;
                    case 1:
                        damaged.RemoveRange(at, Math.Min(random.Next(1, 60), damaged.Count - at));
                        break;
                    case 2:
                        damaged.InsertRange(at, damaged.GetRange(at, Math.Min(random.Next(1, 60), damaged.Count - at)));
                        break;
                    default:
                        damaged[at] = (byte)"0123456789-e.\"[]{},:\\ntfu"[random.Next(25)];
                        break;
                }
            }

            try
            {
                Tokenizer tokenizer = Tokenizer.FromJson(damaged.ToArray());
                tokenizer.Decode(tokenizer.Encode("the cat <think> sat, 123 times."));
                tokenizer.Decode(tokenizer.Encode("the cat <think> sat, 123 times.", EncodeOptions.RenderedPrompt));
            }
            catch (Exception e) when (e is ModelFormatException or UnsupportedModelException)
            {
                Assert.NotEmpty(e.Message);
            }
        }
    }

    private static Tokenizer Parse(string json) => Tokenizer.FromJson(Encoding.UTF8.GetBytes(json));

    private static byte[] Trained()
    {
        using var stream = new MemoryStream();
        BpeTrainer.Train(["the cat sat on the mat, the hat"], new BpeTrainerOptions { VocabularySize = 270 })
            .WriteTokenizerJson(stream, new TokenizerLayout { AddedTokens = [("<|end|>", true), ("<think>", false)] });
        return stream.ToArray();
    }
}
