using System.Text.RegularExpressions;
using Glimmer.Chat;

namespace Glimmer.Environments.Scorers.Bfcl;

/// <summary>How a model writes its calls as text.</summary>
internal enum BfclFormat
{
    /// <summary><c>[f(a=1), g(b='x')]</c></summary>
    Python,

    /// <summary><c>[f(a=1L)]</c></summary>
    Java,

    /// <summary><c>[f(a='x')]</c></summary>
    JavaScript,

    /// <summary><c>[{"function": "f", "parameters": {"a": 1}}]</c></summary>
    Json,
}

/// <summary>Reads calls from the text of a model that writes them in the form it was asked for, without GLM's own tool-call tokens.</summary>
/// <remarks>BFCL's <c>default_decode_ast_prompting</c>: back-quotes, line breaks and blanks at the ends go, missing brackets are added, and anything else that is no call refuses the whole text.</remarks>
internal static partial class BfclDecoder
{
    /// <summary>Reads the calls of a text.</summary>
    /// <returns>False when the text is not a list of calls; <paramref name="error"/> says why.</returns>
    public static bool TryDecode(string text, BfclFormat format, out IReadOnlyList<BfclCall> calls, out string? error)
    {
        text = text.Trim('`', '\n', ' ');
        if (!text.StartsWith('['))
            text = "[" + text;
        if (!text.EndsWith(']') || text.Length == 1)
            text += "]";
        (calls, error) = ([], null);
        try
        {
            calls = format switch
            {
                BfclFormat.Python => PythonCalls.Read(PythonText.Trim(text).ToString().Trim('\'')),
                BfclFormat.Java => [JavaCall.Read(text[1..^1])],
                BfclFormat.JavaScript => [JavaScriptCall.Read(text[1..^1])],
                _ => Json(text),
            };
            return true;
        }
        catch (FormatException refused)
        {
            error = refused.Message;
            return false;
        }
    }

    // Text that is no JSON makes no calls; objects of another form refuse the text.
    private static List<BfclCall> Json(string text)
    {
        if (ListOfObjects().Match(text) is { Success: true } list)
            text = list.Value;
        var calls = new List<BfclCall>();
        if (!DataValue.TryParse(text, out DataValue? value))
            return calls;
        if (value is not (DataArray or DataObject or { AsString: not null }))
            throw new FormatException("expected a list of objects");
        foreach (DataValue item in value as DataArray ?? [])
        {
            if (item is not DataObject call)
                continue;
            if (call.Find("function")?.AsString is not { } function || call.Find("parameters") is not DataObject parameters)
                throw new FormatException("expected objects with 'function' and 'parameters'");
            calls.Add(new BfclCall(function, PythonValue.From(parameters)));
        }

        return calls;
    }

    [GeneratedRegex(@"\[\s*{.*?}\s*(?:,\s*{.*?}\s*)*\]", RegexOptions.Singleline)]
    private static partial Regex ListOfObjects();
}
