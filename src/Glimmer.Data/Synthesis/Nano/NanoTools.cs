using System.Text.Json.Nodes;

namespace Glimmer.Data.Synthesis.Nano;

/// <summary>Conversations with tools: one call, the right tool of several, several calls, a result and what is said of it, and questions for which no tool is there.</summary>
public static class NanoTools
{
    /// <summary>A record.</summary>
    /// <param name="seed">Seed.</param>
    /// <param name="index">Number of the record.</param>
    public static NanoRecord Record(ulong seed, long index)
    {
        var draws = new Draws(seed, "tools", index);
        ToolBlueprint[] tools = [.. ToolBlueprint.All.Where(tool => !tool.IsTest)];
        var call = new GeneratedCall(draws.Of(tools), draws);
        int kind = draws.Int(1, 100);
        JsonObject[] others = [.. draws.Some([.. tools.Where(tool => tool != call.Tool)], draws.Int(1, 3)).Select(tool => new GeneratedCall(tool, draws).Schema)];
        if (kind <= 12)
            return Conversation(call, others, NanoRecord.User(call.Question), NanoRecord.Assistant(null, Refusal(draws)));
        JsonObject[] schemas = kind <= 40 ? [.. others, call.Schema] : [call.Schema];
        draws.Shuffle(schemas);
        if (kind is > 40 and <= 50)
        {
            // The same tool twice in one question.
            var second = new GeneratedCall(call.Tool, draws);
            if (second.Name == call.Name && second.Schema.ToJsonString() == call.Schema.ToJsonString() && second.Arguments.ToJsonString() != call.Arguments.ToJsonString())
                return Conversation(call, schemas, NanoRecord.User($"{call.Question} And then: {second.Question}"), Calls(call, second));
        }

        if (kind <= 85)
            return Conversation(call, schemas, NanoRecord.User(call.Question), Calls(call));
        (string result, string said) = Result(draws);
        return Conversation(
            call, schemas, NanoRecord.User(call.Question), Calls(call), new JsonObject { ["role"] = "tool", ["content"] = result }, NanoRecord.Assistant(null, said));
    }

    /// <summary>A question with one tool that the training part never shows, and the accepted calls, in the two row forms of the Berkeley Function Calling Leaderboard.</summary>
    /// <param name="seed">Seed.</param>
    /// <param name="index">Number of the row.</param>
    public static (JsonObject Question, JsonObject Answer) TestRow(ulong seed, long index)
    {
        var draws = new Draws(seed, "tools to measure on", index);
        ToolBlueprint[] tools = [.. ToolBlueprint.All.Where(tool => tool.IsTest)];
        var call = new GeneratedCall(tools[(int)(index % tools.Length)], draws);
        string id = $"generated_{Draws.Text(index)}";
        JsonObject function = call.Schema["function"]!.DeepClone().AsObject();
        function["parameters"]!["type"] = "dict";
        foreach ((_, JsonNode? property) in function["parameters"]!["properties"]!.AsObject())
        {
            if (property!["type"]!.GetValue<string>() == "number")
                property["type"] = "float";
            if (property["items"] is JsonObject items && items["type"]!.GetValue<string>() == "number")
                items["type"] = "float";
        }

        var accepted = new JsonObject();
        foreach ((string name, JsonNode? value) in call.Arguments)
            accepted[name] = new JsonArray(value!.DeepClone());
        foreach (string name in call.LeftOut)
            accepted[name] = new JsonArray("");
        return (
            new JsonObject { ["id"] = id, ["question"] = new JsonArray(new JsonArray(NanoRecord.User(call.Question))), ["function"] = new JsonArray(function) },
            new JsonObject { ["id"] = id, ["ground_truth"] = new JsonArray(new JsonObject { [call.Name] = accepted }) });
    }

    private static NanoRecord Conversation(GeneratedCall call, JsonObject[] tools, params ReadOnlySpan<JsonObject> messages) => new("tools", call.Tool.Name, new JsonObject
    {
        ["messages"] = new JsonArray([.. messages.ToArray()]),
        ["tools"] = new JsonArray([.. tools]),
        ["chat_template_kwargs"] = new JsonObject { ["enable_thinking"] = false },
        ["channel"] = "tools",
    });

    private static JsonObject Calls(params ReadOnlySpan<GeneratedCall> calls) => new()
    {
        ["role"] = "assistant",
        ["content"] = "",
        ["tool_calls"] = new JsonArray([.. calls.ToArray().Select(call => call.Call)]),
    };

    private static (string Result, string Said) Result(Draws draws)
    {
        string number = draws.Chance(50) ? Draws.Text(draws.Int(2, 9000)) : $"{draws.Int(1, 900)}.{draws.Int(1, 99)}";
        string code = $"{draws.Of("OK", "REF", "ID", "NO")}-{draws.Int(1000, 99999)}";
        return draws.Int(0, 5) switch
        {
            0 => ($$"""{"result": {{number}}}""", $"The result is {number}."),
            1 => (number, $"It is {number}."),
            2 => ($$"""{"status": "ok", "id": "{{code}}"}""", $"Done. The number is {code}."),
            3 => ($$"""{"status": "success", "value": {{number}}}""", $"The value is {number}."),
            4 => ("""{"error": "service not available"}""", "I could not get an answer: the service is not available at the moment. Please try again later."),
            _ => ($$"""{"answer": "{{number}}", "source": "{{code}}"}""", $"The answer is {number}."),
        };
    }

    private static string Refusal(Draws draws) => draws.Of(
        "None of my tools can do that.", "I'm sorry, but I have no tool for this.", "The tools I have do not fit this question, so I cannot look it up.",
        "I cannot do that with the tools at hand.");
}
