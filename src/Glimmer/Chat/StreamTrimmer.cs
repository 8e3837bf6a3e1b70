using System.Text;

namespace Glimmer.Chat;

/// <summary>Strips white space at both ends of a text that arrives in pieces: leading space is dropped, trailing space waits until more text follows.</summary>
internal sealed class StreamTrimmer(bool trims)
{
    private readonly StringBuilder _waiting = new();
    private bool _started;

    /// <summary>Appends to <paramref name="output"/> what may be sent after this piece.</summary>
    public void Pass(ReadOnlySpan<char> text, StringBuilder output)
    {
        if (!trims)
        {
            output.Append(text);
            return;
        }

        if (!_started)
            text = PythonText.TrimStart(text);
        if (text.Length == 0)
            return;
        _started = true;
        int end = PythonText.TrimEnd(text).Length;
        if (end > 0)
        {
            output.Append(_waiting).Append(text[..end]);
            _waiting.Clear();
        }

        _waiting.Append(text[end..]);
    }
}
