using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Glimmer.Tokenization;
using static Glimmer.Tests.Tokenization.TokenizerRecordings;

namespace Glimmer.Tests.Tokenization;

/// <summary>Trainings recorded from Hugging Face's BpeTrainer: merges, ids and counts are the same.</summary>
public class BpeTrainerTests
{
    private static readonly string s_index = Path.Combine("trainer", "index.jsonl");

    public static TheoryData<string> Trainings => Names(s_index);

    [SkippableTheory]
    [Trait("Category", "Golden")]
    [MemberData(nameof(Trainings))]
    public void Training_gives_the_recorded_merges_and_tokens(string name)
    {
        Fixtures.SkipIfAbsent(name);
        JsonElement row = Row(s_index, name);
        BpeTrainingResult result = BpeTrainer.Train(Corpus(row), Options(row));

        string merges = File.ReadAllText(Path.Combine(Folder!, "trainer", row.GetProperty("merges").GetString()!));
        Assert.Equal(merges.Split('\n', StringSplitOptions.RemoveEmptyEntries), result.Merges.Select(m => $"{m.Left} {m.Right}"));
        Assert.Equal(row.GetProperty("merge_count").GetInt32(), result.Merges.Count);
        Assert.Equal(row.GetProperty("vocab_count").GetInt32(), result.Tokens.Count);
        Assert.Equal(
            row.GetProperty("tokens_sha256").GetString(),
            Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(string.Join('\n', result.Tokens)))));
        if (row.TryGetProperty("alphabet", out JsonElement alphabet))
            Assert.Equal(Strings(alphabet), result.Alphabet);
        if (row.TryGetProperty("tokens_after_alphabet", out JsonElement after))
            Assert.Equal(Strings(after), result.Tokens.TakeLast(after.GetArrayLength()));
        if (row.TryGetProperty("pair_counts_head", out JsonElement head))
            Assert.Equal(head.EnumerateArray().Select(c => c.GetInt64()), result.Merges.Take(head.GetArrayLength()).Select(m => m.Count));
        if (row.TryGetProperty("pair_count_last", out JsonElement last))
            Assert.Equal(last.GetInt64(), result.Merges[^1].Count);
    }

    [SkippableTheory]
    [Trait("Category", "Golden")]
    [MemberData(nameof(Trainings))]
    public void Trained_tokenizer_is_written_and_read_back(string name)
    {
        Fixtures.SkipIfAbsent(name);
        JsonElement row = Row(s_index, name);
        BpeTrainerOptions options = Options(row);
        string[] corpus = [.. Corpus(row)];
        BpeTrainingResult result = BpeTrainer.Train(corpus, options with { Threads = 1 });
        var layout = new TokenizerLayout { AddedTokens = [("<added>", false), ("<|end|>", true)] };
        if (Enumerable.Range(' ', '~' - ' ' + 1).Count(c => !result.Tokens.Contains(c == ' ' ? "Ġ" : ((char)c).ToString())) > 47)
        {
            // Trained without the byte alphabet: written as asked, but reading it back would lose ordinary text.
            Assert.Contains("printable ASCII", Assert.Throws<ModelFormatException>(() => result.ToTokenizer(layout)).Message, StringComparison.Ordinal);
            return;
        }

        Tokenizer tokenizer = result.ToTokenizer(layout);
        Assert.Equal(result.Tokens.Count + 2, tokenizer.VocabularySize);
        Assert.Equal(result.Tokens, Enumerable.Range(0, result.Tokens.Count).Select(id => tokenizer.IdToToken(id)));
        Assert.Equal([result.Tokens.Count, result.Tokens.Count + 1], tokenizer.Encode("<added><|end|>", EncodeOptions.RenderedPrompt));
        // A special token that text can spell is left out when text is encoded as user text, and then merges that need it do not happen.
        bool spellsSpecial = options.SpecialTokens.Any(t => t.Length == 1 || result.Merges.Any(m => m.Left + m.Right == t));
        bool keepsText = options.InitialAlphabet.Count == 256 && !options.NormalizeNfc && !options.AddPrefixSpace && !spellsSpecial;
        Tokenizer merging = result.ToTokenizer(layout with { IgnoreMerges = false });
        foreach (string document in corpus)
        {
            int[] ids = tokenizer.Encode(document);
            if (keepsText)
                Assert.Equal(document, tokenizer.Decode(ids));
            if (!spellsSpecial)
                Assert.Equal(ids, merging.Encode(document));
        }
    }

    [Fact]
    public void Cancelled_training_ends()
    {
        using var cancellation = new CancellationTokenSource();
        var progress = new CancelWhenMerging(cancellation);
        var options = new BpeTrainerOptions { VocabularySize = 100_000 };
        string[] corpus = [.. Enumerable.Range(0, 3000).Select(i => $"{i * 7919} word{i % 97} and {(char)('a' + i % 26)}{(char)('a' + i % 25)}{(char)('a' + i % 23)}")];
        Assert.ThrowsAny<OperationCanceledException>(() => BpeTrainer.Train(corpus, options, progress, cancellation.Token));
    }

    private static BpeTrainerOptions Options(JsonElement row)
    {
        JsonElement alphabet = row.GetProperty("initial_alphabet");
        string pre = row.GetProperty("pre").GetString()!;
        Assert.True(!row.TryGetProperty("normalizer", out JsonElement normalizer) || normalizer.GetString() == "NFC");
        return new BpeTrainerOptions
        {
            VocabularySize = row.GetProperty("vocab_size").GetInt32(),
            MinFrequency = row.GetProperty("min_frequency").GetInt64(),
            SpecialTokens = [.. Strings(row.GetProperty("special_tokens"))],
            InitialAlphabet = alphabet.ValueKind == JsonValueKind.Array ? [.. Strings(alphabet)]
                : alphabet.GetString() == "bytes" ? BpeTrainerOptions.ByteCharacters : [],
            LimitAlphabet = row.TryGetProperty("limit_alphabet", out JsonElement limit) ? limit.GetInt32() : null,
            MaxTokenLength = row.TryGetProperty("max_token_length", out JsonElement length) ? length.GetInt32() : null,
            NormalizeNfc = row.TryGetProperty("normalizer", out _),
            AddPrefixSpace = pre == "gpt-2-prefix-space",
            PreTokenizer = pre switch
            {
                "glm4" => PreTokenizer.Glm,
                "qwen2" => PreTokenizer.Qwen2,
                "smollm" => PreTokenizer.DigitsGpt2,
                "gpt-2" or "gpt-2-prefix-space" => PreTokenizer.Gpt2,
                _ => throw new InvalidDataException($"Unknown pre-tokenizer '{pre}'."),
            },
        };
    }

    private static List<string> Corpus(JsonElement row)
    {
        var documents = new List<string>();
        foreach (JsonElement document in row.GetProperty("corpus").EnumerateArray())
        {
            if (document.TryGetProperty("text", out JsonElement text))
            {
                int times = document.TryGetProperty("times", out JsonElement value) ? value.GetInt32() : 1;
                documents.Add(string.Concat(Enumerable.Repeat(text.GetString()!, times)));
                continue;
            }

            string path = Path.Combine(TokenizerRecordings.Data ?? "", document.GetProperty("file").GetString()!);
            Skip.IfNot(File.Exists(path), $"the data file {path} is not here");
            byte[] bytes = File.ReadAllBytes(path);
            documents.Add(Encoding.UTF8.GetString(bytes, document.GetProperty("start").GetInt32(), document.GetProperty("length").GetInt32()));
        }

        return documents;
    }

    private static IEnumerable<string> Strings(JsonElement list) => list.EnumerateArray().Select(s => s.GetString()!);

    private sealed class CancelWhenMerging(CancellationTokenSource cancellation) : IProgress<BpeTrainingProgress>
    {
        public void Report(BpeTrainingProgress value)
        {
            if (value.Stage == BpeTrainingStage.Merging)
                cancellation.Cancel();
        }
    }
}
