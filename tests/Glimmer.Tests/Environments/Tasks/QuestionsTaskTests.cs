using System.Text.Json;
using Glimmer.Chat;
using Glimmer.Environments.Evaluation;
using Glimmer.Environments.Tasks;

namespace Glimmer.Tests.Environments.Tasks;

public class QuestionsTaskTests
{
    private const string Rows = """
        {"task": "add", "prompt": "What is 2 + 3?", "answer": "5", "completion": "2 + 3 ="}
        {"task": "facts", "prompt": "Where does Mira live?", "answer": "Oslo", "completion": "Q: Where does Mira live? A:"}
        {"task": "tools", "prompt": "Add 2 and 3.", "answer": "5", "tools": [{"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}}}}], "call": {"name": "add", "arguments": {"a": 2, "b": 3}}, "call_result": "5"}
        """;

    [Theory]
    [InlineData(0, "The answer is 5.", true)]
    [InlineData(0, "5", true)]
    [InlineData(0, "2 + 3 = 6", false)]
    [InlineData(0, "", false)]
    [InlineData(1, "Oslo.", true)]
    [InlineData(1, "In Oslo", false)]
    public void An_answer_is_right_when_it_is_the_expected_one(int sample, string answer, bool isRight)
    {
        QuestionsTask task = Open(asText: false);
        SampleGrade grade = task.Grade(task.Samples[sample], new ParsedMessage("thoughts 9", answer, []), knowsTools: true);
        Assert.Equal([("right", isRight ? 1 : 0), (sample == 0 ? "add" : "facts", isRight ? 1 : 0)], grade.Tallies.Select(tally => (tally.Metric, tally.Hits)));
    }

    [Theory]
    [InlineData("add", """{"a": 2, "b": 3}""", 1, 1)]
    [InlineData("add", """{"b": 3, "a": 2}""", 1, 1)]
    [InlineData("add", """{"a": 2, "b": 4}""", 0, 1)]
    [InlineData("sub", """{"a": 2, "b": 3}""", 0, 1)]
    [InlineData(null, "", 0, 0)]
    public void A_question_with_tools_is_right_when_its_call_is(string? name, string arguments, int right, int oneCall)
    {
        QuestionsTask task = Open(asText: false);
        ToolCall[] calls = name is null ? [] : [new ToolCall { Name = name, Arguments = (DataObject)DataValue.From(JsonElement.Parse(arguments)) }];
        SampleGrade grade = task.Grade(task.Samples[2], new ParsedMessage(null, "5", calls), knowsTools: true);
        Assert.Equal([right, right, oneCall], grade.Tallies.Select(tally => tally.Hits));
        Assert.Single(task.PromptFor(task.Samples[2], knowsTools: true).Tools);
    }

    [Fact]
    public void Models_without_conversations_go_on_with_a_text()
    {
        QuestionsTask task = Open(asText: true);
        Assert.Equal(2, task.Samples.Count);
        TaskPrompt prompt = task.PromptFor(task.Samples[0], knowsTools: false);
        Assert.Equal(("2 + 3 =", "\n"), (prompt.Text, prompt.Stop.Single()));
        Assert.Equal(1, task.Grade(task.Samples[0], new ParsedMessage(null, " 5", []), knowsTools: false).Tallies[0].Hits);
        Assert.Equal(0, task.Grade(task.Samples[0], new ParsedMessage(null, " 5 and 6", []), knowsTools: false).Tallies[0].Hits);
    }

    [Fact]
    public void A_report_card_has_a_column_a_stage()
    {
        var card = new ReportCard();
        card.Add("base", null, """{"metrics": {"right": {"right": 1, "n": 4, "value": 0.25, "low": 0.05, "high": 0.7}, "bits": {"value": 1.5, "bound": 1.25}}}""");
        card.Add("sft", null, """{"metrics": {"right": {"right": 4, "n": 4, "value": 1, "low": 0.51, "high": 1}}}""");
        card.Add("sft", "thinking", """{"metrics": {"right": {"right": 2, "n": 4, "value": 0.5, "low": 0.15, "high": 0.85}}}""");
        Assert.Equal("""
            | | base | sft |
            | --- | ---: | ---: |
            | right | 25.0 % (5-70, n 4) | 100.0 % (51-100, n 4) |
            | bits | 1.500 (generator 1.250) |  |
            | right, thinking |  | 50.0 % (15-85, n 4) |

            """.ReplaceLineEndings("\n"), card.ToMarkdown());
        using JsonDocument json = JsonDocument.Parse(card.ToJson());
        Assert.Equal(0.5, json.RootElement.GetProperty("right, thinking").GetProperty("sft").GetProperty("value").GetDouble());
        Assert.Throws<ModelFormatException>(() => card.Add("x", null, "{}"));
        Assert.Throws<ModelFormatException>(() => card.Add("x", null, "{"));
    }

    private static QuestionsTask Open(bool asText)
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["questions.jsonl"], Rows);
        return QuestionsTask.Open(folder["questions.jsonl"], asText);
    }
}
