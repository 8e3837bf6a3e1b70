using System.Text.Json;
using Glimmer.Chat;
using Glimmer.Inference.Constraints;
using Glimmer.Tokenization;

namespace Glimmer.Tests.Inference.Constraints;

[Trait("Category", "Golden")]
public sealed class ToolCallTests
{
    public static TheoryData<string> Cases => Recordings.Rows("tool_grammar.jsonl", "tool_choice");

    /// <summary>Compiles the tools and choices of a recorded line.</summary>
    public static Constraint Compile(JsonElement line)
    {
        ToolDefinition[] tools = [.. line.GetProperty("tools").EnumerateArray().Select(ToolDefinition.FromJson)];
        JsonElement choice = line.GetProperty("tool_choice");
        var options = new ToolCallOptions
        {
            Name = choice.ValueKind == JsonValueKind.Object ? choice.GetProperty("function").GetProperty("name").GetString() : null,
            Choice = choice.ValueKind == JsonValueKind.Object ? ToolChoice.Required : Enum.Parse<ToolChoice>(choice.GetString()!, ignoreCase: true),
            Parallel = line.GetProperty("parallel_tool_calls").GetBoolean(),
            Reasoning = line.GetProperty("reasoning").GetString() switch
            {
                "disabled" => ReasoningStart.Closed,
                "enabled" => ReasoningStart.Open,
                "auto" => ReasoningStart.Optional,
                var other => throw new InvalidOperationException($"Unknown state of reasoning '{other}'."),
            },
        };
        return Constraint.FromTools(Recordings.Trie, tools, options);
    }

    [SkippableTheory]
    [MemberData(nameof(Cases))]
    public void Turns_are_accepted_and_refused_at_the_recorded_tokens(string row)
    {
        Fixtures.SkipIfAbsent(row);
        JsonElement line = Recordings.Line("tool_grammar.jsonl", row);
        Constraint constraint = Compile(line);
        var differences = new List<string>();
        foreach (string text in line.Strings("accepts"))
        {
            (int taken, int length, bool canEnd) = Walk(constraint, text);
            if (taken < length || !canEnd)
                differences.Add($"refused at {taken} of {length}: {text}");
        }

        foreach (JsonElement reject in line.GetProperty("rejects").EnumerateArray())
        {
            string text = reject.GetProperty("text").GetString()!;
            int at = reject.GetProperty("refused_at_token").GetInt32();
            (int taken, int length, bool canEnd) = Walk(constraint, text);
            if (taken != at || (taken == length && canEnd))
                differences.Add($"refused at {taken} of {length} (end {canEnd}) instead of {at}: {text}");
        }

        Assert.True(differences.Count == 0, string.Join('\n', differences));
    }

    [SkippableTheory]
    [InlineData("<arg_value>celsius</arg_value>", true)]
    [InlineData("<arg_value> celsius</arg_value>", false)]
    [InlineData("<arg_value>celsius\n</arg_value>", false)]
    [InlineData("<arg_value>AB12</arg_value>", true)]
    [InlineData("<arg_value>\nAB12</arg_value>", false)]
    [InlineData("<arg_value>\n12 </arg_value>", true)]
    [InlineData("<arg_value> 13</arg_value>", false)]
    public void White_space_stands_around_JSON_and_never_around_the_strings_of_an_enum_or_a_pattern(string value, bool isAccepted)
    {
        Skip.If(Fixtures.Folder(Path.Combine("tokenizer", "glm-32k")) is null);
        using JsonDocument tool = JsonDocument.Parse("""
            {"name":"f","parameters":{"type":"object","properties":{"x":{"anyOf":[{"enum":["celsius","kelvin",12]},{"type":"string","pattern":"^[A-Z]{2}[0-9]+$"}]}},"required":["x"]}}
            """);
        Constraint constraint = Constraint.FromTools(Recordings.Trie, [ToolDefinition.FromJson(tool.RootElement)], new ToolCallOptions { Choice = ToolChoice.Required });
        (int taken, int length, bool canEnd) = Walk(constraint, $"<tool_call>f<arg_key>x</arg_key>{value}</tool_call>");
        Assert.Equal(isAccepted, taken == length && canEnd);
    }

    private static (int Taken, int Length, bool CanEnd) Walk(Constraint constraint, string text)
    {
        int[] ids = constraint.Tokenizer.Encode(text, EncodeOptions.RenderedPrompt);
        ConstraintMatcher matcher = constraint.Start();
        int taken = 0;
        while (taken < ids.Length && matcher.Accept(ids[taken]))
            taken++;
        return (taken, ids.Length, matcher.CanEnd);
    }
}
