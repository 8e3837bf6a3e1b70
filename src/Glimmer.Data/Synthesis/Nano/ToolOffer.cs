using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Glimmer.Data.Synthesis.Nano;

/// <summary>A value of an argument, as JSON and as a question says it.</summary>
internal readonly record struct ArgumentValue(string Json, string Said);

/// <summary>A function as it is offered in one conversation: with a name, a description and names of parameters that were drawn.</summary>
internal sealed class ToolOffer
{
    private static readonly JsonWriterOptions s_options = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private readonly string _description;
    private readonly string[] _parameterNames;

    /// <summary>Draws how the function is offered.</summary>
    public ToolOffer(Choices choices, ToolFunction function)
    {
        Function = function;
        string name = choices.Pick(function.Names);
        Name = choices.Weighted<string>((0.8, name), (0.2, Camel(name)));
        _description = choices.Pick(function.Descriptions);
        _parameterNames = [.. function.Parameters.Select(parameter => choices.Pick(parameter.Names))];
    }

    /// <summary>The function.</summary>
    public ToolFunction Function { get; }

    /// <summary>Its name here.</summary>
    public string Name { get; }

    /// <summary>Names of its parameters here.</summary>
    public IReadOnlyList<string> ParameterNames => _parameterNames;

    /// <summary>Draws a call and a question that asks for it.</summary>
    /// <param name="choices">Choices.</param>
    public (string Question, IReadOnlyList<(string Name, string Json)> Arguments, IReadOnlyList<string> Said) Call(Choices choices)
    {
        var arguments = new List<(string, string)>();
        var said = new List<string>();
        var phrases = new List<string>();
        for (int i = 0; i < Function.Parameters.Count; i++)
        {
            FunctionParameter parameter = Function.Parameters[i];
            if (parameter.IsOptional && !choices.Chance(0.35))
                continue;
            ArgumentValue value = Value(choices, parameter.Values, parameter.Type, parameter.ItemType);
            arguments.Add((_parameterNames[i], value.Json));
            if (parameter.IsOptional)
                phrases.Add(parameter.Phrase!.Replace("{}", value.Said, StringComparison.Ordinal));
            else
                said.Add(value.Said);
        }

        string question = choices.Pick(Function.Questions);
        for (int i = 0; i < said.Count; i++)
            question = question.Replace($"{{{i + 1}}}", said[i], StringComparison.Ordinal);
        foreach (string phrase in phrases)
            question = $"{question[..^1]} {phrase}{question[^1]}";
        return (question, arguments, said);
    }

    /// <summary>A result of the function.</summary>
    public string Result(Choices choices) => Value(choices, Function.Result, "integer", null).Json;

    /// <summary>The content of a <c>tool_call</c> message.</summary>
    public string CallJson(IReadOnlyList<(string Name, string Json)> arguments) => Json(json =>
    {
        json.WriteStartObject();
        json.WriteString("name", Name);
        json.WriteStartObject("arguments");
        foreach ((string name, string value) in arguments)
        {
            json.WritePropertyName(name);
            json.WriteRawValue(value);
        }

        json.WriteEndObject();
        json.WriteEndObject();
    });

    /// <summary>The function as an OpenAI tool: types of JSON Schema, floats marked in the description.</summary>
    /// <param name="saysLanguage">Whether the description says that the function is written in Python, as harnesses of benchmarks add it.</param>
    public string Schema(bool saysLanguage) => Json(json =>
    {
        json.WriteStartObject();
        json.WriteString("type", "function");
        json.WritePropertyName("function");
        Write(json, isSchema: true, saysLanguage ? $"{_description} The function is written in Python 3." : _description);
        json.WriteEndObject();
    });

    /// <summary>The function in the form of the Berkeley leaderboard's rows: <c>dict</c>, <c>float</c>, <c>array</c>.</summary>
    public string Row() => Json(json => Write(json, isSchema: false, _description));

