using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Glimmer.Data.Synthesis;
using Glimmer.Data.Synthesis.Miniature;
using Glimmer.Tokenization;

namespace Glimmer.Tests.Data.Synthesis;

public partial class MiniatureCorpusTests
{
    private static readonly MiniatureCorpus s_corpus = new(7);

    public static TheoryData<MiniatureFamily> Families => [.. Enum.GetValues<MiniatureFamily>()];

    [Theory]
    [MemberData(nameof(Families))]
    public void Documents_are_functions_of_seed_family_split_and_index(MiniatureFamily family)
    {
        for (int i = 0; i < 20; i++)
            Assert.Equal(s_corpus.Document(family, i), new MiniatureCorpus(7).Document(family, i));
        Assert.NotEqual(Texts(7, CorpusSplit.Train), Texts(8, CorpusSplit.Train));
        Assert.NotEqual(Texts(7, CorpusSplit.Train), Texts(7, CorpusSplit.Validation));

        string Texts(ulong seed, CorpusSplit split) => string.Join('\n', Enumerable.Range(0, 20).Select(i => new MiniatureCorpus(seed).Document(family, i, split).Text));
    }

    [Theory]
    [MemberData(nameof(Families))]
    public void Splits_share_no_key(MiniatureFamily family)
    {
        HashSet<ulong> Keys(CorpusSplit split, int count) => [.. Enumerable.Range(0, count).Select(i => s_corpus.Document(family, i, split).Key)];
        HashSet<ulong> train = Keys(CorpusSplit.Train, 1000), validation = Keys(CorpusSplit.Validation, 60), test = Keys(CorpusSplit.Test, 60);
        Assert.Empty(train.Intersect(validation));
        Assert.Empty(train.Intersect(test));
        Assert.Empty(validation.Intersect(test));
    }

    [Fact]
    public void Sums_of_the_test_occur_in_no_training_text_in_either_order()
    {
        HashSet<(string, string)> asked = [];
        foreach (SyntheticQuestion question in s_corpus.Questions("add-2", 200))
        {
            Match match = Sum().Match(question.Completion!);
            asked.Add((match.Groups[1].Value, match.Groups[2].Value));
            asked.Add((match.Groups[2].Value, match.Groups[1].Value));
        }

        IEnumerable<string> texts = Enumerable.Range(0, 5000).Select(i => s_corpus.Document(MiniatureFamily.Arithmetic, i).Text).Concat(Enumerable.Range(0, 2000).Select(i => s_corpus.Conversation(i).ToJson()));
        int sums = 0;
        foreach (string text in texts)
        {
            foreach (Match match in Problem().Matches(text))
            {
                sums++;
                Assert.DoesNotContain((match.Groups[1].Value, match.Groups[2].Value), asked);
            }
        }

        Assert.True(sums > 2000);
    }

    [Fact]
    public void Every_calculation_in_the_text_holds()
    {
        int checkedSteps = 0;
        for (int i = 0; i < 3000; i++)
        {
            foreach (Match match in Equation().Matches(s_corpus.Document(MiniatureFamily.Arithmetic, i).Text))
            {
                long a = long.Parse(match.Groups[1].Value), b = long.Parse(match.Groups[3].Value), result = long.Parse(match.Groups[4].Value);
                long expected = match.Groups[2].Value switch { "+" => a + b, "-" => a - b, "x" => a * b, _ => a / b };
                Assert.True(result == expected, match.Value);
                checkedSteps++;
            }
        }

        Assert.True(checkedSteps > 5000);
    }

    [Fact]
    public void Facts_are_said_in_more_than_twelve_wordings_and_are_about_eleven_hundred()
    {
        Assert.InRange(MiniatureCorpus.FactCount, 1050, 1150);
        Assert.True(MiniatureFacts.WordingCount >= 12);
        Assert.Equal(200, MiniatureWorld.Instance.Entities.Select(entity => entity.English).Distinct().Count());
    }

    [Fact]
    public void A_stage_has_its_shares_and_ends_at_its_size()
    {
        var bytes = new Dictionary<string, long>();
        foreach (SyntheticDocument document in s_corpus.Stream(MiniatureStage.General, 200_000))
        {
            string family = document.Task.Split('/')[0];
            bytes[family] = bytes.GetValueOrDefault(family) + Encoding.UTF8.GetByteCount(document.Text);
        }

        long total = bytes.Values.Sum();
        Assert.InRange(total, 200_000, 202_000);
        Assert.Equal(0.32, (double)bytes["arithmetic"] / total, 2);
        Assert.Equal(0.25, (double)bytes["world"] / total, 2);
        Assert.Equal(0.18, (double)bytes["lists"] / total, 2);
        Assert.Equal(0.21, (double)(bytes["stories"] + bytes["dialogue"]) / total, 2);
        Assert.Equal(0.04, (double)bytes["tools"] / total, 2);
    }

