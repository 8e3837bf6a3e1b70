using System.Globalization;
using System.Numerics;
using System.Text.RegularExpressions;
using Glimmer.Chat;

namespace Glimmer.Environments.Scorers.Bfcl;

/// <summary>From JavaScript source text to the value that answers list. Text that does not spell a value of the type stays a string.</summary>
/// <remarks>BFCL's <c>js_type_converter</c>.</remarks>
internal static partial class JavaScriptValues
{
    /// <summary>The value of a text.</summary>
    /// <param name="text">JavaScript source text.</param>
    /// <param name="type">Type of the parameter.</param>
    /// <param name="itemType">Type of its items, for arrays.</param>
    /// <exception cref="BfclCheckException">The reference does not know this type.</exception>
    public static PythonValue Convert(string text, string type, string? itemType = null)
    {
        switch (type)
        {
            case "String":
                return PythonValue.Of(IsQuoted(text) ? Inner(text) : text);
            case "integer":
                return Integer().IsMatch(text) && PythonNumber.TryInteger(text, out BigInteger integer) ? PythonValue.Of(integer) : PythonValue.Of(text);
            case "float":
                return Float().IsMatch(text) ? PythonValue.Of(double.Parse(text, CultureInfo.InvariantCulture)) : PythonValue.Of(text);
            case "Bigint":
                return Big().IsMatch(text) && PythonNumber.TryInteger(text[..^1], out BigInteger big) ? PythonValue.Of(big) : PythonValue.Of(text);
            case "Boolean":
                return text is "true" or "false" ? PythonValue.Of(text == "true") : PythonValue.Of(text);
            case "dict":
                return Object(Trim(text));
            case "array":
                return Array(Trim(text), itemType);
            case "any":
                return PythonValue.Of(text);
            default:
                throw new BfclCheckException($"there is no JavaScript type '{type}'");
        }
    }

    private static PythonValue Array(string text, string? itemType)
    {
        Match nested = NestedArray().Match(text);
        if (nested.Success)
        {
            IEnumerable<PythonValue> rows = Row().Matches(nested.Value).Select((match, index) =>
            {
                string row = Trim(match.Groups[1].Value);
                if (index == 0 && row.StartsWith('['))
                    row = row[1..];
                return PythonValue.List([.. row.Split(',').Select(Guess)]);
            });
            return PythonValue.List([.. rows]);
        }

        Match flat = FlatArray().Match(text);
        if (!flat.Success)
            return PythonValue.Of(text);
        string items = Trim(flat.Groups[1].Success ? flat.Groups[1].Value : flat.Groups[2].Value);
        if (items.Length == 0)
            return PythonValue.List([]);
        try
        {
            return PythonValue.List([.. items.Split(',').Select(item => itemType is null ? Guess(item) : Convert(Trim(item), itemType, Trim(item).StartsWith('\'') || Trim(item).StartsWith('"') ? "String" : null))]);
        }
        catch (BfclCheckException)
        {
            return PythonValue.Of(text); // Items of a type that is not known: the reference keeps the text.
        }
    }

    private static PythonValue Object(string text)
    {
        if (text == "{}")
            return PythonValue.Dict([]);
        Match match = ObjectLiteral().Match(text);
        if (!match.Success)
            return PythonValue.Of(text);
        return PythonValue.Dict(Pair().Matches(match.Groups[1].Value).Select(pair =>
        {
            string value = Trim(pair.Groups[2].Value);
            PythonValue read = value.StartsWith('[') && value.EndsWith(']') ? Array(value, null)
                : value.StartsWith('{') && value.EndsWith('}') ? Object(value)
                : Guess(value.Trim('\'', '"'));
            return KeyValuePair.Create(PythonValue.Of(Trim(pair.Groups[1].Value).Trim('\'', '"')), read);
        }));
    }

    /// <summary>A value whose type nobody says.</summary>
    private static PythonValue Guess(string text)
    {
        text = Trim(text);
        if (text is "true" or "false")
            return PythonValue.Of(text == "true");
        return IsQuoted(text) ? PythonValue.Of(Inner(text)) : PythonNumber.OrText(text);
    }

    private static bool IsQuoted(string text) => (text.StartsWith('"') && text.EndsWith('"')) || (text.StartsWith('\'') && text.EndsWith('\''));

    private static string Inner(string text) => text.Length < 2 ? "" : text[1..^1];

    private static string Trim(string text) => PythonText.Trim(text).ToString();

    [GeneratedRegex(@"^-?\d+$")]
    private static partial Regex Integer();

    [GeneratedRegex(@"^-?\d+(\.\d+)?$")]
    private static partial Regex Float();

    [GeneratedRegex(@"^-?\d+n$")]
    private static partial Regex Big();

    [GeneratedRegex(@"^(?:\[\s*\[.*?\]\s*(,\s*\[.*?\]\s*)*\]|\bnew\s+Array\(\s*\[.*?\]\s*(,\s*\[.*?\]\s*)*\))")]
    private static partial Regex NestedArray();

    [GeneratedRegex(@"\[(.*?)\]")]
    private static partial Regex Row();

    [GeneratedRegex(@"^(?:\[(.*?)\]|\bnew\s+Array\((.*?)\))")]
    private static partial Regex FlatArray();

    [GeneratedRegex(@"^\{(.*?)\}")]
    private static partial Regex ObjectLiteral();

    [GeneratedRegex(@"([^:]+):\s*(.*?)(?:,\s*(?=[^,]+:)|$)")]
    private static partial Regex Pair();
}
