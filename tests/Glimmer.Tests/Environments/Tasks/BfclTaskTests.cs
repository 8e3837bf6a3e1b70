using System.Text.Json;
using Glimmer.Chat;
using Glimmer.Environments.Evaluation;
using Glimmer.Environments.Tasks;

namespace Glimmer.Tests.Environments.Tasks;

public sealed class BfclTaskTests : IDisposable
{
    private const string Row = """
        {"id": "s_0", "question": [[{"role": "user", "content": "Add 2 and 3.5"}]], "function": [{"name": "math.add", "description": "Adds.", "parameters": {"type": "dict", "properties": {"a": {"type": "integer", "description": "First."}, "b": {"type": "float", "description": "Second."}, "tags": {"type": "tuple", "items": {"type": "any"}}}, "required": ["a", "b"]}}]}
        """;

    private const string Answer = """{"id": "s_0", "ground_truth": [{"math.add": {"a": [2], "b": [3.5], "tags": [["x"], ""]}}]}""";

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Functions_become_tools_with_json_schema()
    {
        BfclTask task = Open("simple_python");
        TaskPrompt prompt = task.PromptFor(task.Samples[0], knowsTools: true);
        ToolDefinition tool = Assert.Single(prompt.Tools);
        Assert.Equal("math.add", tool.Name);
        JsonElement schema = JsonDocument.Parse(tool.Parameters!.ToJson()).RootElement;
        Assert.Equal("object", schema.GetProperty("type").GetString());
        Assert.Equal("number", schema.GetProperty("properties").GetProperty("b").GetProperty("type").GetString());
        Assert.Equal("array", schema.GetProperty("properties").GetProperty("tags").GetProperty("type").GetString());
        Assert.Equal("string", schema.GetProperty("properties").GetProperty("tags").GetProperty("items").GetProperty("type").GetString());
        Assert.Equal("user", Assert.Single(prompt.Messages).Role);
    }

    [Fact]
    public void Java_parameters_are_strings_that_hold_source_text()
    {
        BfclTask task = Open("simple_java");
        JsonElement schema = JsonDocument.Parse(Assert.Single(task.PromptFor(task.Samples[0], knowsTools: true).Tools).Parameters!.ToJson()).RootElement;
        Assert.All(schema.GetProperty("properties").EnumerateObject(), property => Assert.Equal("string", property.Value.GetProperty("type").GetString()));
    }

    [Theory]
    [InlineData("""{"a": 2, "b": 3.5}""", 1)]
    [InlineData("""{"a": 2, "b": 3.5, "tags": ["X"]}""", 1)]
    [InlineData("""{"a": 2.0, "b": 3.5}""", 0)]
    [InlineData("""{"a": 2}""", 0)]
    [InlineData("""{"a": 2, "b": 3.5, "c": 1}""", 0)]
    public void Native_calls_are_graded(string arguments, int hits)
    {
        BfclTask task = Open("simple_python");
        var call = new ToolCall { Name = "math.add", Arguments = (DataObject)DataValue.Parse(arguments) };
        Assert.Equal(hits, task.Grade(task.Samples[0], new ParsedMessage(null, null, [call]), knowsTools: true).Tallies[0].Hits);
    }

    [Theory]
    [InlineData("[math.add(a=2, b=3.5)]", 1)]
    [InlineData("```\nmath.add(a=1+1, b=7/2)\n```", 1)]
    [InlineData("math.add(2, 3.5)", 0)]
    [InlineData("The sum is 5.5.", 0)]
    public void Calls_in_text_are_graded(string text, int hits)
    {
        BfclTask task = Open("simple_python");
        TaskPrompt prompt = task.PromptFor(task.Samples[0], knowsTools: false);
        Assert.Contains("math.add", prompt.Messages[0].Content!.AsString, StringComparison.Ordinal);
        Assert.Equal(hits, task.Grade(task.Samples[0], new ParsedMessage(null, text, []), knowsTools: false).Tallies[0].Hits);
    }

    [Fact]
    public void In_irrelevance_no_call_is_right_but_no_answer_is_wrong()
    {
        BfclTask task = Open("irrelevance");
        TaskSample sample = task.Samples[0];
        Assert.Equal(1, task.Grade(sample, new ParsedMessage(null, "I cannot do that.", []), knowsTools: false).Tallies[0].Hits);
        Assert.Equal(0, task.Grade(sample, new ParsedMessage(null, "[math.add(a=1, b=2)]", []), knowsTools: false).Tallies[0].Hits);
        Assert.Equal(0, task.Grade(sample, null, knowsTools: false).Tallies[0].Hits);
    }

    [Fact]
    public void Missing_answers_and_categories_that_are_not_supported_are_named()
    {
        File.WriteAllText(_folder["BFCL_multiple.jsonl"], Row);
        Assert.Contains("possible_answer", Assert.Throws<ModelFormatException>(() => BfclTask.Open(_folder["BFCL_multiple.jsonl"])).Message, StringComparison.Ordinal);
        Assert.Contains("category", Assert.Throws<ModelFormatException>(() => BfclTask.Open(_folder["rows.jsonl"])).Message, StringComparison.Ordinal);
        Assert.Throws<UnsupportedModelException>(() => BfclTask.Open(_folder["BFCL_v3_multi_turn_base.json"]));
    }

    private BfclTask Open(string category)
    {
        Directory.CreateDirectory(_folder["possible_answer"]);
        File.WriteAllText(_folder[$"BFCL_{category}.jsonl"], Row);
        File.WriteAllText(Path.Combine(_folder["possible_answer"], $"BFCL_{category}.jsonl"), Answer);
        return BfclTask.Open(_folder[$"BFCL_{category}.jsonl"]);
    }
}