    /// <summary>What is asked for when required values are missing: the names of the required parameters.</summary>
    public IReadOnlyList<string> RequiredNames => [.. Function.Parameters.Select((parameter, i) => (parameter, i)).Where(pair => !pair.parameter.IsOptional).Select(pair => _parameterNames[pair.i])];

    /// <summary>What the function does, as a request without values.</summary>
    public string Request => char.ToLowerInvariant(_description[0]) + _description[1..].TrimEnd('.');

    private void Write(Utf8JsonWriter json, bool isSchema, string description)
    {
        json.WriteStartObject();
        json.WriteString("name", Name);
        json.WriteString("description", description);
        json.WriteStartObject("parameters");
        json.WriteString("type", isSchema ? "object" : "dict");
        json.WriteStartObject("properties");
        for (int i = 0; i < Function.Parameters.Count; i++)
        {
            FunctionParameter parameter = Function.Parameters[i];
            json.WriteStartObject(_parameterNames[i]);
            json.WriteString("type", TypeName(parameter.Type));
            if (parameter.ItemType is not null)
            {
                json.WriteStartObject("items");
                json.WriteString("type", TypeName(parameter.ItemType));
                if (isSchema && parameter.ItemType == "float")
                    json.WriteString("description", "This is a float.");
                json.WriteEndObject();
            }

            json.WriteString("description", isSchema && parameter.Type == "float" ? parameter.Description + " This is a float." : parameter.Description);
            json.WriteEndObject();
        }

        json.WriteEndObject();
        json.WriteStartArray("required");
        foreach (string name in RequiredNames)
            json.WriteStringValue(name);
        json.WriteEndArray();
        json.WriteEndObject();
        json.WriteEndObject();

        string TypeName(string type) => isSchema && type == "float" ? "number" : type;
    }

    private static ArgumentValue Value(Choices choices, ParameterValues values, string type, string? itemType)
    {
        if (values.MaxItems > 0)
        {
            int count = choices.Between(values.MinItems, values.MaxItems);
            string[] texts = values.Texts is null ? [] : choices.Some(values.Texts, count);
            ArgumentValue[] items = [.. Enumerable.Range(0, count).Select(i => values.Texts is null ? Number(choices, values, itemType!) : Text(texts[i]))];
            string json = "[" + string.Join(", ", items.Select(item => item.Json)) + "]";
            string[] said = [.. items.Select(item => item.Said)];
            return new ArgumentValue(json, choices.Weighted<string>((values.Texts is null ? 0.5 : 0.01, json), (0.5, count == 1 ? said[0] : $"{string.Join(", ", said[..^1])} and {said[^1]}")));
        }

        return values.Texts is null ? Number(choices, values, type) : type == "boolean" ? new ArgumentValue("true", "") : Text(choices.Pick(values.Texts));
    }

    private static ArgumentValue Number(Choices choices, ParameterValues values, string type)
    {
        double scale = Math.Pow(10, values.Decimals);
        double value = choices.Between((int)Math.Round(values.Minimum * scale), (int)Math.Round(values.Maximum * scale)) / scale;
        string text = value.ToString(CultureInfo.InvariantCulture);
        // A float that happens to be whole is written as one, as Python does; the question may leave the point out.
        bool isWhole = type == "float" && !text.Contains('.', StringComparison.Ordinal);
        return new ArgumentValue(isWhole ? text + ".0" : text, text);
    }

    private static ArgumentValue Text(string text) => new(Json(json => json.WriteStringValue(text)), text);

    private static string Json(Action<Utf8JsonWriter> write)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, s_options))
            write(json);
        return Encoding.UTF8.GetString(stream.GetBuffer(), 0, (int)stream.Length);
    }

    private static string Camel(string name)
    {
        string[] parts = name.Split('_');
        return parts[0] + string.Concat(parts.Skip(1).Where(part => part.Length > 0).Select(part => char.ToUpperInvariant(part[0]) + part[1..]));
    }
}
