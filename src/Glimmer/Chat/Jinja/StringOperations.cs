using System.Text;

namespace Glimmer.Chat.Jinja;

/// <summary>Python's string operations; parts of a string keep the origins they had in it.</summary>
internal static class StringOperations
{
    /// <summary>Removes characters at the ends: white space, or those of <paramref name="characters"/>.</summary>
    public static StringValue Strip(StringValue text, string? characters, bool left, bool right)
    {
        string s = text.Text;
        int start = 0, end = s.Length;
        while (left && start < end && IsStripped(s[start], characters))
            start++;
        while (right && end > start && IsStripped(s[end - 1], characters))
            end--;
        return text.Slice(start, end - start);
    }

    public static StringValue Replace(RenderContext context, StringValue text, StringValue old, StringValue with, long count)
    {
        if (count == 0 || text.Text.Length < old.Text.Length)
            return text;
        var result = new TextBuilder();
        int position = 0;
        if (old.Text.Length == 0)
        {
            // Python puts the replacement before every character and at the end.
            foreach (StringValue character in Characters(context, text))
            {
                if (count != 0)
                {
                    AppendCounted(context, result, with);
                    count--;
                }

                result.Append(character);
            }

            if (count != 0)
                AppendCounted(context, result, with);
            return result.ToValue();
        }

        for (int found; count != 0 && (found = text.Text.IndexOf(old.Text, position, StringComparison.Ordinal)) >= 0; count--)
        {
            result.Append(text.Slice(position, found - position));
            AppendCounted(context, result, with);
            position = found + old.Text.Length;
        }

        if (position == 0)
            return text;
        result.Append(text.Slice(position, text.Text.Length - position));
        context.CountText(result.Length);
        return result.ToValue();
    }

    /// <summary>The string cut into its characters (code points).</summary>
    public static List<DataValue> Characters(RenderContext context, StringValue text)
    {
        context.CountIterations(text.Text.Length);
        int[]? offsets = PythonText.CodePointOffsets(text.Text);
        int count = offsets is null ? text.Text.Length : offsets.Length - 1;
        var characters = new List<DataValue>(count);
        for (int i = 0; i < count; i++)
            characters.Add(offsets is null ? text.Slice(i, 1) : text.Slice(offsets[i], offsets[i + 1] - offsets[i]));
        return characters;
    }

    /// <summary>Cuts at a separator, or at runs of white space when it is null; at most <paramref name="limit"/> cuts if that is not negative.</summary>
    public static DataArray Split(RenderContext context, StringValue text, string? separator, long limit, bool fromRight)
    {
        if (separator is { Length: 0 })
            throw new TemplateFault("split() needs a separator that is not empty");
        var parts = new List<DataValue>();
        if (separator is null)
            SplitAtSpace(text, limit, fromRight, parts);
        else if (fromRight)
        {
            int end = text.Text.Length;
            for (int found; limit != 0 && end > 0 && (found = text.Text.AsSpan(0, end).LastIndexOf(separator)) >= 0; limit--)
            {
                parts.Add(text.Slice(found + separator.Length, end - found - separator.Length));
                end = found;
            }

            parts.Add(text.Slice(0, end));
            parts.Reverse();
        }
        else
        {
            int start = 0;
            for (int found; limit != 0 && (found = text.Text.IndexOf(separator, start, StringComparison.Ordinal)) >= 0; limit--)
            {
                parts.Add(text.Slice(start, found - start));
                start = found + separator.Length;
            }

            parts.Add(text.Slice(start, text.Text.Length - start));
        }

        context.CountText(text.Text.Length);
        context.CountIterations(parts.Count);
        return new DataArray(parts, SequenceKind.List);
    }

    public static DataArray SplitLines(RenderContext context, StringValue text, bool keepEnds)
    {
        string s = text.Text;
        var lines = new List<DataValue>();
        int start = 0;
        while (start < s.Length)
        {
            int end = s.AsSpan(start).IndexOfAny("\n\r\v\f\u001c\u001d\u001e\u0085\u2028\u2029");
            if (end < 0)
            {
                lines.Add(text.Slice(start, s.Length - start));
                break;
            }

            end += start;
            int next = s[end] == '\r' && end + 1 < s.Length && s[end + 1] == '\n' ? end + 2 : end + 1;
            lines.Add(text.Slice(start, (keepEnds ? next : end) - start));
            start = next;
        }

        context.CountText(s.Length);
        context.CountIterations(lines.Count);
        return new DataArray(lines, SequenceKind.List);
    }

    /// <summary><c>partition</c> and <c>rpartition</c>: before, separator, after.</summary>
    public static DataArray Partition(StringValue text, string separator, bool fromRight)
    {
        int found = fromRight ? text.Text.LastIndexOf(separator, StringComparison.Ordinal) : text.Text.IndexOf(separator, StringComparison.Ordinal);
        List<DataValue> parts = found < 0
            ? fromRight ? [StringValue.Empty, StringValue.Empty, text] : [text, StringValue.Empty, StringValue.Empty]
            : [text.Slice(0, found), text.Slice(found, separator.Length), text.Slice(found + separator.Length, text.Text.Length - found - separator.Length)];
        return new DataArray(parts, SequenceKind.Tuple);
    }

