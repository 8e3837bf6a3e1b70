using System.Text;

namespace Glimmer.Inference.Constraints;

/// <summary>
/// Text up to a marker: any bytes, in which some markers must not occur and others end it, whether they are spelled out or one token. Markers spelled out
/// are found as Aho and Corasick (1975) do.
/// </summary>
internal sealed class MarkedText(GrammarBuilder grammar, IReadOnlyDictionary<string, int> markerIds)
{
    /// <summary>The ids of markers.</summary>
    public int[] Ids(IReadOnlyList<string> markers) => [.. markers.Select(m => markerIds[m])];

    /// <summary>Adds an occurrence of a marker: its token, or its bytes.</summary>
    public void Marker(int from, string marker, int to)
    {
        grammar.Tokens(from, [markerIds[marker]], to);
        grammar.Text(from, Encoding.UTF8.GetBytes(marker), to);
    }

    /// <summary>Adds free text that starts at a state; returns the states at which it may stop.</summary>
    /// <param name="from">The first state.</param>
    /// <param name="excluded">Markers that must not occur.</param>
    /// <param name="passing">Markers whose token may occur as text.</param>
    /// <param name="ends">Markers that end the text, with the state after them.</param>
    public List<int> Add(int from, IReadOnlyList<string> excluded, IReadOnlyList<string> passing, IReadOnlyList<(string Marker, int To)> ends)
    {
        byte[][] words = [.. excluded.Concat(ends.Select(e => e.Marker)).Select(Encoding.UTF8.GetBytes)];
        var prefixes = new List<byte[]> { Array.Empty<byte>() }; // proper prefixes of the markers, each a state
        foreach (byte[] word in words)
        {
            for (int length = 1; length < word.Length; length++)
            {
                if (!prefixes.Any(p => p.AsSpan().SequenceEqual(word.AsSpan(0, length))))
                    prefixes.Add(word[..length]);
            }
        }

        List<int> states = [.. prefixes.Select(_ => grammar.NewState())];
        grammar.Empty(from, states[0]);
        int[] passingIds = Ids(passing);
        for (int s = 0; s < states.Count; s++)
        {
            if (passingIds.Length > 0)
                grammar.Tokens(states[s], passingIds, states[0]);
            foreach ((string marker, int to) in ends)
                grammar.Tokens(states[s], [markerIds[marker]], to);
            var targets = new int[256]; // -1 where a marker that must not occur would be complete
            for (int b = 0; b < 256; b++)
                targets[b] = Target(prefixes[s], (byte)b);
            for (int low = 0; low < 256;)
            {
                int high = low;
                while (high < 255 && targets[high + 1] == targets[low])
                    high++;
                if (targets[low] >= 0)
                    grammar.Byte(states[s], low, high, targets[low]);
                low = high + 1;
            }
        }

        return states;

        int Target(byte[] prefix, byte next)
        {
            byte[] text = [.. prefix, next];
            for (int skip = 0; skip < text.Length; skip++)
            {
                ReadOnlySpan<byte> suffix = text.AsSpan(skip);
                for (int w = 0; w < words.Length; w++)
                {
                    if (suffix.SequenceEqual(words[w]))
                        return w < excluded.Count ? -1 : ends[w - excluded.Count].To;
                }

                for (int p = 0; p < prefixes.Count; p++)
                {
                    if (suffix.SequenceEqual(prefixes[p]))
                        return states[p];
                }
            }

            return states[0];
        }
    }
}
