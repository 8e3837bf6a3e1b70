namespace Glimmer.Tokenization;

/// <summary>
/// Byte-pair merging of a long piece with a heap of candidates: O(n log n) for n symbols, whatever they are. Same ids as <see cref="FlatMerger"/>.
/// </summary>
/// <remarks>One thread at a time.</remarks>
internal sealed class HeapMerger
{
    private int[] _next = [];
    private int[] _previous = [];
    private int[] _ranks = [];
    private ulong[] _heap = [];
    private int _heapCount;

    /// <summary>Merges symbols in place.</summary>
    /// <param name="symbols">The ids of the piece's bytes; holds the result at its beginning.</param>
    /// <param name="merges">The merges.</param>
    /// <returns>The number of ids left.</returns>
    public int Merge(Span<int> symbols, MergeTable merges)
    {
        int n = symbols.Length;
        if (_next.Length < n)
            (_next, _previous, _ranks) = (new int[n], new int[n], new int[n]);
        _heapCount = 0;
        for (int i = 0; i < n; i++)
            (_next[i], _previous[i]) = (i + 1, i - 1);
        for (int i = 0; i < n; i++)
            Offer(i, symbols, merges);

        while (_heapCount > 0)
        {
            ulong smallest = Take();
            (int rank, int at) = ((int)(smallest >> 32), (int)(uint)smallest);
            if (_ranks[at] != rank)
                continue; // what stood here has changed in the meantime
            int right = _next[at];
            symbols[at] = merges.Result(rank);
            _ranks[right] = MergeTable.NoMerge;
            _next[at] = _next[right];
            if (_next[at] < n)
                _previous[_next[at]] = at;
            Offer(at, symbols, merges);
            if (_previous[at] >= 0)
                Offer(_previous[at], symbols, merges);
        }

        int count = 0;
        for (int i = 0; i < n; i = _next[i])
            symbols[count++] = symbols[i];
        return count;
    }

    /// <summary>Drops buffers for more than <paramref name="kept"/> symbols.</summary>
    public void Trim(int kept)
    {
        if (_next.Length > kept)
            (_next, _previous, _ranks, _heap) = ([], [], [], []);
    }

    /// <summary>Records the rank of the pair that starts at <paramref name="i"/> and makes it a candidate.</summary>
    private void Offer(int i, ReadOnlySpan<int> symbols, MergeTable merges)
    {
        int right = _next[i];
        int rank = right < symbols.Length ? merges.Rank(symbols[i], symbols[right]) : MergeTable.NoMerge;
        _ranks[i] = rank;
        if (rank == MergeTable.NoMerge)
            return;
        if (_heapCount == _heap.Length)
            Array.Resize(ref _heap, Math.Max(1024, 2 * _heap.Length));
        ulong item = (ulong)rank << 32 | (uint)i;
        int hole = _heapCount++;
        while (hole > 0 && _heap[(hole - 1) / 2] is ulong parent && parent > item)
        {
            _heap[hole] = parent;
            hole = (hole - 1) / 2;
        }

        _heap[hole] = item;
    }

    private ulong Take()
    {
        ulong smallest = _heap[0], item = _heap[--_heapCount];
        int hole = 0;
        while (2 * hole + 1 is int child && child < _heapCount)
        {
            if (child + 1 < _heapCount && _heap[child + 1] < _heap[child])
                child++;
            if (_heap[child] >= item)
                break;
            _heap[hole] = _heap[child];
            hole = child;
        }

        _heap[hole] = item;
        return smallest;
    }
}
