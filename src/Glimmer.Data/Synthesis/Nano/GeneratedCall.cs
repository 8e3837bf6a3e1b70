using System.Globalization;
using System.Text.Json.Nodes;

namespace Glimmer.Data.Synthesis.Nano;

/// <summary>A tool as a question sees it, the question, and the call that answers it.</summary>
internal sealed class GeneratedCall
{
    private readonly JsonObject _properties = [];
    private readonly JsonArray _required = [];

    /// <summary>Draws a tool, a question and its call.</summary>
    public GeneratedCall(ToolBlueprint tool, Draws draws)
    {
        Tool = tool;
        Name = NameOf(tool.Name, draws);
        var nouns = new List<string>();
        var rest = new List<string>();
        bool camel = draws.Chance(15);
        foreach (BlueprintParameter parameter in tool.Parameters)
        {
            if (!parameter.IsRequired && draws.Chance(35))
                continue;
            string name = camel ? Camel(parameter.Name) : parameter.Name;
            (JsonNode value, string text, JsonObject schema) = Draw(parameter, draws);
            schema["description"] = parameter.Description;
            _properties[name] = schema;
            if (parameter.IsRequired)
                _required.Add((JsonNode)name);
            else if (draws.Chance(50))
                continue;
            Arguments[name] = value;
            string phrase = parameter.Phrase;
            if (phrase.StartsWith("~BOOL ", StringComparison.Ordinal))
                phrase = "~" + phrase["~BOOL ".Length..].Split('/')[value.GetValue<bool>() ? 0 : 1];
            phrase = phrase.Replace("{}", text, StringComparison.Ordinal);
            if (phrase[0] == '~')
                rest.Add(phrase[1..]);
            else
                nouns.Add(phrase);
        }

        string question = draws.Of(tool.Questions);
        string end = question.StartsWith("Wh", StringComparison.Ordinal) || question.StartsWith("How ", StringComparison.Ordinal) ? "?" : ".";
        if (nouns.Count > 0)
            question += " with " + (nouns.Count == 1 ? nouns[0] : string.Join(", ", nouns[..^1]) + " and " + nouns[^1]);
        foreach (string part in rest)
            question += (part[0] is ',' or ':' ? "" : " ") + part;
        Question = question.TrimEnd(',') + end;
        if (draws.Chance(12))
            Question = draws.Of("Can you help me? ", "Hello! ", "Please help: ", "I have a request. ") + Question;
    }

    /// <summary>The tool of the table.</summary>
    public ToolBlueprint Tool { get; }

    /// <summary>Name of the tool in this item: the same words may be written in other ways.</summary>
    public string Name { get; }

    /// <summary>What the user asks.</summary>
    public string Question { get; }

    /// <summary>Arguments of the call.</summary>
    public JsonObject Arguments { get; } = [];

    /// <summary>The tool as an OpenAI function schema.</summary>
    public JsonObject Schema => new()
    {
        ["type"] = "function",
        ["function"] = new JsonObject
        {
            ["name"] = Name,
            ["description"] = Tool.Description,
            ["parameters"] = new JsonObject { ["type"] = "object", ["properties"] = _properties.DeepClone(), ["required"] = _required.DeepClone() },
        },
    };

    /// <summary>The call as an OpenAI tool call.</summary>
    public JsonObject Call => new() { ["type"] = "function", ["function"] = new JsonObject { ["name"] = Name, ["arguments"] = Arguments.DeepClone() } };

    /// <summary>Names of parameters that a call may leave out and this one does.</summary>
    public IEnumerable<string> LeftOut => _properties.Select(property => property.Key).Where(name => !Arguments.ContainsKey(name));

    private static string NameOf(string name, Draws draws) => draws.Int(1, 100) switch
    {
        <= 60 => name,
        <= 75 => name.Replace('.', '_'),
        <= 85 => Camel(name.Replace('.', '_')),
        <= 93 => name.Replace('.', '_') is var flat && flat.IndexOf('_', StringComparison.Ordinal) is var at and > 0 ? flat[..at] + "." + flat[(at + 1)..] : "tools." + flat,
        _ => draws.Of("get_", "api_", "do_") + name.Replace('.', '_'),
    };

    private static string Camel(string name)
    {
        string[] parts = name.Split('_');
        return parts[0] + string.Concat(parts[1..].Select(part => char.ToUpperInvariant(part[0]) + part[1..]));
    }

    private static (JsonNode Value, string Text, JsonObject Schema) Draw(BlueprintParameter parameter, Draws draws)
    {
        string kind = parameter.Type.Split(':')[0], detail = parameter.Type[Math.Min(parameter.Type.Length, kind.Length + 1)..];
        switch (kind)
        {
            case "int":
                (int low, int high) = ToolBlueprint.Range(parameter.Type);
                int whole = draws.Int(low, high);
                return (whole, Draws.Text(whole), Type("integer"));
            case "float":
                double number = Float(parameter.Type, draws);
                return (number, number.ToString(CultureInfo.InvariantCulture), Type("number"));
            case "bool":
                return (draws.Chance(50), "", Type("boolean"));
            case "enum":
                string[] options = detail.Split('/');
                string option = draws.Of(options);
                JsonObject schema = Type("string");
                if (draws.Chance(70))
                    schema["enum"] = new JsonArray([.. options.Select(item => (JsonNode)item)]);
                return (option, option, schema);
            case "ints":
                (low, high) = ToolBlueprint.Range(parameter.Type);
                int[] list = [.. Enumerable.Range(0, draws.Int(2, 6)).Select(_ => draws.Int(low, high))];
                return (new JsonArray([.. list.Select(item => (JsonNode)item)]), Listed([.. list.Select(item => Draws.Text(item))], draws), List("integer"));
            case "floats":
                double[] numbers = [.. Enumerable.Range(0, draws.Int(2, 5)).Select(_ => Float(parameter.Type, draws))];
                return (new JsonArray([.. numbers.Select(item => (JsonNode)item)]), Listed([.. numbers.Select(item => item.ToString(CultureInfo.InvariantCulture))], draws), List("number"));
            case "strs":
                string[] words = draws.Some(ToolBlueprint.Values[detail], draws.Int(2, 3));
                return (new JsonArray([.. words.Select(item => (JsonNode)item)]), string.Join(", ", words[..^1]) + " and " + words[^1], List("string"));
            case "date":
                string date = $"20{draws.Int(20, 29)}-{draws.Int(1, 12):00}-{draws.Int(1, 28):00}";
                return (date, date, Type("string"));
            case "time":
                string time = $"{draws.Int(5, 23):00}:{draws.Of(0, 15, 30, 45, 10, 20):00}";
                return (time, time, Type("string"));
            default:
                string text = draws.Of(ToolBlueprint.Values[detail]);
                return (text, text, Type("string"));
        }
    }

    private static double Float(string type, Draws draws)
    {
        (int low, int high) = ToolBlueprint.Range(type);
        int tenths = draws.Int(low * 10, high * 10);
        return draws.Chance(35) ? tenths / 10 : tenths / 10.0;
    }

    private static string Listed(string[] items, Draws draws) => draws.Chance(60) ? "[" + string.Join(", ", items) + "]" : string.Join(", ", items[..^1]) + " and " + items[^1];

    private static JsonObject Type(string name) => new() { ["type"] = name };

    private static JsonObject List(string item) => new() { ["type"] = "array", ["items"] = Type(item) };
}
