using Glimmer.Chat;

namespace Glimmer.Server.Gemini;

/// <summary>Turns the schemas of Gemini (upper-case types, <c>nullable</c>) into JSON Schema. Schemas that are JSON Schema already stay as they are.</summary>
internal static class GeminiSchema
{
    /// <summary>The schema with types in JSON Schema's words.</summary>
    public static DataObject Convert(DataObject schema)
    {
        var converted = new DataObject();
        bool isNullable = schema.Find("nullable")?.AsBoolean == true;
        foreach ((string key, DataValue value) in schema)
        {
            switch (key)
            {
                case "nullable" when value.AsBoolean is not null:
                    break;
                case "type" when value.AsString is { } type:
                    string lower = type.ToLowerInvariant();
                    if (lower == "type_unspecified")
                        break;
                    converted["type"] = isNullable && lower != "null" ? new DataArray([lower, "null"]) : lower;
                    break;
                case "type" when value is DataArray types:
                    converted["type"] = new DataArray(types.Select(one => one.AsString is { } word ? (DataValue)word.ToLowerInvariant() : one));
                    break;
                case "properties" or "$defs" or "definitions" or "patternProperties" when value is DataObject members:
                    var named = new DataObject();
                    foreach ((string name, DataValue member) in members)
                        named[name] = Member(member);
                    converted[key] = named;
                    break;
                case "items" or "additionalProperties" or "not":
                    converted[key] = Member(value);
                    break;
                case "anyOf" or "oneOf" or "allOf" or "prefixItems" when value is DataArray alternatives:
                    converted[key] = new DataArray(alternatives.Select(Member));
                    break;
                case "minItems" or "maxItems" or "minLength" or "maxLength" or "minProperties" or "maxProperties" when value.AsString is { } count && long.TryParse(count, out long number):
                    converted[key] = number; // 64-bit integers are texts in the JSON of Google's APIs.
                    break;
                case "propertyOrdering":
                    break;
                default:
                    converted[key] = value;
                    break;
            }
        }

        return converted;
    }

    private static DataValue Member(DataValue value) => value is DataObject schema ? Convert(schema) : value;
}
