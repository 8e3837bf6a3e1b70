namespace Glimmer.Environments.Scorers.Bfcl;

/// <summary>From the names of types in function descriptions to the Python types of values.</summary>
internal static class BfclTypes
{
    /// <summary>The type of values of a parameter.</summary>
    /// <exception cref="BfclCheckException">The language has no such type.</exception>
    public static PythonType Of(BfclLanguage language, string name) => Find(language, name) ?? throw new BfclCheckException($"there is no type '{name}' in {language}");

    /// <summary>Whether the values of this type are collections whose items have a type of their own.</summary>
    public static bool HasItems(BfclLanguage language, string name) =>
        language == BfclLanguage.Python ? name is "array" or "tuple" : name is "Array" or "ArrayList" or "array";

    private static PythonType? Find(BfclLanguage language, string name) => language switch
    {
        BfclLanguage.Python => name switch
        {
            "string" or "any" => PythonType.String,
            "integer" => PythonType.Integer,
            "float" => PythonType.Float,
            "boolean" => PythonType.Boolean,
            "array" or "tuple" => PythonType.List,
            "dict" => PythonType.Dict,
            _ => null,
        },
        BfclLanguage.Java => name switch
        {
            "byte" or "short" or "integer" or "long" => PythonType.Integer,
            "float" or "double" => PythonType.Float,
            "boolean" => PythonType.Boolean,
            "char" or "String" or "any" => PythonType.String,
            "Array" or "ArrayList" or "Queue" or "Stack" => PythonType.List,
            "Set" => PythonType.Other,
            "HashMap" or "Hashtable" => PythonType.Dict,
            _ => null,
        },
        _ => name switch
        {
            "String" or "any" => PythonType.String,
            "integer" or "Bigint" => PythonType.Integer,
            "float" => PythonType.Float,
            "Boolean" => PythonType.Boolean,
            "dict" => PythonType.Dict,
            "array" => PythonType.List,
            _ => null,
        },
    };
}
