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
