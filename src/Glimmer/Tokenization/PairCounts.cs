using System.Runtime.InteropServices;

namespace Glimmer.Tokenization;

/// <summary>How often neighbouring symbols occur in a set of weighted words, kept up to date while pairs are merged.</summary>
internal sealed class PairCounts
{
    private readonly List<Word> _words = [];
    private readonly List<int> _lengths = [];
    private readonly int _maxLength;
    private readonly Dictionary<PairKey, Pair> _pairs = [];
    private readonly PriorityQueue<PairKey, Priority> _queue = new();
    private readonly HashSet<PairKey> _grown = [];

    /// <summary>Starts without words; pairs that arise by merging count only when together shorter than <paramref name="maxLength"/>.</summary>
    public PairCounts(int maxLength) => _maxLength = maxLength;

    /// <summary>A declared symbol's length in initial characters.</summary>
    public int LengthOf(int id) => _lengths[id];

    /// <summary>Declares a symbol and its length in initial characters; one that was declared before keeps its length.</summary>
    public void AddSymbol(int id, int length)
    {
        while (_lengths.Count <= id)
            _lengths.Add(0);
        if (_lengths[id] == 0)
            _lengths[id] = length;
    }

    /// <summary>Adds a word. All symbols in it are declared.</summary>
    public void AddWord(int[] symbols, long count)
    {
        int word = _words.Count;
        _words.Add(new Word(symbols, symbols.Length, count));
        for (int i = 0; i + 1 < symbols.Length; i++)
            Change(symbols[i], symbols[i + 1], count, word);
    }

    /// <summary>Makes the pairs of all words candidates, after the last word was added.</summary>
    public void Start() => Queue();

    /// <summary>Takes the most frequent pair; of equally frequent ones that with the smallest left id, then right id. False when none is left.</summary>
    public bool TryTake(out int left, out int right, out long count)
    {
        while (_queue.TryDequeue(out PairKey pair, out Priority priority))
        {
            count = _pairs[pair].Count;
            if (count == priority.Count)
            {
                (left, right) = pair;
                return true;
            }

            // The count fell since the pair was queued (a rise is queued at once).
            if (count > 0)
                _queue.Enqueue(pair, new Priority(count, pair));
        }

        (left, right, count) = (0, 0, 0);
        return false;
    }

    /// <summary>Replaces a pair in all words, from left to right without overlap.</summary>
    public void Merge(int left, int right, int result)
    {
        foreach (int word in _pairs[new PairKey(left, right)].TakeWords())
            MergeIn(word, left, right, result);
        Queue();
    }

    private void MergeIn(int index, int left, int right, int result)
    {
        Word word = _words[index];
        int[] symbols = word.Symbols;
        int to = 0;
        for (int from = 0; from < word.Length;)
        {
            if (symbols[from] != left || from + 1 >= word.Length || symbols[from + 1] != right)
            {
                symbols[to++] = symbols[from++];
                continue;
            }

            Change(left, right, -word.Count, index);
            if (to > 0)
            {
                Change(symbols[to - 1], left, -word.Count, index);
                Change(symbols[to - 1], result, word.Count, index);
            }

            if (from + 2 < word.Length)
            {
                Change(right, symbols[from + 2], -word.Count, index);
                Change(result, symbols[from + 2], word.Count, index);
            }

            symbols[to++] = result;
            from += 2;
        }

        _words[index] = word with { Length = to };
    }

    private void Change(int left, int right, long by, int word)
    {
        (int leftLength, int rightLength) = (_lengths[left], _lengths[right]);
        if (leftLength + rightLength >= _maxLength && leftLength + rightLength > 2)
            return;
        var key = new PairKey(left, right);
        ref Pair? pair = ref CollectionsMarshal.GetValueRefOrAddDefault(_pairs, key, out _);
        pair ??= new Pair();
        pair.Count += by;
        if (by <= 0)
            return;
        pair.AddWord(word);
        _grown.Add(key);
    }

    private void Queue()
    {
        foreach (PairKey key in _grown)
        {
            if (_pairs[key].Count is > 0 and long count)
                _queue.Enqueue(key, new Priority(count, key));
        }

        _grown.Clear();
    }

    private readonly record struct PairKey(int Left, int Right)
    {
        // The default combination costs more; that of a ulong (left ^ right) makes most pairs collide.
        public override int GetHashCode() => (int)((((ulong)(uint)Left << 32) | (uint)Right) * 0x9E3779B97F4A7C15UL >> 32);
    }

    /// <summary>Most frequent first, then smallest left id, then smallest right id.</summary>
    private readonly record struct Priority(long Count, PairKey Pair) : IComparable<Priority>
    {
        public int CompareTo(Priority other) =>
            Count != other.Count ? other.Count.CompareTo(Count)
            : Pair.Left != other.Pair.Left ? Pair.Left.CompareTo(other.Pair.Left)
            : Pair.Right.CompareTo(other.Pair.Right);
    }

    private readonly record struct Word(int[] Symbols, int Length, long Count);

    private sealed class Pair
    {
        private List<int> _words = [];

        public long Count { get; set; }

        /// <summary>Notes a word the pair is in; the list may keep words it left.</summary>
        public void AddWord(int word)
        {
            if (_words.Count == 0 || _words[^1] != word)
                _words.Add(word);
        }

        /// <summary>The noted words. Words that get the pair later are noted anew.</summary>
        public List<int> TakeWords()
        {
            List<int> words = _words;
            _words = [];
            return words;
        }
    }
}
