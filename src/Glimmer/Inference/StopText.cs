using System.Text;

namespace Glimmer.Inference;

/// <summary>Cuts a streamed text at the first stop string: holds back what may be the beginning of one.</summary>
/// <param name="stops">The stop strings.</param>
public sealed class StopText(IReadOnlyList<string> stops)
{
    private readonly StringBuilder _held = new();

    /// <summary>The stop string that was found; null before that.</summary>
    public string? Found { get; private set; }

    /// <summary>Adds a piece of text.</summary>
    /// <returns>Text that is final: before the stop string, and not the beginning of one.</returns>
    public string Append(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (Found is not null)
            return "";
        if (stops.Count == 0)
            return text;
        _held.Append(text);
        string held = _held.ToString();
        int end = -1;
        foreach (string stop in stops)
        {
            int at = held.IndexOf(stop, StringComparison.Ordinal);
            // The earliest one; among those that begin together the first in the list.
            if (at >= 0 && (end < 0 || at < end))
                (end, Found) = (at, stop);
        }

        if (end < 0)
            end = held.Length - LongestBeginning(held);
        _held.Remove(0, end);
        return held[..end];
    }

    /// <summary>Text that was held back and turned out to belong to the answer; call it when the answer ends.</summary>
    public string Flush()
    {
        string rest = Found is null ? _held.ToString() : "";
        _held.Clear();
        return rest;
    }

    // Length of the longest end of the text that begins a stop string.
    private int LongestBeginning(string held)
    {
        int longest = 0;
        foreach (string stop in stops)
        {
            for (int length = Math.Min(stop.Length - 1, held.Length); length > longest; length--)
            {
                if (held.AsSpan(held.Length - length).SequenceEqual(stop.AsSpan(0, length)))
                {
                    longest = length;
                    break;
                }
            }
        }

        return longest;
    }
}
