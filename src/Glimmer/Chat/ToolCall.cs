using System.Text.Json;

namespace Glimmer.Chat;

/// <summary>A call of a tool that the model made.</summary>
public sealed record ToolCall
{
    /// <summary>Identifies the call, so that its result can name it. Not part of the prompt text of GLM models.</summary>
    public string? Id { get; init; }

    /// <summary>Name of the tool.</summary>
    public required string Name { get; init; }

    /// <summary>Arguments by name, in the order in which the model wrote them.</summary>
    public required DataObject Arguments { get; init; }

    /// <summary>The arguments as JSON text.</summary>
    public string ArgumentsJson => Arguments.ToJson();

    /// <summary>Reads a call as chat APIs send it: <c>{"id", "type", "function": {"name", "arguments"}}</c>, or flat <c>{"name", "arguments"}</c>; arguments may be JSON text.</summary>
    /// <exception cref="FormatException">A field is missing or has the wrong type; the message names it.</exception>
    public static ToolCall FromJson(JsonElement call) =>
        FromData(DataValue.From(call) as DataObject ?? throw new FormatException("tool call: expected an object"), "tool call");

    internal static ToolCall FromData(DataObject call, string path)
    {
        DataObject function = call.Find("function") switch
        {
            null => call,
            DataObject inner => inner,
            _ => throw new FormatException($"{path}.function: expected an object"),
        };
        return new ToolCall
        {
            Id = call.Find("id")?.AsString,
            Name = function.Find("name")?.AsString ?? throw new FormatException($"{path}.function.name: expected a string"),
            Arguments = ReadArguments(function.Find("arguments"), path),
        };
    }

    internal DataObject ToData()
    {
        var call = new DataObject();
        if (Id is not null)
            call["id"] = Id;
        call["type"] = "function";
        call["function"] = new DataObject { { "name", Name }, { "arguments", Arguments } };
        return call;
    }

    /// <summary>Templates walk over the arguments as a mapping, so JSON text is parsed first. Clients send "" for none.</summary>
    private static DataObject ReadArguments(DataValue? arguments, string path)
    {
        if (arguments is null or NullValue || (arguments.AsString is { } blank && PythonText.IsSpace(blank)))
            return [];
        if (arguments.AsString is { } text && DataValue.TryParse(text, out DataValue? parsed))
            arguments = parsed;
        return arguments as DataObject ?? throw new FormatException($"{path}.function.arguments: expected an object or the JSON text of one");
    }
}
