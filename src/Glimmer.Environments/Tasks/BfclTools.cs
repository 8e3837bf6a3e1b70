using System.Text.Json;
using Glimmer.Chat;
using Glimmer.Environments.Scorers.Bfcl;

namespace Glimmer.Environments.Tasks;

/// <summary>From BFCL's descriptions of functions to tools with JSON Schema, as templates expect them.</summary>
/// <remarks>
/// As bfcl-eval does for models that call functions natively: names of types are mapped, floats are marked in the description, and parameters of Java and JavaScript functions are strings
/// with source text whose type the description tells. Dots in names stay: GLM's form of calls allows them.
/// </remarks>
internal static class BfclTools
{
    /// <summary>The tools of a sample.</summary>
    public static IReadOnlyList<ToolDefinition> From(JsonElement functions, BfclLanguage language) =>
    [
        .. functions.EnumerateArray().Select(function => (DataObject)DataValue.From(function)).Select(function => new ToolDefinition(new DataObject
        {
            { "type", "function" },
            { "function", Function(function, language) },
        })),
    ];

    /// <summary>The functions as their descriptions in a prompt tell them.</summary>
    public static string Describe(JsonElement functions, BfclLanguage language) =>
        new DataArray(functions.EnumerateArray().Select(function => (DataObject)DataValue.From(function)).Select(function => WithLanguage(function, language))).ToJson();

    private static DataObject Function(DataObject function, BfclLanguage language)
    {
        DataObject described = WithLanguage(function, language);
        var tool = new DataObject();
        foreach ((string key, DataValue value) in described)
            tool[key] = key == "parameters" && value is DataObject parameters ? Schema(parameters) : value;
        return tool;
    }

    /// <summary>Says the language; parameters of other languages than Python become strings.</summary>
    private static DataObject WithLanguage(DataObject function, BfclLanguage language)
    {
        string name = language switch { BfclLanguage.Python => "Python 3", BfclLanguage.Java => "Java 8", _ => "JavaScript" };
        var described = new DataObject();
        foreach ((string key, DataValue value) in function)
        {
            described[key] = key switch
            {
                "description" => $"{value.AsString} The function is written in {name}.",
                "parameters" when language != BfclLanguage.Python && value is DataObject parameters => AsSource(parameters, language),
                _ => value,
            };
        }

        return described;
    }

    private static DataObject AsSource(DataObject parameters, BfclLanguage language)
    {
        var changed = new DataObject();
        foreach ((string key, DataValue value) in parameters)
            changed[key] = value;
        var properties = new DataObject();
        foreach ((string name, DataValue value) in parameters.Find("properties") as DataObject ?? [])
        {
            var parameter = (DataObject)value;
            string type = parameter.Find("type")?.AsString ?? "any";
            string items = (parameter.Find("items") as DataObject)?.Find("type")?.AsString is { } itemType ? $" of {itemType} items" : "";
            properties[name] = new DataObject
            {
                { "type", "string" },
                { "description", $"{parameter.Find("description")?.AsString} Source text of a {language} value of type {type}{items}." },
            };
        }

        changed["properties"] = properties;
        return changed;
    }

    /// <summary>A description of a value as JSON Schema.</summary>
    private static DataObject Schema(DataObject description)
    {
        var schema = new DataObject();
        foreach ((string key, DataValue value) in description)
        {
            schema[key] = (key, value) switch
            {
                ("type", { AsString: { } type }) => TypeName(type),
                ("properties", DataObject properties) => Properties(properties),
                ("items", DataObject items) => Schema(items),
                _ => value,
            };
        }

        if (description.Find("type")?.AsString == "float")
            schema["description"] = $"{description.Find("description")?.AsString} This is a float.".TrimStart();
        return schema;
    }

    private static DataObject Properties(DataObject properties)
    {
        var schemas = new DataObject();
        foreach ((string name, DataValue value) in properties)
            schemas[name] = value is DataObject property ? Schema(property) : value;
        return schemas;
    }

    private static string TypeName(string type) => type switch
    {
        "integer" or "byte" or "short" or "long" or "Bigint" => "integer",
        "float" or "number" or "double" => "number",
        "boolean" or "bool" or "Boolean" => "boolean",
        "array" or "list" or "tuple" or "Array" or "ArrayList" or "Queue" or "Stack" => "array",
        "dict" or "object" or "HashMap" or "Hashtable" => "object",
        _ => "string",
    };
}
