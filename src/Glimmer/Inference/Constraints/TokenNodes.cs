using System.Buffers;
using System.Runtime.InteropServices;
using System.Text;
using Glimmer.Tokenization;

namespace Glimmer.Inference.Constraints;

/// <summary>
/// Some tokens as a trie over their bytes, in depth-first order: a walk goes on at the next node when a byte is possible and behind the node's subtree when it is not.
/// </summary>
/// <remarks>
/// A walk takes a whole subtree at once when the characters that occur in it all make the usual move of the state (<see cref="CharacterRun"/>): in the middle of a JSON string
/// that leaves the tokens with quotes, backslashes and line ends to be looked at.
/// </remarks>
internal sealed class TokenNodes
{
    // A subtree with fewer tokens is walked as quickly as it is looked up.
    private const int LeastSubtree = 6;

    private readonly Node[] _nodes; // one more behind all others
    private readonly int[] _order;
    private readonly int[] _roots = new int[256]; // the node of a first byte; -1 for none
    private readonly Subtree[] _subtrees;

    /// <summary>Builds the trie.</summary>
    /// <param name="tokenizer">The vocabulary.</param>
    /// <param name="order">Tokens ordered by their bytes.</param>
    public TokenNodes(Tokenizer tokenizer, int[] order)
    {
        _order = order;
        (_nodes, int[] parents) = Nodes(tokenizer, order);
        _subtrees = Subtrees(_nodes, parents);
        Array.Fill(_roots, -1);
        for (int i = 0; i < _nodes.Length - 1; i = _nodes[i].Skip)
            _roots[_nodes[i].Byte] = i;
        Depth = _nodes.Length == 1 ? 0 : _nodes.Max(n => n.Depth) + 1;
    }

    /// <summary>Bytes of the longest token.</summary>
    public int Depth { get; }

    /// <summary>Sets the bits of all tokens whose bytes an automaton takes from a state.</summary>
    /// <param name="automaton">The grammar.</param>
    /// <param name="path">Scratch with the state as its first element and room for <see cref="Depth"/> more.</param>
    /// <param name="mask">One bit a token; bits of other tokens are left alone.</param>
    public void Walk(GrammarAutomaton automaton, GrammarState[] path, Span<ulong> mask) => Walk(automaton, path, mask, 0, _nodes.Length - 1);

    /// <summary>As <see cref="Walk(GrammarAutomaton, GrammarState[], Span{ulong})"/>, for the tokens that begin with a byte only; the bits of the others that begin with it are cleared.</summary>
    public void WalkOnly(byte first, GrammarAutomaton automaton, GrammarState[] path, Span<ulong> mask)
    {
        int node = _roots[first];
        if (node < 0)
            return;
        int end = _nodes[node].Skip;
        foreach (int id in _order.AsSpan(_nodes[node].First, _nodes[end].First - _nodes[node].First))
            mask[id >> 6] &= ~(1UL << (id & 63));
        Walk(automaton, path, mask, node, end);
    }

    private void Walk(GrammarAutomaton automaton, GrammarState[] path, Span<ulong> mask, int from, int to)
    {
        ReadOnlySpan<Node> nodes = _nodes;
        for (int i = from; i < to;)
        {
            ref readonly Node node = ref nodes[i];
            if (node.Whole >= 0 && IsCovered(automaton, path[node.CharacterStart], _subtrees[node.Whole]))
            {
                i = Take(_subtrees[node.Whole], mask);
                continue;
            }

            GrammarState next = automaton.Step(path[node.Depth], node.Byte);
            if (next == GrammarState.Dead)
            {
                i = node.Skip;
                continue;
            }

            foreach (int id in _order.AsSpan(node.First, node.Tokens))
                mask[id >> 6] |= 1UL << (id & 63);
            if (node.Below >= 0 && IsCovered(automaton, next, _subtrees[node.Below]))
            {
                i = Take(_subtrees[node.Below], mask);
                continue;
            }

            path[node.Depth + 1] = next;
            i++;
        }
    }

    // Whether the usual moves take every text of a subtree. Tokens may end inside of a character: the moves of whole characters pass there.
    private static bool IsCovered(GrammarAutomaton automaton, GrammarState state, in Subtree subtree)
    {
        CharacterRun run = automaton.RunOf(state);
        return subtree.Ascii.IsWithin(run.Ascii) && (run.TakesOthers || !subtree.HasOthers) && run.Next != GrammarState.Dead && run.Reaches(automaton, subtree.Characters);
    }

    // The node behind the subtree.
    private int Take(in Subtree subtree, Span<ulong> mask)
    {
        foreach (int id in _order.AsSpan(subtree.FirstToken, subtree.EndToken - subtree.FirstToken))
            mask[id >> 6] |= 1UL << (id & 63);
        return subtree.EndNode;
    }

