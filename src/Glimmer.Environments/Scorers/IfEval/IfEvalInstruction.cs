using System.Text.Json;

namespace Glimmer.Environments.Scorers.IfEval;

/// <summary>One instruction of a prompt with its arguments. Empty, false and zero arguments count as absent, as in the reference.</summary>
internal sealed class IfEvalInstruction
{
    private readonly JsonElement _arguments;

    /// <summary>Reads an instruction.</summary>
    /// <param name="id">Its type, such as <c>punctuation:no_comma</c>.</param>
    /// <param name="arguments">An object with its arguments.</param>
    public IfEvalInstruction(string id, JsonElement arguments) => (Id, _arguments) = (id, arguments.Clone());

    /// <summary>Its type.</summary>
    public string Id { get; }

    /// <summary>A number.</summary>
    /// <exception cref="ModelFormatException">There is none.</exception>
    public int Number(string name) => Find(name) is { ValueKind: JsonValueKind.Number } value && value.GetDouble() != 0 ? (int)value.GetDouble() : throw Missing(name, "a number");

    /// <summary>A text.</summary>
    /// <exception cref="ModelFormatException">There is none.</exception>
    public string Text(string name) => Find(name) is { ValueKind: JsonValueKind.String } value && value.GetString()!.Length > 0 ? value.GetString()! : throw Missing(name, "a text");

    /// <summary>Texts.</summary>
    /// <exception cref="ModelFormatException">There are none.</exception>
    public string[] Texts(string name) => Find(name) is { ValueKind: JsonValueKind.Array } value && value.GetArrayLength() > 0
        ? [.. value.EnumerateArray().Select(item => item.GetString() ?? throw Missing(name, "texts"))]
        : throw Missing(name, "a list of texts");

    /// <summary>Whether a count stands in the relation that the instruction asks for: <c>less than</c> or <c>at least</c>.</summary>
    /// <exception cref="ModelFormatException">The relation is another one.</exception>
    public bool Holds(int count, string relation, string threshold) => Text(relation) switch
    {
        "less than" => count < Number(threshold),
        "at least" => count >= Number(threshold),
        string other => throw new ModelFormatException($"IFEval instruction '{Id}': {relation} is '{other}'; expected 'less than' or 'at least'."),
    };

    private JsonElement? Find(string name) => _arguments.ValueKind == JsonValueKind.Object && _arguments.TryGetProperty(name, out JsonElement value) ? value : null;

    // The reference draws a random argument here; a grader of ours does not.
    private ModelFormatException Missing(string name, string expected) => new($"IFEval instruction '{Id}' has no '{name}'; expected {expected}.");
}
