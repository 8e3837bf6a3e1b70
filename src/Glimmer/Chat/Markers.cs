namespace Glimmer.Chat;

/// <summary>The marker tokens of GLM's output, and how they are found in text that may end inside one.</summary>
internal static class Markers
{
    public const string ThinkOpen = "<think>";
    public const string ThinkClose = "</think>";
    public const string CallOpen = "<tool_call>";
    public const string CallClose = "</tool_call>";
    public const string KeyOpen = "<arg_key>";
    public const string KeyClose = "</arg_key>";
    public const string ValueOpen = "<arg_value>";
    public const string ValueClose = "</arg_value>";

    /// <summary>Finds the first marker of a set at or after a place.</summary>
    /// <returns>
    /// The offset of the marker and the marker itself; the offset of a suffix that may become one, and null; or the length of the text and null.
    /// </returns>
    /// <remarks>A marker holds one <c>&lt;</c>, its first character, so only the last one in the text can be an unfinished marker.</remarks>
    public static (int Index, string? Marker) Find(ReadOnlySpan<char> text, int from, ReadOnlySpan<string> markers)
    {
        while (from < text.Length)
        {
            int bracket = text[from..].IndexOf('<');
            if (bracket < 0)
                break;
            from += bracket;
            (bool isPartial, string? marker) = Match(text[from..], markers);
            if (isPartial || marker is not null)
                return (from, marker);
            from++;
        }

        return (text.Length, null);
    }

    /// <summary>The marker at the start of a text, or whether the whole text is the beginning of one.</summary>
    public static (bool IsPartial, string? Marker) Match(ReadOnlySpan<char> text, ReadOnlySpan<string> markers)
    {
        bool isPartial = false;
        foreach (string marker in markers)
        {
            if (text.StartsWith(marker, StringComparison.Ordinal))
                return (false, marker);
            isPartial |= text.Length > 0 && marker.AsSpan().StartsWith(text, StringComparison.Ordinal);
        }

        return (isPartial, null);
    }

    /// <summary>Length of the white space at the start, where the two characters <c>\n</c>, which models write for a newline, count as white space.</summary>
    public static int LeadingSpace(ReadOnlySpan<char> text)
    {
        int i = 0;
        while (i < text.Length)
        {
            if (PythonText.IsSpace(text[i]))
                i++;
            else if (text[i] == '\\' && i + 1 < text.Length && text[i + 1] == 'n')
                i += 2;
            else
                break;
        }

        return i;
    }

    /// <summary>Without white space and written-out <c>\n</c> at both ends.</summary>
    public static ReadOnlySpan<char> Trim(ReadOnlySpan<char> text)
    {
        text = text[LeadingSpace(text)..];
        while (true)
        {
            ReadOnlySpan<char> shorter = PythonText.TrimEnd(text);
            if (shorter.EndsWith("\\n", StringComparison.Ordinal))
                shorter = shorter[..^2];
            if (shorter.Length == text.Length)
                return text;
            text = shorter;
        }
    }
}