    private static (Node[] Nodes, int[] Parents) Nodes(Tokenizer tokenizer, int[] order)
    {
        var nodes = new List<Node>(order.Length * 3);
        var parents = new List<int>(order.Length * 3);
        var open = new List<int>(); // nodes on the path of the previous token
        for (int at = 0; at < order.Length; at++)
        {
            ReadOnlySpan<byte> bytes = tokenizer.TokenBytes(order[at]);
            int shared = at == 0 ? 0 : bytes.CommonPrefixLength(tokenizer.TokenBytes(order[at - 1]));
            if (at > 0 && shared == bytes.Length)
            {
                // Sorted order: equal bytes stand side by side.
                CollectionsMarshal.AsSpan(nodes)[^1].Tokens++;
                continue;
            }

            Close(shared);
            for (int d = shared; d < bytes.Length; d++)
            {
                int parent = d == 0 ? -1 : open[^1];
                int start = parent < 0 || nodes[parent].EndsCharacter ? d : nodes[parent].CharacterStart;
                bool invalid = Rune.DecodeFromUtf8(bytes[start..(d + 1)], out _, out _) is var status && status == OperationStatus.InvalidData;
                open.Add(nodes.Count);
                parents.Add(parent);
                nodes.Add(new Node(bytes[d], d, start, at, status == OperationStatus.Done, invalid) { Tokens = (ushort)(d == bytes.Length - 1 ? 1 : 0) });
            }
        }

        Close(0);
        nodes.Add(new Node(0, 0, 0, order.Length, false, true) { Skip = nodes.Count + 1 });
        return ([.. nodes], [.. parents]);

        void Close(int keep)
        {
            Span<Node> span = CollectionsMarshal.AsSpan(nodes);
            for (int d = open.Count - 1; d >= keep; d--)
                span[open[d]].Skip = nodes.Count;
            open.RemoveRange(keep, open.Count - keep);
        }
    }

    // What stands below each node at which a character ends, and what begins with each node inside of a character outside of ASCII, its first byte included.
    private static Subtree[] Subtrees(Node[] nodes, int[] parents)
    {
        var subtrees = new List<Subtree>();
        var below = new Content[nodes.Length];
        for (int i = nodes.Length - 2; i >= 0; i--)
        {
            ref Node node = ref nodes[i];
            Content own = node.IsInvalid ? below[i] with { IsInvalid = true }
                : !node.EndsCharacter ? below[i] with { HasOthers = true, Characters = Math.Max(1, below[i].Characters) }
                : node.Byte < 128 && node.CharacterStart == node.Depth ? below[i] with { Ascii = below[i].Ascii.With(node.Byte), Characters = below[i].Characters + 1 }
                : below[i] with { HasOthers = true, Characters = below[i].Characters + 1 };
            if (node.EndsCharacter)
                node.Below = Add(below[i], node.First + node.Tokens, i);
            if (node.Byte >= 128)
                node.Whole = Add(own, node.First, i);
            if (parents[i] >= 0)
                below[parents[i]] = below[parents[i]].And(own);
        }

        return [.. subtrees];

        int Add(in Content content, int firstToken, int node)
        {
            int endToken = nodes[nodes[node].Skip].First;
            if (content.IsInvalid || endToken - firstToken < LeastSubtree)
                return -1;
            subtrees.Add(new Subtree(firstToken, endToken, nodes[node].Skip, content.Ascii, content.HasOthers, content.Characters));
            return subtrees.Count - 1;
        }
    }

    /// <summary>One byte of one or more tokens.</summary>
    private struct Node(byte value, int depth, int characterStart, int first, bool endsCharacter, bool isInvalid)
    {
        /// <summary>Place in the order of the first token that begins with the bytes up to this one.</summary>
        public readonly int First = first;

        /// <summary>Index of the first node that does not lie below this one.</summary>
        public int Skip;

        /// <summary>The subtree below this node; -1 for none.</summary>
        public int Below = -1;

        /// <summary>The subtree of this node itself, for texts that begin at <see cref="CharacterStart"/>; -1 for none.</summary>
        public int Whole = -1;

        /// <summary>Number of bytes before this one.</summary>
        public readonly ushort Depth = checked((ushort)depth);

        /// <summary>Number of bytes before its character.</summary>
        public readonly ushort CharacterStart = checked((ushort)characterStart);

        /// <summary>Number of tokens that end here.</summary>
        public ushort Tokens;

        /// <summary>The byte.</summary>
        public readonly byte Byte = value;

        private readonly byte _flags = (byte)((endsCharacter ? 1 : 0) | (isInvalid ? 2 : 0));

        /// <summary>Whether a character is complete with this byte.</summary>
        public readonly bool EndsCharacter => (_flags & 1) != 0;

        /// <summary>Whether the bytes up to this one begin no UTF-8 text.</summary>
        public readonly bool IsInvalid => (_flags & 2) != 0;
    }

    /// <summary>What occurs in some texts; an unfinished character counts as one.</summary>
    private readonly record struct Content(AsciiSet Ascii, bool HasOthers, bool IsInvalid, int Characters)
    {
        public Content And(in Content other) =>
            new(Ascii.Or(other.Ascii), HasOthers || other.HasOthers, IsInvalid || other.IsInvalid, Math.Max(Characters, other.Characters));
    }

    /// <summary>Neighbouring tokens that begin with the same bytes, and what follows these bytes in them.</summary>
    private readonly record struct Subtree(int FirstToken, int EndToken, int EndNode, AsciiSet Ascii, bool HasOthers, int Characters);
}
