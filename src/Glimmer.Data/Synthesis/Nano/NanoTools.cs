using System.Text.Encodings.Web;
using System.Text.Json;

namespace Glimmer.Data.Synthesis.Nano;

/// <summary>Tool calls over generated tool sets: one call, several, with results, refusals when no tool fits, questions when a value is missing.</summary>
/// <remarks>A function of the test, under whatever name, is offered in no training record, also not beside the function that is called.</remarks>
internal static class NanoTools
{
    private static readonly string[] s_refusals =
    [
        "None of the tools that I have can do that.", "I cannot do this with the given functions.", "The functions that I have do not help with this question.", "Sorry, no function here fits this request.",
    ];

    private static readonly string[] s_systems = ["You are a helpful assistant.", "Use the tools where they help.", "You can call functions. Call one only if it fits the request."];

    private static readonly string[] s_polite = ["", "", "", "Please help me. ", "Hello! ", "Hi, ", "I have a question. "];

    /// <summary>A record.</summary>
    public static TrainingRecord Record(Choices choices)
    {
        string kind = choices.Weighted<string>((0.58, "call"), (0.17, "result"), (0.06, "parallel"), (0.13, "refusal"), (0.06, "missing"));
        ToolOffer[] offers = Offers(choices, choices.Weighted((0.62, 1), (0.2, 2), (0.12, 3), (0.06, 4)));
        bool saysLanguage = choices.Chance(0.5), thinks = choices.Chance(0.2);
        ToolOffer called = offers[choices.Below(offers.Length)];
        var messages = new List<RecordMessage>();
        if (choices.Chance(0.1))
            messages.Add(new RecordMessage("system", choices.Pick(s_systems)));
        switch (kind)
        {
            case "refusal":
                ToolFunction other = choices.Draw(c => c.Pick(FunctionLibrary.All), function => offers.All(offer => offer.Function.Key != function.Key) ? NanoSplit.Of(function.Key) : Other(choices.Split));
                messages.Add(new RecordMessage("user", new ToolOffer(choices, other).Call(choices).Question));
                messages.Add(new RecordMessage("assistant", choices.Pick(s_refusals)) { ReasoningContent = thinks ? "No function fits this request." : null });
                break;
            case "missing":
                messages.Add(new RecordMessage("user", $"{choices.Pick(["Please", "Can you", "I want you to"])} {called.Request}."));
                messages.Add(new RecordMessage("assistant", $"I need more for this. Please tell me: {string.Join(", ", called.RequiredNames.Select(name => name.Replace('_', ' ')))}.") { ReasoningContent = thinks ? "A required value is missing." : null });
                break;
            default:
                (string question, IReadOnlyList<(string, string)> arguments, IReadOnlyList<string> said) = called.Call(choices);
                (string Question, IReadOnlyList<(string, string)> Arguments, IReadOnlyList<string>)? second = kind == "parallel" ? called.Call(choices) : null;
                messages.Add(new RecordMessage("user", choices.Pick(s_polite) + question + (second is null ? "" : " " + choices.Pick(["Also: ", "And then: ", "After that: "]) + second.Value.Question)));
                messages.Add(new RecordMessage("tool_call", called.CallJson(arguments)) { ReasoningContent = thinks ? $"The function {called.Name} fits." : null });
                if (second is not null)
                    messages.Add(new RecordMessage("tool_call", called.CallJson(second.Value.Arguments)));
                if (kind == "result")
                {
                    string result = called.Result(choices);
                    messages.Add(new RecordMessage("tool", choices.Weighted<string>((0.5, $"{{\"result\": {result}}}"), (0.5, result))));
                    messages.Add(new RecordMessage("assistant", called.Function.Answer.Replace("{r}", result, StringComparison.Ordinal).Replace("{1}", said[0], StringComparison.Ordinal)) { ReasoningContent = thinks ? "I have the result." : null });
                }

                break;
        }

        return new TrainingRecord($"tools/{kind}", called.Function.Key, choices.Split, messages)
        {
            Tools = [.. offers.Select(offer => offer.Schema(saysLanguage))],
            EnableThinking = thinks,
            EntropyBits = choices.Bits,
        };
    }

    /// <summary>A row of an evaluation in the form of the Berkeley leaderboard: one function, one call that answers.</summary>
    /// <param name="choices">Choices.</param>
    /// <param name="id">Its name.</param>
    /// <returns>The row and its accepted answers, a JSON line each.</returns>
    public static (string Row, string Answer) EvaluationRow(Choices choices, string id)
    {
        ToolOffer offer = Offers(choices, 1)[0];
        (string question, IReadOnlyList<(string Name, string Json)> arguments, _) = offer.Call(choices);
        string row = "{\"id\": \"" + id + "\", \"question\": [[{\"role\": \"user\", \"content\": \"" + JsonEncodedText.Encode(question, JavaScriptEncoder.UnsafeRelaxedJsonEscaping) + "\"}]], \"function\": [" + offer.Row() + "]}";
        IEnumerable<string> accepted = offer.ParameterNames.Select(name =>
        {
            (string Name, string Json) given = arguments.FirstOrDefault(argument => argument.Name == name);
            // An empty string stands for an argument that is left out.
            return $"\"{name}\": [{given.Json ?? "\"\""}]";
        });
        return (row, "{\"id\": \"" + id + "\", \"ground_truth\": [{\"" + offer.Name + "\": {" + string.Join(", ", accepted) + "}}]}");
    }

    private static ToolOffer[] Offers(Choices choices, int count)
    {
        var functions = new List<ToolFunction>();
        while (functions.Count < count)
        {
            ToolFunction function = choices.Draw(c => c.Pick(FunctionLibrary.All), drawn => NanoSplit.Of(drawn.Key));
            if (functions.TrueForAll(other => other.Key != function.Key))
                functions.Add(function);
        }

        return [.. functions.Select(function => new ToolOffer(choices, function))];
    }

    private static CorpusSplit Other(CorpusSplit split) => split == CorpusSplit.Train ? CorpusSplit.Test : CorpusSplit.Train;
}
