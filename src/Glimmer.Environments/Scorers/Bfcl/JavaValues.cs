using System.Globalization;
using System.Numerics;
using System.Text.RegularExpressions;
using Glimmer.Chat;

namespace Glimmer.Environments.Scorers.Bfcl;

/// <summary>From Java source text to the value that answers list. Text that does not spell a value of the type stays a string.</summary>
/// <remarks>BFCL's <c>java_type_converter</c>.</remarks>
internal static partial class JavaValues
{
    /// <summary>The value of a text.</summary>
    /// <param name="text">Java source text.</param>
    /// <param name="type">Type of the parameter.</param>
    /// <param name="itemType">Type of its items, for collections.</param>
    /// <exception cref="BfclCheckException">The reference does not convert this type.</exception>
    public static PythonValue Convert(string text, string type, string? itemType = null)
    {
        switch (type)
        {
            case "byte" or "short" or "integer":
                return Integer().IsMatch(text) ? PythonValue.Of(Digits(text)) : PythonValue.Of(text);
            case "long":
                return Long().IsMatch(text) ? PythonValue.Of(Digits(text.TrimEnd('\n')[..^1])) : PythonValue.Of(text);
            case "float":
                return Float().IsMatch(text) ? PythonValue.Of(Real(text.TrimEnd('\n')[..^1])) : PythonValue.Of(text);
            case "double":
                return Double().IsMatch(text) ? PythonValue.Of(Real(text)) : PythonValue.Of(text);
            case "boolean":
                return text is "true" or "false" ? PythonValue.Of(text == "true") : PythonValue.Of(text);
            case "char" or "String" or "any":
                return PythonValue.Of(text);
            case "Array":
                return Array(text, itemType);
            case "ArrayList":
                return ArrayList(text, itemType);
            case "HashMap":
                return HashMap(text);
            default:
                throw new BfclCheckException($"values of the Java type '{type}' are not converted");
        }
    }

    private static PythonValue Array(string text, string? itemType)
    {
        Match match = ArrayCreation().Match(text);
        if (!match.Success)
            return PythonValue.Of(text);
        IEnumerable<string> items = match.Groups[1].Value.Split(',').Select(Trim).Where(item => item.Length > 0);
        return PythonValue.List([.. items.Select(item => itemType is null ? Guess(item) : Convert(item, itemType))]);
    }

    private static PythonValue ArrayList(string text, string? itemType)
    {
        Match asList = AsList().Match(text);
        if (asList.Success)
            return PythonValue.List([.. asList.Groups[1].Value.Split(',').Select(item => Item(Trim(item), itemType))]);
        Match adds = Additions().Match(text);
        if (adds.Success)
            return PythonValue.List([.. Addition().Matches(adds.Groups[1].Value).Select(match => Item(Trim(match.Groups[1].Value), itemType))]);
        return EmptyArrayList().IsMatch(text) ? PythonValue.List([]) : PythonValue.Of(text);
    }

    private static PythonValue HashMap(string text)
    {
        Match match = MapCreation().Match(text);
        if (!match.Success)
            return EmptyMap().IsMatch(text) ? PythonValue.Dict([]) : PythonValue.Of(text);
        return PythonValue.Dict(Put().Matches(match.Groups[1].Value).Select(put => KeyValuePair.Create(PythonValue.Of(put.Groups[1].Value), Guess(Trim(put.Groups[2].Value)))));
    }

    // Characters and strings lose whatever stands at their ends, quotes or not.
    private static PythonValue Item(string text, string? type) => type switch
    {
        "char" or "String" => PythonValue.Of(text.Length < 2 ? "" : text[1..^1]),
        null => Guess(text),
        _ => Convert(text, type),
    };

    /// <summary>A value whose type nobody says.</summary>
    private static PythonValue Guess(string text)
    {
        if (text is "true" or "false")
            return PythonValue.Of(text == "true");
        if (text.StartsWith('"') && text.EndsWith('"'))
            return PythonValue.Of(text.Length < 2 ? "" : text[1..^1]);
        if (Long().IsMatch(text))
            return PythonValue.Of(Digits(text[..^1]));
        return Float().IsMatch(text) ? PythonValue.Of(Real(text[..^1])) : PythonNumber.OrText(text);
    }

    private static string Trim(string text) => PythonText.Trim(text).ToString();

    private static BigInteger Digits(string text) => PythonNumber.TryInteger(text, out BigInteger value) ? value : throw new BfclCheckException($"'{text}' is no integer");

    private static double Real(string text) => double.Parse(text, CultureInfo.InvariantCulture);

    [GeneratedRegex(@"^-?\d+$")]
    private static partial Regex Integer();

    [GeneratedRegex(@"^-?\d+[lL]$")]
    private static partial Regex Long();

    [GeneratedRegex(@"^-?\d+(\.\d+)?([eE][+-]?\d+)?[fF]$")]
    private static partial Regex Float();

    [GeneratedRegex(@"^-?\d+(\.\d+)?([eE][+-]?\d+)?$")]
    private static partial Regex Double();

    [GeneratedRegex(@"new\s+\w+\[\]\s*\{(.*?)\}")]
    private static partial Regex ArrayCreation();

    [GeneratedRegex(@"new\s+ArrayList<\w*>\(Arrays\.asList\((.+?)\)\)")]
    private static partial Regex AsList();

    [GeneratedRegex(@"new\s+ArrayList<\w*>\(\)\s*\{\{\s*(.+?)\s*\}\}", RegexOptions.Singleline)]
    private static partial Regex Additions();

    [GeneratedRegex(@"add\((.+?)\)")]
    private static partial Regex Addition();

    [GeneratedRegex(@"new\s+ArrayList<\w*>\(\)")]
    private static partial Regex EmptyArrayList();

    [GeneratedRegex(@"new\s+HashMap<.*?>\s*\(\)\s*\{\s*\{?\s*(.*?)\s*\}?\s*\}", RegexOptions.Singleline)]
    private static partial Regex MapCreation();

    [GeneratedRegex(@"new\s+HashMap<.*?>\s*\(\)")]
    private static partial Regex EmptyMap();

    [GeneratedRegex("put\\(\"(.*?)\",\\s*(.*?)\\)")]
    private static partial Regex Put();
}
