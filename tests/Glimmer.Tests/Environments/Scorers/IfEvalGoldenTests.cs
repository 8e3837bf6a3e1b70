using System.Text.Json;
using Glimmer.Environments.Scorers.IfEval;

namespace Glimmer.Tests.Environments.Scorers;

/// <summary>Responses are graded as lm-eval 0.4.13 does.</summary>
public class IfEvalGoldenTests
{
    [SkippableFact]
    public void Every_recorded_response_gets_the_official_verdicts()
    {
        Dictionary<int, JsonElement> prompts = EvaluationFixtures.Data("ifeval", "input_data_first400.jsonl").ToDictionary(row => row.GetProperty("key").GetInt32());
        var wrong = new List<string>();
        foreach (JsonElement row in EvaluationFixtures.Rows("ifeval_responses.jsonl"))
        {
            JsonElement prompt = prompts[row.GetProperty("key").GetInt32()], official = row.GetProperty("official");
            IfEvalVerdict verdict = IfEvalGrader.Grade(prompt, row.GetProperty("response").GetString()!);
            if (!verdict.Strict.SequenceEqual(Verdicts(official, "strict")) || !verdict.Loose.SequenceEqual(Verdicts(official, "loose")))
                wrong.Add($"{prompt.GetProperty("instruction_id_list")} {prompt.GetProperty("kwargs")} strict {string.Join(',', verdict.Strict)} loose {string.Join(',', verdict.Loose)}: {row}");
        }

        Assert.True(wrong.Count == 0, $"{wrong.Count} differ:\n{string.Join('\n', wrong.Take(5))}");
    }

    [Fact]
    public void An_unknown_instruction_and_a_missing_argument_are_named()
    {
        JsonElement unknown = JsonDocument.Parse("""{"instruction_id_list": ["a:b"], "kwargs": [{}]}""").RootElement;
        JsonElement missing = JsonDocument.Parse("""{"instruction_id_list": ["length_constraints:number_words"], "kwargs": [{"relation": "at least", "num_words": 0}]}""").RootElement;
        Assert.Contains("'a:b'", Assert.Throws<ModelFormatException>(() => IfEvalGrader.Grade(unknown, "x")).Message, StringComparison.Ordinal);
        Assert.Contains("'num_words'", Assert.Throws<ModelFormatException>(() => IfEvalGrader.Grade(missing, "x")).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("```json\n{\"a\": [NaN, -Infinity, \"NaN\"]}\n```", true)]
    [InlineData("{\"a\": NaNa}", false)]
    [InlineData("{'a': 1}", false)]
    public void Json_is_what_python_reads(string response, bool expected)
    {
        JsonElement prompt = JsonDocument.Parse("""{"instruction_id_list": ["detectable_format:json_format"], "kwargs": [{}]}""").RootElement;
        Assert.Equal(expected, IfEvalGrader.Grade(prompt, response).FollowsAll);
    }

    private static bool[] Verdicts(JsonElement official, string name) => [.. official.GetProperty(name).EnumerateArray().Select(item => item.GetBoolean())];
}
