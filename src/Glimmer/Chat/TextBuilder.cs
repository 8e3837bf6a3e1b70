using System.Runtime.InteropServices;
using System.Text;

namespace Glimmer.Chat;

/// <summary>Builds text that remembers the origin of its parts.</summary>
internal sealed class TextBuilder
{
    private readonly StringBuilder _text = new();
    private readonly List<TextRun> _runs = [];

    public int Length => _text.Length;

    public IReadOnlyList<TextRun> Runs => _runs;

    public void Append(ReadOnlySpan<char> text, TextOrigin origin)
    {
        if (text.Length == 0)
            return;
        if (_runs.Count == 0 || _runs[^1].Origin != origin)
            _runs.Add(new TextRun(_text.Length, origin));
        _text.Append(text);
    }

    /// <summary>Appends a value's text with its origins, each marked with <paramref name="mark"/> too.</summary>
    public void Append(StringValue value, TextOrigin mark = TextOrigin.Data)
    {
        for (int i = 0; i < value.RunCount; i++)
        {
            (int start, int end, TextOrigin origin) = value.Run(i);
            Append(value.Text.AsSpan(start, end - start), origin | mark);
        }
    }

    public StringValue ToValue() => _text.Length == 0 ? StringValue.Empty : new StringValue(_text.ToString(), CollectionsMarshal.AsSpan(_runs));

    public override string ToString() => _text.ToString();
}
