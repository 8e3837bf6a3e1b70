using System.Text.Json;
using Glimmer.Environments.Scorers;

namespace Glimmer.Tests.Environments.Scorers;

/// <summary>Answers are graded as lm-eval 0.4.13 does.</summary>
public class Gsm8kGoldenTests
{
    [SkippableFact]
    public void Every_recorded_answer_gets_the_official_verdict()
    {
        foreach (JsonElement row in EvaluationFixtures.Rows("gsm8k.jsonl"))
        {
            string response = row.GetProperty("response").GetString()!, answer = row.GetProperty("answer").GetString()!;
            JsonElement official = row.GetProperty("official");
            Assert.Equal((response, Verdict(official, "strict_match")), (response, Gsm8kGrader.Strict(response, answer)));
            Assert.Equal((response, Verdict(official, "flexible_extract")), (response, Gsm8kGrader.Flexible(response, answer)));
        }
    }

    [SkippableTheory]
    [InlineData("train.jsonl")]
    [InlineData("test_first660.jsonl")]
    public void Reference_solutions_grade_themselves_correct(string file)
    {
        foreach (JsonElement row in EvaluationFixtures.Data("gsm8k", file))
        {
            string answer = row.GetProperty("answer").GetString()!;
            Assert.True(Gsm8kGrader.Strict(answer, answer).IsCorrect, answer);
            Assert.True(Gsm8kGrader.Flexible(answer, answer).IsCorrect, answer);
        }
    }

    private static Gsm8kVerdict Verdict(JsonElement official, string name) =>
        new(official.GetProperty(name).GetProperty("extracted").GetString()!, official.GetProperty(name).GetProperty("correct").GetBoolean());
}
