using System.Text.RegularExpressions;
using Glimmer.Data.Synthesis;
using Glimmer.Data.Synthesis.Miniature;
using Glimmer.Data.Synthesis.Passkeys;
using Glimmer.Inference;
using Glimmer.Tokenization;

namespace Glimmer.Tests.Data.Synthesis;

public sealed partial class PasskeyCorpusTests : IDisposable
{
    private const int Length = 300;

    private readonly TemporaryFolder _folder = new();
    private readonly Tokenizer _tokenizer;
    private readonly PasskeyCorpus _corpus;

    public PasskeyCorpusTests()
    {
        BpeTrainingResult vocabulary = MiniatureTokenizer.Train(new MiniatureCorpus(1), 600, 200_000, threads: 1);
        TokenizerFiles.Save(vocabulary, MiniatureTokenizer.Layout, _folder.ToString());
        _tokenizer = TokenizerFiles.Open(_folder.ToString());
        _corpus = new PasskeyCorpus(5, _tokenizer, Length);
    }

    [Fact]
    public void Texts_hold_what_they_ask_for_and_are_functions_of_seed_split_and_index()
    {
        int small = 0;
        for (int i = 0; i < 60; i++)
        {
            SyntheticDocument document = _corpus.Document(i);
            Assert.Equal(document, new PasskeyCorpus(5, _tokenizer, Length).Document(i));
            int tokens = _tokenizer.Encode(document.Text).Length;
            Assert.InRange(tokens, 20, Length);
            small += tokens <= 2 * PasskeyCorpus.ShortestLength ? 1 : 0;
            string[] lines = document.Text.Split('\n');
            (string Owner, string Key)[] hidden = [.. lines.Select(line => Statement().Match(line)).Where(match => match.Success).Select(match => (match.Groups[1].Value, match.Groups[2].Value))];
            (string Owner, string Key)[] asked = [.. lines.Select(line => Question().Match(line)).Where(match => match.Success).Select(match => (match.Groups[1].Value, match.Groups[2].Value))];
            Assert.InRange(hidden.Length, 1, 4);
            Assert.Equal(hidden.Order(), asked.Order());
            Assert.All(asked, pair => Assert.Equal(CorpusSplit.Train, CorpusKey.SplitOf(CorpusKey.Of("passkey", pair.Key))));
        }

        Assert.InRange(small, 35, 59); // four in five, and some of the others
        Assert.NotEqual(_corpus.Document(3).Text, new PasskeyCorpus(6, _tokenizer, Length).Document(3).Text);
        Assert.NotEqual(_corpus.Document(3).Text, _corpus.Document(3, CorpusSplit.Validation).Text);
    }

    [Fact]
    public void Questions_fill_the_length_ask_for_each_key_once_and_put_it_at_all_depths()
    {
        IReadOnlyList<SyntheticQuestion> questions = _corpus.Questions(50);
        Assert.Equal(50, questions.Select(question => question.Answer).Distinct().Count());
        Assert.Equal(5, questions.Select(question => question.Task).Distinct().Count());
        foreach (SyntheticQuestion question in questions)
        {
            Assert.InRange(_tokenizer.Encode($"{question.Completion} {question.Answer}.").Length, Length - 40, Length);
            Assert.Equal(CorpusSplit.Test, CorpusKey.SplitOf(question.Key));
            // The key stands in the text, but not behind the question.
            Match only = Assert.Single(Statement().Matches(question.Completion!));
            Assert.Equal(question.Answer, only.Groups[2].Value);
            Assert.EndsWith($"the pass key of {only.Groups[1].Value} is", question.Completion, StringComparison.Ordinal);
        }

        double[] depths = [.. questions.Select(question => question.Completion!.IndexOf("Note that", StringComparison.Ordinal) / (double)question.Completion.Length)];
        Assert.True(depths.Min() < 0.1 && depths.Max() > 0.8, $"{depths.Min()} to {depths.Max()}");
    }

    public void Dispose() => _folder.Dispose();

    [GeneratedRegex(@"Note that the pass key of (\w+) is (\d{5})\. Remember it: \2\.")]
    private static partial Regex Statement();

    [GeneratedRegex(@"^Once more: the pass key of (\w+) is (\d{5})\.$")]
    private static partial Regex Question();
}
