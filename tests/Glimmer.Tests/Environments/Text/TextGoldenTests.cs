using System.Text.Json;
using Glimmer.Chat;
using Glimmer.Environments.Text;

namespace Glimmer.Tests.Environments.Text;

/// <summary>Sentences and words as nltk 3.10.4 finds them, languages as langdetect 1.0.9 with seed 0 does.</summary>
public class TextGoldenTests
{
    [SkippableFact]
    public void Sentences_words_and_tokens_are_those_of_nltk()
    {
        foreach (JsonElement row in EvaluationFixtures.Rows("ifeval_text.jsonl"))
        {
            string text = row.GetProperty("text").GetString()!;
            int[]? offsets = PythonText.CodePointOffsets(text);
            Range[] expected = [.. row.GetProperty("sentences").EnumerateArray().Select(item => Offset(item[0].GetInt32())..Offset(item[1].GetInt32()))];
            Assert.Equal((text, string.Join(' ', expected)), (text, string.Join(' ', SentenceSplitter.Split(text))));
            Assert.Equal((text, row.GetProperty("word_count").GetInt32()), (text, PythonCharacters.CountWords(text)));
            Assert.Equal(row.GetProperty("word_tokens").EnumerateArray().Select(item => item.GetString()), WordTokenizer.Tokenize(text));

            int Offset(int codePoint) => offsets is null ? codePoint : offsets[codePoint];
        }
    }

    [SkippableFact]
    public void Languages_are_those_of_langdetect()
    {
        var wrong = new List<string>();
        foreach (JsonElement row in EvaluationFixtures.Rows("ifeval_language.jsonl"))
        {
            string? expected = row.TryGetProperty("detected", out JsonElement detected) ? detected.GetString() : null;
            string? found = LanguageDetector.Detect(row.GetProperty("text").GetString()!);
            if (found != expected)
                wrong.Add($"{found}: {row}");
        }

        Assert.True(wrong.Count == 0, $"{wrong.Count} differ:\n{string.Join('\n', wrong)}");
    }

    [Fact]
    public void The_generator_draws_the_numbers_of_python()
    {
        // random.Random(0): three of random(), gauss(0, 1) and choice(range(10)).
        var random = new MersenneTwister(0);
        Assert.Equal(0.8444218515250481, random.NextDouble());
        Assert.Equal(0.7579544029403025, random.NextDouble());
        Assert.Equal(0.420571580830845, random.NextDouble());
        random = new MersenneTwister(0);
        Assert.Equal([0.9417154046806644, -1.3965781047011498, -0.6797144480784211], [random.NextGauss(), random.NextGauss(), random.NextGauss()]);
        random = new MersenneTwister(0);
        Assert.Equal([6, 6, 0, 4, 8], Enumerable.Range(0, 5).Select(_ => random.Below(10)));
    }

    [Fact]
    public void Long_texts_without_blanks_take_no_quadratic_time() => Assert.Single(SentenceSplitter.Split(new string('a', 200_000)));
}
