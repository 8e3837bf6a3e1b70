using System.Buffers;
using System.Globalization;
using System.Text;

namespace Glimmer.Chat;

/// <summary>The arguments of Python's <c>json.dumps</c>.</summary>
/// <param name="EnsureAscii">Write everything beyond ASCII as <c>\uXXXX</c>.</param>
/// <param name="Indent">One level of indentation; null keeps everything on one line.</param>
/// <param name="ItemSeparator">Between items.</param>
/// <param name="KeySeparator">Between a key and its value.</param>
/// <param name="SortKeys">Write keys in code point order.</param>
internal sealed record JsonTextStyle(bool EnsureAscii, string? Indent, string ItemSeparator, string KeySeparator, bool SortKeys)
{
    /// <summary><c>json.dumps(x, ensure_ascii=False)</c>.</summary>
    public static readonly JsonTextStyle Default = new(false, null, ", ", ": ", false);
}

/// <summary>Writes values as Python's <c>json.dumps</c> does, byte for byte.</summary>
internal sealed class JsonTextWriter(StringBuilder text, JsonTextStyle style)
{
    private const int MaxDepth = 1000;
    private static readonly SearchValues<char> s_escaped = SearchValues.Create([.. Enumerable.Range(0, 32).Select(i => (char)i), '"', '\\']);

    private int _depth;

    /// <exception cref="TemplateFault">The value holds something that JSON cannot say, or nests too deep.</exception>
    public void Write(DataValue value)
    {
        switch (value)
        {
            case NullValue:
                text.Append("null");
                break;
            case BooleanValue boolean:
                text.Append(boolean.Value ? "true" : "false");
                break;
            case IntegerValue integer:
                text.Append(integer.ToDigits());
                break;
            case FloatValue number:
                text.Append(number.ToJsonText());
                break;
            case StringValue characters:
                WriteString(characters.Text);
                break;
            case DataArray array when array.Sequence is SequenceKind.List or SequenceKind.Tuple:
                WriteArray(array);
                break;
            case DataObject mapping:
                WriteObject(mapping);
                break;
            default:
                throw new TemplateFault($"object of type {value.TypeName} is not JSON serializable");
        }
    }

    /// <summary>The text as a JSON string with its quotes.</summary>
    public void WriteString(ReadOnlySpan<char> value)
    {
        text.Append('"');
        AppendEscaped(text, value, style.EnsureAscii);
        text.Append('"');
    }

    /// <summary>The inside of a JSON string.</summary>
    public static void AppendEscaped(StringBuilder text, ReadOnlySpan<char> value, bool ensureAscii)
    {
        while (true)
        {
            int plain = ensureAscii ? IndexOfEscapedOrWide(value) : value.IndexOfAny(s_escaped);
            if (plain < 0)
            {
                text.Append(value);
                return;
            }

            text.Append(value[..plain]);
            char c = value[plain];
            int index = "\"\\\b\f\n\r\t".IndexOf(c, StringComparison.Ordinal);
            if (index >= 0)
                text.Append('\\').Append("\"\\bfnrt"[index]);
            else
                text.Append("\\u").Append(((int)c).ToString("x4", CultureInfo.InvariantCulture));
            value = value[(plain + 1)..];
        }
    }

    private static int IndexOfEscapedOrWide(ReadOnlySpan<char> value)
    {
        for (int i = 0; i < value.Length; i++)
        {
            if (value[i] is < ' ' or > '~' or '"' or '\\')
                return i;
        }

        return -1;
    }

    private void WriteArray(DataArray array)
    {
        if (array.Count == 0)
        {
            text.Append("[]");
            return;
        }

        Open('[');
        bool first = true;
        foreach (DataValue item in array)
        {
            Separate(ref first);
            Write(item);
        }

        Close(']');
    }

    private void WriteObject(DataObject mapping)
    {
        if (mapping.Count == 0)
        {
            text.Append("{}");
            return;
        }

        Open('{');
        bool first = true;
        IEnumerable<KeyValuePair<string, DataValue>> items = style.SortKeys ? mapping.OrderBy(item => item.Key, PythonText.CodePointOrder) : mapping;
        foreach ((string key, DataValue item) in items)
        {
            Separate(ref first);
            WriteString(key);
            text.Append(style.KeySeparator);
            Write(item);
        }

        Close('}');
    }

    private void Open(char bracket)
    {
        if (++_depth > MaxDepth)
            throw new TemplateFault($"the value nests deeper than {MaxDepth} levels");
        text.Append(bracket);
    }

    private void Separate(ref bool first)
    {
        if (!first)
            text.Append(style.ItemSeparator);
        first = false;
        NewLine();
    }

    private void Close(char bracket)
    {
        _depth--;
        NewLine();
        text.Append(bracket);
    }

    private void NewLine()
    {
        if (style.Indent is null)
            return;
        text.Append('\n');
        for (int i = 0; i < _depth; i++)
            text.Append(style.Indent);
    }
}
