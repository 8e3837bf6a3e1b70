using Glimmer.Kernels;
using Glimmer.Operations;

namespace Glimmer.Inference;

/// <summary>What keys and values depend on besides the tokens: prefixes are shared only within one space.</summary>
/// <param name="WeightVersion">Version of the weights that computed them.</param>
/// <param name="Namespace">Tenant, or whatever else requests must agree on.</param>
/// <param name="HasDraftKeys">Whether the MTP layer's keys were computed too.</param>
/// <param name="Adapter">Id of the adapter that computed them; 0 for none.</param>
internal readonly record struct PrefixSpace(int WeightVersion, string Namespace, bool HasDraftKeys, int Adapter = 0);

/// <summary>
/// Computed prefixes, shared across requests and turns: a radix tree whose edges are full blocks of 64 tokens. A node holds the cache block of its tokens; blocks that no
/// sequence uses are evicted least recently used first, leaves before their parents.
/// </summary>
/// <remarks>
/// A sequence that holds a node's block holds those of all its ancestors, so a node without other holders has no descendant with any.
/// The MTP layer's entry for the last position of a block was computed with the token that followed then, and its entries of positions in a pause of drafting are zeros; they only serve drafts,
/// which are verified.
/// </remarks>
internal sealed class PrefixTree(KeyValueCache cache) : IDisposable
{
    private const int Page = KeyValueLayout.PagePositions;

    private readonly Dictionary<PrefixSpace, Node> _roots = [];
    private readonly LinkedList<Node> _byUse = new(); // least recently used first

    /// <summary>Blocks held.</summary>
    public int BlockCount => _byUse.Count;

    /// <summary>Number of leading tokens whose blocks are here; a multiple of 64.</summary>
    public int MatchLength(PrefixSpace space, ReadOnlySpan<int> tokens)
    {
        int length = 0;
        for (Node? node = _roots.GetValueOrDefault(space); node is not null && tokens.Length - length >= Page; length += Page)
        {
            node = node.Child(tokens.Slice(length, Page));
            if (node is null)
                break;
        }

        return length;
    }

    /// <summary>Gives an empty sequence the blocks of its longest known prefix.</summary>
    /// <param name="space">Where to look.</param>
    /// <param name="tokens">Tokens of the sequence without the last one, which always runs: its logits are needed.</param>
    /// <param name="sequence">Receives the blocks.</param>
    /// <returns>Number of tokens found, a multiple of 64.</returns>
    public int Attach(PrefixSpace space, ReadOnlySpan<int> tokens, CachedSequence sequence)
    {
        Node? node = _roots.GetValueOrDefault(space);
        Node? last = null;
        while (node is not null && tokens.Length - sequence.Length >= Page && node.Child(tokens.Slice(sequence.Length, Page)) is { } child)
        {
            sequence.AttachShared(child.Block!);
            node = last = child;
        }

        Touch(last);
        return sequence.Length;
    }

    /// <summary>Keeps the full blocks of a sequence. Where the tree has a block of the same tokens, the sequence takes that one and frees its own.</summary>
    /// <param name="space">Where to keep them.</param>
    /// <param name="tokens">Tokens whose keys are final, at most <c>sequence.Length</c>.</param>
    /// <param name="sequence">Their blocks.</param>
    public void Insert(PrefixSpace space, ReadOnlySpan<int> tokens, CachedSequence sequence)
    {
        if (tokens.Length < Page)
            return;
        if (!_roots.TryGetValue(space, out Node? node))
            _roots.Add(space, node = new Node(null, [], null));
        for (int i = 0; (i + 1) * Page <= tokens.Length; i++)
        {
            ReadOnlySpan<int> block = tokens.Slice(i * Page, Page);
            ulong hash = Node.Hash(block);
            if (node.Children.TryGetValue(hash, out Node? child))
            {
                if (!block.SequenceEqual(child.Tokens))
                    break; // Another block has the same hash; what follows cannot be kept.
                sequence.ReplaceBlock(i, child.Block!);
            }
            else
            {
                child = new Node(node, block.ToArray(), sequence.Block(i));
                cache.EnterTree(child.Block!);
                node.Children.Add(hash, child);
                child.Use = _byUse.AddLast(child);
            }

            node = child;
        }

        Touch(node);
    }

    /// <summary>Frees the block that was least recently used among those that nobody else holds and that have no children.</summary>
    /// <returns>False when there is none.</returns>
    public bool EvictOne()
    {
        for (LinkedListNode<Node>? use = _byUse.First; use is not null; use = use.Next)
        {
            Node node = use.Value;
            if (node.Children.Count > 0 || node.Block!.Holders > 1)
                continue;
            Remove(node);
            return true;
        }

        return false;
    }

    /// <summary>Forgets every prefix. Blocks that sequences hold stay theirs.</summary>
    public void Clear()
    {
        foreach (Node node in _byUse)
            cache.LeaveTree(node.Block!);
        _byUse.Clear();
        _roots.Clear();
    }

    /// <inheritdoc/>
    public void Dispose() => Clear();

    private void Remove(Node node)
    {
        _byUse.Remove(node.Use!);
        node.Parent!.Children.Remove(Node.Hash(node.Tokens));
        cache.LeaveTree(node.Block!);
    }

    // Descendants are used before their ancestors, so that leaves come first among equals.
    private void Touch(Node? node)
    {
        for (; node?.Use is { } use; node = node.Parent)
        {
            _byUse.Remove(use);
            _byUse.AddLast(use);
        }
    }

    private sealed class Node(Node? parent, int[] tokens, CacheBlock? block)
    {
        public Node? Parent { get; } = parent;

        public int[] Tokens { get; } = tokens;

        public CacheBlock? Block { get; } = block;

        public Dictionary<ulong, Node> Children { get; } = [];

        public LinkedListNode<Node>? Use { get; set; }

        public Node? Child(ReadOnlySpan<int> tokens) =>
            Children.TryGetValue(Hash(tokens), out Node? child) && tokens.SequenceEqual(child.Tokens) ? child : null;

        // FNV-1a over whole words with a final mix; equality is always checked.
        public static ulong Hash(ReadOnlySpan<int> tokens)
        {
            ulong hash = 14695981039346656037;
            foreach (int token in tokens)
                hash = (hash ^ (uint)token) * 1099511628211;
            return hash ^ (hash >> 29);
        }
    }
}
