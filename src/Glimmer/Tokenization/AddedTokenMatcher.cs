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
    private readonly List<Node> _nodes = [new Node()];

    /// <summary>Makes a matcher; <paramref name="spell"/> gives the text a token is looked for as.</summary>
    public AddedTokenMatcher(IEnumerable<AddedToken> tokens, Func<AddedToken, string> spell)
    {
        _tokens = [.. tokens];
        for (int i = 0; i < _tokens.Length; i++)
            Insert(Encoding.UTF8.GetBytes(spell(_tokens[i])), i);
        _firstBytes = SearchValues.Create([.. _nodes[0].Children.Keys]);
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
        AddedToken? longest = null;
        length = 0;
        Node node = _nodes[0];
        for (int i = 0; i < text.Length && node.Children.TryGetValue(text[i], out int child); i++)
        {
            node = _nodes[child];
            if (node.Token >= 0)
                (longest, length) = (_tokens[node.Token], i + 1);
        }

        return longest;
    }

    private void Insert(ReadOnlySpan<byte> bytes, int token)
    {
        int at = 0;
        foreach (byte b in bytes)
        {
            if (!_nodes[at].Children.TryGetValue(b, out int child))
            {
                child = _nodes.Count;
                _nodes[at].Children.Add(b, child);
                _nodes.Add(new Node());
            }

            at = child;
        }

        if (_nodes[at].Token < 0)
            _nodes[at].Token = token;
    }

    private sealed class Node
    {
        public Dictionary<byte, int> Children { get; } = [];

        public int Token { get; set; } = -1;
    }
}
