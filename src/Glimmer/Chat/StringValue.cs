namespace Glimmer.Chat;

/// <summary>Where text came from. Numbers above the named bits are marks that a caller put on text to find it again in the rendering (<see cref="StringValue.Marked"/>).</summary>
[Flags]
internal enum TextOrigin
{
    /// <summary>From messages, tools or variables: never to be read as control tokens.</summary>
    Data = 0,

    /// <summary>Written in the template.</summary>
    Template = 1,

    /// <summary>Rendered inside a <c>{% generation %}</c> block: what the model itself produces.</summary>
    Generated = 2,
}

/// <summary>Text of one origin from <paramref name="Start"/> up to the next run.</summary>
internal readonly record struct TextRun(int Start, TextOrigin Origin);

/// <summary>A string that remembers which of its parts came from the template.</summary>
internal sealed class StringValue : DataValue
{
    public static readonly StringValue Empty = new("", TextOrigin.Template);

    private const int MarkShift = 8;

    private readonly TextOrigin _origin;
    private readonly TextRun[]? _runs;

    public StringValue(string text, TextOrigin origin)
    {
        Text = text;
        _origin = origin;
    }

    /// <param name="text">The text.</param>
    /// <param name="runs">At least one run, ascending, the first at 0.</param>
    public StringValue(string text, ReadOnlySpan<TextRun> runs)
    {
        Text = text;
        _origin = runs.Length == 0 ? TextOrigin.Template : runs[0].Origin;
        _runs = runs.Length > 1 ? runs.ToArray() : null;
    }

    public string Text { get; }

    /// <summary>Number of runs of one origin; 1 for the empty string.</summary>
    public int RunCount => _runs?.Length ?? 1;

    /// <summary>Origin for text derived as a whole: the template's only when all of it is. A mark stays only where it is on all of it.</summary>
    public TextOrigin OverallOrigin
    {
        get
        {
            TextOrigin all = _origin;
            foreach (TextRun run in _runs ?? [])
                all = run.Origin == all ? all : all & run.Origin & (TextOrigin.Template | TextOrigin.Generated);
            return all;
        }
    }

    /// <summary>Data whose parts carry marks, which follow the text through the template into <see cref="RenderedSegment.Mark"/>.</summary>
    /// <param name="parts">Text and mark (0 for none) of each part.</param>
    public static StringValue Marked(IEnumerable<(string Text, int Mark)> parts)
    {
        var text = new TextBuilder();
        foreach ((string part, int mark) in parts)
            text.Append(part, (TextOrigin)(mark << MarkShift));
        return text.Length == 0 ? new StringValue("", TextOrigin.Data) : text.ToValue();
    }

    /// <summary>The mark of an origin; 0 for none.</summary>
    public static int MarkOf(TextOrigin origin) => (int)origin >> MarkShift;

    internal override string TypeName => "str";

    internal override bool IsTrue => Text.Length > 0;

    /// <summary>The run at an index: its first character, the end, its origin.</summary>
    public (int Start, int End, TextOrigin Origin) Run(int index) => _runs is null
        ? (0, Text.Length, _origin)
        : (_runs[index].Start, index + 1 < _runs.Length ? _runs[index + 1].Start : Text.Length, _runs[index].Origin);

    /// <summary>A part of the text with its origins.</summary>
    public StringValue Slice(int start, int length)
    {
        if (length == 0)
            return _origin == TextOrigin.Template ? Empty : new StringValue("", _origin);
        if (length == Text.Length)
            return this;
        string text = Text.Substring(start, length);
        if (_runs is null)
            return new StringValue(text, _origin);
        var runs = new List<TextRun>();
        for (int i = 0; i < _runs.Length; i++)
        {
            (int from, int to, TextOrigin origin) = Run(i);
            if (to > start && from < start + length)
                runs.Add(new TextRun(Math.Max(from - start, 0), origin));
        }

        return new StringValue(text, System.Runtime.InteropServices.CollectionsMarshal.AsSpan(runs));
    }

    /// <summary>Other text in the place of this one: the origins stay where the length did, else the most careful one holds for all.</summary>
    public StringValue WithText(string text) => _runs is not null && text.Length == Text.Length
        ? new StringValue(text, _runs)
        : new StringValue(text, OverallOrigin);
}