    [Fact]
    public void Entropy_is_below_the_size_of_the_text_and_above_nothing() =>
        Assert.All(Enum.GetValues<MiniatureFamily>(), family => Assert.All(Enumerable.Range(0, 50), i =>
        {
            SyntheticDocument document = s_corpus.Document(family, i);
            Assert.InRange(document.EntropyBits, 3, 4.0 * Encoding.UTF8.GetByteCount(document.Text));
        }));

    [Fact]
    public void Equally_likely_choices_count_their_bits()
    {
        var choices = new Choices(1, "bits", 0, CorpusSplit.Train);
        choices.Below(8);
        choices.Pick(["a", "b"]);
        Assert.Equal(4, choices.Bits, 12);
        choices.Weighted((1.0, "a"), (1.0, "b"));
        Assert.Equal(5, choices.Bits, 12);
        choices.Draw(c => c.Below(1024), value => value < 8 ? CorpusSplit.Train : CorpusSplit.Test);
        Assert.Equal(15, choices.Bits, 12);
    }

    [Fact]
    public void Half_of_the_conversations_think_and_the_rest_has_its_shares()
    {
        TrainingRecord[] records = [.. Enumerable.Range(0, 4000).Select(i => s_corpus.Conversation(i))];
        Assert.Equal(0.5, Share(record => record.EnableThinking == true), 1);
        Assert.Equal(0.15, Share(record => record.Tools.Count > 0), 1.5e-2);
        Assert.Equal(0.05, Share(record => record.Messages.Any(message => !message.HasLoss)), 1e-2);
        Assert.All(records, record =>
        {
            using JsonDocument json = JsonDocument.Parse(record.ToJson());
            Assert.Equal(record.Messages.Count, json.RootElement.GetProperty("messages").GetArrayLength());
            Assert.All(record.Messages.Where(m => m.Role == "assistant"), m => Assert.Equal(record.EnableThinking, m.ReasoningContent is not null));
        });

        double Share(Func<TrainingRecord, bool> test) => (double)records.Count(test) / records.Length;
    }

    [Fact]
    public void Every_task_has_questions_of_the_test_with_answers()
    {
        Assert.Equal(14, MiniatureCorpus.Tasks.Count);
        foreach (string task in MiniatureCorpus.Tasks)
        {
            IReadOnlyList<SyntheticQuestion> questions = s_corpus.Questions(task, 200);
            Assert.True(questions.Count >= 100, $"{task}: {questions.Count}");
            Assert.Equal(questions.Count, questions.Select(question => question.Prompt).Distinct().Count());
            Assert.All(questions, question => Assert.NotEmpty(question.Answer));
        }

        Assert.Contains("the tasks are", Assert.Throws<ArgumentException>(() => s_corpus.Questions("none", 1)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void No_token_of_the_trained_vocabulary_has_two_digits()
    {
        BpeTrainingResult trained = MiniatureTokenizer.Train(s_corpus, size: 1200, sampleBytes: 300_000);
        Tokenizer tokenizer = trained.ToTokenizer(MiniatureTokenizer.Layout);
        Assert.Equal(1200, tokenizer.VocabularySize);
        Assert.All(trained.Tokens, token => Assert.True(token.Count(char.IsDigit) <= 1, token));
        Assert.Equal(4, tokenizer.Encode("1234").Length);
        Assert.Equal(36, tokenizer.AddedTokens.Count);
        string text = s_corpus.Document(MiniatureFamily.Tools, 3).Text;
        int[] ids = tokenizer.Encode(text, EncodeOptions.RenderedPrompt);
        Assert.Equal(text, tokenizer.Decode(ids));
        Assert.Contains(tokenizer.TokenToId("<tool_call>")!.Value, ids);
    }

    [GeneratedRegex(@"(\d+) \+ (\d+) =")]
    private static partial Regex Sum();

    // A problem as it is asked, not a step of a calculation.
    [GeneratedRegex(@"(?:^|What is |\n|"")(\d+) \+ (\d+)(?: =|\?)", RegexOptions.Multiline)]
    private static partial Regex Problem();

    [GeneratedRegex(@"(?<![\d+x/-] )\b(\d+) ([+x/-]) (\d+) = (\d+)")]
    private static partial Regex Equation();
}
