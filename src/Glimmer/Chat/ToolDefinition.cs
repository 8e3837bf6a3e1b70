using System.Text.Json;

namespace Glimmer.Chat;

/// <summary>A tool that the model may call, kept as received: all keys, in order.</summary>
/// <remarks>Prompts contain the definition's JSON, so adding defaults or moving keys would change what the model reads.</remarks>
public sealed class ToolDefinition
{
    private readonly Dictionary<string, ParameterTypes> _types = new(StringComparer.Ordinal);
    private readonly Lock _lock = new();

    /// <summary>Reads a definition: <c>{"type": "function", "function": {"name", "description", "parameters"}}</c>, or the inner object alone.</summary>
    /// <exception cref="FormatException">There is no name.</exception>
    public ToolDefinition(DataObject definition)
    {
        Data = definition;
        DataObject function = definition.Find("function") as DataObject ?? definition;
        Name = function.Find("name")?.AsString ?? throw new FormatException("tool: expected a string in 'function.name' (or 'name')");
        Description = function.Find("description")?.AsString;
        Parameters = function.Find("parameters") as DataObject;
    }

    /// <summary>The definition as received.</summary>
    public DataObject Data { get; }

    /// <summary>Name by which the model calls the tool.</summary>
    public string Name { get; }

    /// <summary>What the tool does, if it says so.</summary>
    public string? Description { get; }

    /// <summary>JSON Schema of the arguments, if there is one.</summary>
    public DataObject? Parameters { get; }

    /// <summary>Reads a definition from JSON.</summary>
    /// <exception cref="FormatException">It is not an object with a name.</exception>
    public static ToolDefinition FromJson(JsonElement definition) =>
        new(DataValue.From(definition) as DataObject ?? throw new FormatException("tool: expected an object"));

    /// <summary>The JSON types the schema allows for a parameter.</summary>
    internal ParameterTypes TypesOf(string parameter)
    {
        lock (_lock)
        {
            if (!_types.TryGetValue(parameter, out ParameterTypes? types))
                _types[parameter] = types = ParameterTypes.Of(Parameters, parameter);
            return types;
        }
    }
}
