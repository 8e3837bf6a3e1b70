using System.Runtime.InteropServices;
using Glimmer.Tokenization;

namespace Glimmer.Inference.Constraints;

/// <summary>
/// The ordinary tokens of a vocabulary as a trie over their bytes, in depth-first order: a walk goes on at the next node when a byte is possible and at
/// <see cref="Node.Skip"/> when it is not. Made once a tokenizer and shared by all constraints.
/// </summary>
public sealed class TokenTrie
{
    private readonly Node[] _nodes;
    private readonly int[] _same; // next token with the same bytes, or -1

    /// <summary>Builds the trie of a tokenizer.</summary>
    /// <param name="tokenizer">The vocabulary; added tokens have no bytes in a constraint, only constraints that name them allow them.</param>
    public TokenTrie(Tokenizer tokenizer)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        Tokenizer = tokenizer;
        var order = new List<int>();
        for (int id = 0; id < tokenizer.VocabularySize; id++)
        {
            if (tokenizer.HasToken(id) && !tokenizer.IsAdded(id) && !tokenizer.IsSpecial(id) && tokenizer.TokenBytes(id).Length > 0)
                order.Add(id);
        }

        order.Sort((a, b) => tokenizer.TokenBytes(a).SequenceCompareTo(tokenizer.TokenBytes(b)) is var c && c != 0 ? c : a.CompareTo(b));
        _same = new int[tokenizer.VocabularySize];
        Array.Fill(_same, -1);
        _nodes = Nodes(order);
        MaxDepth = _nodes.Length == 0 ? 0 : _nodes.Max(n => n.Depth) + 1;
    }

    /// <summary>The tokenizer the trie was made of.</summary>
    public Tokenizer Tokenizer { get; }

    /// <summary>Words of 64 bits that a mask takes.</summary>
    public int MaskLength => (Tokenizer.VocabularySize + 63) / 64;

    /// <summary>Bytes of the longest token.</summary>
    internal int MaxDepth { get; }

    /// <summary>Sets the bits of all ordinary tokens whose bytes the automaton takes from a state.</summary>
    internal void Walk(GrammarAutomaton automaton, GrammarState state, Span<ulong> mask)
    {
        var path = new GrammarState[MaxDepth + 1];
        path[0] = state;
        ReadOnlySpan<Node> nodes = _nodes;
        for (int i = 0; i < nodes.Length;)
        {
            Node node = nodes[i];
            GrammarState next = automaton.Step(path[node.Depth], node.Byte);
            if (next == GrammarState.Dead)
            {
                i = node.Skip;
                continue;
            }

            path[node.Depth + 1] = next;
            for (int id = node.Token; id >= 0; id = _same[id])
                mask[id >> 6] |= 1UL << (id & 63);
            i++;
        }
    }

    private Node[] Nodes(List<int> order)
    {
        var nodes = new List<Node>();
        var open = new List<int>(); // nodes on the path of the previous token
        int previous = -1;
        foreach (int id in order)
        {
            ReadOnlySpan<byte> bytes = Tokenizer.TokenBytes(id);
            int shared = previous < 0 ? 0 : bytes.CommonPrefixLength(Tokenizer.TokenBytes(previous));
            if (previous >= 0 && shared == bytes.Length)
            {
                // Sorted order: equal bytes stand side by side.
                _same[previous] = id;
                previous = id;
                continue;
            }

            Close(nodes, open, shared);
            for (int d = shared; d < bytes.Length; d++)
            {
                open.Add(nodes.Count);
                nodes.Add(new Node(bytes[d], d == bytes.Length - 1 ? id : -1, 0, d));
            }

            previous = id;
        }

        Close(nodes, open, 0);
        return [.. nodes];
    }

    private static void Close(List<Node> nodes, List<int> open, int keep)
    {
        Span<Node> span = CollectionsMarshal.AsSpan(nodes);
        for (int d = open.Count - 1; d >= keep; d--)
            span[open[d]] = span[open[d]] with { Skip = nodes.Count };
        open.RemoveRange(keep, open.Count - keep);
    }

    /// <summary>One byte of one or more tokens.</summary>
    /// <param name="Byte">The byte.</param>
    /// <param name="Token">First token that ends here, or -1.</param>
    /// <param name="Skip">Index of the first node that does not lie below this one.</param>
    /// <param name="Depth">Number of bytes before this one.</param>
    internal readonly record struct Node(byte Byte, int Token, int Skip, int Depth);
}
