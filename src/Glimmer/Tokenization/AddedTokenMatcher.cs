using System.Buffers;
using System.Text;

namespace Glimmer.Tokenization;

/// <summary>Finds added tokens in text: leftmost, then longest.</summary>
/// <remarks>
/// A vectorised search for first bytes, then a walk down a trie. The time is O(n * length of the longest token) at worst.
/// The result is that of the reference's Aho-Corasick automaton with leftmost-longest matching.
/// </remarks>
internal sealed class AddedTokenMatcher
{
    private readonly AddedToken[] _tokens;
    private readonly SearchValues<byte> _firstBytes;
    private readonly Dictionary<int, int> _edges = []; // node * 256 + byte -> node; node 0 is the root
    private readonly List<int> _tokenAt = [-1]; // per node: the token that ends there, or -1

    /// <summary>Makes a matcher; <paramref name="spell"/> gives the text a token is looked for as.</summary>
    public AddedTokenMatcher(IEnumerable<AddedToken> tokens, Func<AddedToken, string> spell)
    {
        _tokens = [.. tokens];
        var firstBytes = new List<byte>();
        for (int i = 0; i < _tokens.Length; i++)
        {
            byte[] bytes = Encoding.UTF8.GetBytes(spell(_tokens[i]));
            firstBytes.Add(bytes[0]);
            Insert(bytes, i);
        }

        _firstBytes = SearchValues.Create([.. firstBytes]);
    }

    /// <summary>Whether there is nothing to find.</summary>
    public bool IsEmpty => _tokens.Length == 0;

    /// <summary>The first match that lies inside [<paramref name="from"/>, <paramref name="to"/>), or null.</summary>
    /// <param name="text">UTF-8.</param>
    /// <param name="from">Where to begin.</param>
    /// <param name="to">Matches end at or before this.</param>
    /// <param name="start">Start of the match.</param>
    /// <param name="end">End of the match.</param>
    public AddedToken? Find(ReadOnlySpan<byte> text, int from, int to, out int start, out int end)
    {
        for (start = from; start < to; start++)
        {
            int skipped = text[start..to].IndexOfAny(_firstBytes);
            if (skipped < 0)
                break;
            start += skipped;
            if (LongestAt(text[start..to], out int length) is AddedToken token)
            {
                end = start + length;
                return token;
            }
        }

        end = to;
        return null;
    }

    private AddedToken? LongestAt(ReadOnlySpan<byte> text, out int length)
    {
        int longest = -1, node = 0;
        length = 0;
        for (int i = 0; i < text.Length && _edges.TryGetValue(node << 8 | text[i], out node); i++)
        {
            if (_tokenAt[node] >= 0)
                (longest, length) = (_tokenAt[node], i + 1);
        }

        return longest < 0 ? null : _tokens[longest];
    }

    private void Insert(ReadOnlySpan<byte> bytes, int token)
    {
        int node = 0;
        foreach (byte b in bytes)
        {
            if (!_edges.TryGetValue(node << 8 | b, out int child))
            {
                child = _tokenAt.Count;
                _edges.Add(node << 8 | b, child);
                _tokenAt.Add(-1);
            }

            node = child;
        }

        if (_tokenAt[node] < 0)
            _tokenAt[node] = token;
    }
}
