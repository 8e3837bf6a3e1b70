namespace Glimmer.Data.Synthesis.Miniature;

/// <summary>The tools of the miniature: a calculator and a look-up in a table that the conversation does not show.</summary>
internal static class MiniatureTools
{
    /// <summary>The schemas, as in a record's <c>tools</c>.</summary>
    public static readonly string[] Schemas =
    [
        """{"type": "function", "function": {"name": "calculator", "description": "Calculate an expression.", "parameters": {"type": "object", "properties": {"expression": {"type": "string"}}, "required": ["expression"]}}}""",
        """{"type": "function", "function": {"name": "lookup", "description": "Look up a value.", "parameters": {"type": "object", "properties": {"name": {"type": "string"}, "field": {"type": "string"}}, "required": ["name", "field"]}}}""",
    ];

    private static readonly string[] s_names = ["order", "room", "bus", "shelf", "ticket", "parcel", "seat", "box"];
    private static readonly string[] s_fields = ["price", "weight", "status", "colour", "owner", "floor"];
    private static readonly string[] s_values = ["open", "closed", "red", "blue", "late", "ready", "lost", "sold"];

    /// <summary>A question, the call that answers it, its result and the answer.</summary>
    public static (ulong Key, string Question, string Call, string Result, string Answer) Problem(Choices choices)
    {
        if (choices.Chance(0.6))
        {
            ArithmeticProblem problem = choices.Draw(
                c => new ArithmeticProblem(c.Pick([ArithmeticOperation.Add, ArithmeticOperation.Multiply]), c.Digits(c.Between(3, 5)), c.Digits(c.Between(2, 3))), MiniatureArithmetic.SplitOf);
            string question = choices.Pick([$"Use the calculator: {problem.Expression}", $"Please calculate {problem.Expression} with the calculator.", $"What does the calculator say to {problem.Expression}?"]);
            return (problem.Key, question, $$$"""{"name": "calculator", "arguments": {"expression": "{{{problem.Expression}}}"}}""", problem.Answer, $"{problem.Expression} = {problem.Answer}");
        }

        (string name, string field) = choices.Draw(c => ($"{c.Pick(s_names)} {c.Digits(3)}", c.Pick(s_fields)), drawn => CorpusKey.SplitOf(CorpusKey.Of("lookup", drawn.Item1, drawn.Item2)));
        string value = field is "price" or "weight" or "floor" ? $"{choices.Between(1, 99)}" : choices.Pick(s_values);
        string asked = choices.Pick([$"Look up the {field} of {name}.", $"What is the {field} of {name}?", $"I need the {field} of {name}."]);
        return (CorpusKey.Of("lookup", name, field), asked, $$$"""{"name": "lookup", "arguments": {"name": "{{{name}}}", "field": "{{{field}}}"}}""", value, $"The {field} of {name} is {value}.");
    }

    /// <summary>A conversation with a call.</summary>
    public static (ulong Key, IReadOnlyList<RecordMessage> Messages) Conversation(Choices choices, bool thinks)
    {
        (ulong key, string question, string call, string result, string answer) = Problem(choices);
        string? thought = thinks ? choices.Pick(["I need a tool for this.", "The tool knows this.", "I call the tool and read its result."]) : null;
        return (key,
        [
            new RecordMessage("user", question), new RecordMessage("tool_call", call) { ReasoningContent = thought }, new RecordMessage("tool", result),
            new RecordMessage("assistant", answer) { ReasoningContent = thinks ? $"The result is {result}." : null },
        ]);
    }

    /// <summary>A conversation as text.</summary>
    public static (string Task, ulong Key, string Text) Document(Choices choices)
    {
        (ulong key, IReadOnlyList<RecordMessage> messages) = Conversation(choices, choices.Chance(0.5));
        return ("tools/trace", key, GlmLayout.Render(new TrainingRecord("tools", key, choices.Split, messages) { Tools = Schemas }));
    }
}