    public static StringValue Upper(StringValue text) => text.WithText(text.Text.ToUpperInvariant());

    public static StringValue Lower(StringValue text) => text.WithText(text.Text.ToLowerInvariant());

    /// <summary>First character upper case, the others lower.</summary>
    public static StringValue Capitalize(StringValue text)
    {
        if (text.Text.Length == 0)
            return text;
        int first = char.IsHighSurrogate(text.Text[0]) && text.Text.Length > 1 ? 2 : 1;
        return text.WithText(text.Text[..first].ToUpperInvariant() + text.Text[first..].ToLowerInvariant());
    }

    /// <summary>First letter of each word upper case. A word starts after a character that <paramref name="startsWord"/> accepts.</summary>
    public static StringValue Title(StringValue text, Func<char, bool> startsWord)
    {
        var result = new StringBuilder(text.Text.Length);
        bool start = true;
        foreach (char c in text.Text)
        {
            result.Append(start ? char.ToUpperInvariant(c) : char.ToLowerInvariant(c));
            start = startsWord(c);
        }

        return text.WithText(result.ToString());
    }

    /// <summary>Pads with a character to a width in code points.</summary>
    public static StringValue Pad(RenderContext context, StringValue text, long width, char fill, bool left, bool right)
    {
        long missing = width - PythonText.CodePointCount(text.Text);
        if (missing <= 0)
            return text;
        context.CountText(text.Text.Length + missing);

        // Python's center puts the odd one to the left when the width is odd too.
        long before = left && right ? (missing / 2) + (missing & width & 1) : left ? missing : 0;
        var result = new TextBuilder();
        result.Append(new string(fill, (int)before), TextOrigin.Template);
        result.Append(text);
        result.Append(new string(fill, (int)(missing - before)), TextOrigin.Template);
        return result.ToValue();
    }

    /// <summary>Joins texts with a separator.</summary>
    public static StringValue Join(RenderContext context, StringValue separator, IReadOnlyList<StringValue> parts)
    {
        long length = (long)separator.Text.Length * Math.Max(0, parts.Count - 1);
        foreach (StringValue part in parts)
            length += part.Text.Length;
        context.CountText(length);
        var result = new TextBuilder();
        for (int i = 0; i < parts.Count; i++)
        {
            if (i > 0)
                result.Append(separator);
            result.Append(parts[i]);
        }

        return result.ToValue();
    }

    /// <summary>Indents lines, as Jinja's <c>indent</c>.</summary>
    public static StringValue Indent(RenderContext context, StringValue text, StringValue indentation, bool first, bool blank)
    {
        // Jinja adds a newline so that a last empty line counts as one.
        DataArray lines = SplitLines(context, Operators.Concatenate(context, text, new StringValue("\n", TextOrigin.Template)), false);
        var result = new TextBuilder();
        for (int i = 0; i < lines.Count; i++)
        {
            var line = (StringValue)lines[i];
            if (i > 0)
                result.Append("\n", text.OverallOrigin);
            if (i == 0 ? first : blank || line.Text.Length > 0)
                AppendCounted(context, result, indentation);
            result.Append(line);
        }

        return result.ToValue();
    }

    private static bool IsStripped(char c, string? characters) => characters is null ? PythonText.IsSpace(c) : characters.Contains(c, StringComparison.Ordinal);

    private static void AppendCounted(RenderContext context, TextBuilder result, StringValue part)
    {
        context.CountText((long)result.Length + part.Text.Length > context.Options.MaxTextLength ? (long)result.Length + part.Text.Length : part.Text.Length);
        result.Append(part);
    }

    private static void SplitAtSpace(StringValue text, long limit, bool fromRight, List<DataValue> parts)
    {
        string s = text.Text;
        if (fromRight)
        {
            int end = PythonText.TrimEnd(s).Length;
            while (end > 0)
            {
                int start = end;
                while (limit != 0 && start > 0 && !PythonText.IsSpace(s[start - 1]))
                    start--;
                start = limit == 0 ? 0 : start;
                parts.Add(text.Slice(start, end - start));
                end = PythonText.TrimEnd(s.AsSpan(0, start)).Length;
                limit--;
            }

            parts.Reverse();
            return;
        }

        int position = s.Length - PythonText.TrimStart(s).Length;
        while (position < s.Length)
        {
            int end = position;
            while (limit != 0 && end < s.Length && !PythonText.IsSpace(s[end]))
                end++;
            end = limit == 0 ? s.Length : end;
            parts.Add(text.Slice(position, end - position));
            position = s.Length - PythonText.TrimStart(s.AsSpan(end)).Length;
            limit--;
        }
    }
}
