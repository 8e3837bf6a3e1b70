using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Glimmer.Tokenization;

/// <summary>
/// Byte-pair merging of a piece of at most 256 symbols: again and again the pair of lowest rank, leftmost first, becomes one symbol.
/// The candidates lie in one flat array whose minimum is found with vectors. Same ids as <see cref="HeapMerger"/>.
/// </summary>
/// <remarks>One thread at a time.</remarks>
internal sealed class FlatMerger
{
    /// <summary>The most symbols a piece may have here.</summary>
    public const int MaxSymbols = 256;

    /// <summary>Candidates from here on are none: there is no symbol any more, or no merge with its right neighbour.</summary>
    private const uint None = 0xFFFFFF00;

    private readonly uint[] _candidates = new uint[MaxSymbols + 8];
    private readonly int[] _ids = new int[MaxSymbols];
    private readonly byte[] _next = new byte[MaxSymbols];
    private readonly byte[] _previous = new byte[MaxSymbols];

    /// <summary>Merges a piece of 2 to <see cref="MaxSymbols"/> bytes, each of which has a token.</summary>
    /// <param name="piece">The bytes.</param>
    /// <param name="merges">The merges.</param>
    /// <param name="byteIds">The id of each byte, [256].</param>
    /// <param name="output">Receives the ids; at least as long as the piece.</param>
    /// <returns>The number of ids.</returns>
    public int MergeBytes(ReadOnlySpan<byte> piece, MergeTable merges, int[] byteIds, Span<int> output)
    {
        int n = piece.Length;
        for (int i = 0; i < n - 1; i++)
        {
            _ids[i] = byteIds[piece[i]];
            _candidates[i] = Candidate(merges.ByteRank(piece[i], piece[i + 1]), i);
        }

        _ids[n - 1] = byteIds[piece[n - 1]];
        return Run(n, merges, output);
    }

    /// <summary>Merges 2 to <see cref="MaxSymbols"/> symbols in place.</summary>
    /// <param name="symbols">The ids of the piece's bytes; holds the result at its beginning.</param>
    /// <param name="merges">The merges.</param>
    /// <returns>The number of ids left.</returns>
    public int Merge(Span<int> symbols, MergeTable merges)
    {
        int n = symbols.Length;
        symbols.CopyTo(_ids);
        for (int i = 0; i < n - 1; i++)
            _candidates[i] = Candidate(merges.Rank(symbols[i], symbols[i + 1]), i);
        return Run(n, merges, symbols);
    }

    private int Run(int n, MergeTable merges, Span<int> output)
    {
        // Invariant of the unchecked accesses below: every index is the position 0..n-1 of a symbol, n is at most MaxSymbols, and the
        // candidates have 8 more entries, so whole vectors may be read from any multiple of 8 below n.
        ref uint candidates = ref MemoryMarshal.GetArrayDataReference(_candidates);
        ref int ids = ref MemoryMarshal.GetArrayDataReference(_ids);
        ref byte next = ref MemoryMarshal.GetArrayDataReference(_next);
        ref byte previous = ref MemoryMarshal.GetArrayDataReference(_previous);
        for (int i = 0; i < n; i++)
        {
            Unsafe.Add(ref next, i) = (byte)(i + 1);
            Unsafe.Add(ref previous, i) = (byte)(i - 1);
        }

        int vectors = (n + 6) / 8; // n - 1 candidates
        for (int i = n - 1; i < vectors * 8; i++)
            Unsafe.Add(ref candidates, i) = None;

        int last = n - 1; // position of the last symbol
        while (true)
        {
            uint best = Smallest(ref candidates, vectors);
            if (best >= None)
                break;
            int at = (int)(best & 0xFF);
            int right = Unsafe.Add(ref next, at);
            int id = merges.Result((int)(best >> 8));
            Unsafe.Add(ref ids, at) = id;
            Unsafe.Add(ref candidates, right) = None;
            if (right == last)
            {
                last = at;
                Unsafe.Add(ref candidates, at) = None;
            }
            else
            {
                int after = Unsafe.Add(ref next, right);
                Unsafe.Add(ref next, at) = (byte)after;
                Unsafe.Add(ref previous, after) = (byte)at;
                Unsafe.Add(ref candidates, at) = Candidate(merges.Rank(id, Unsafe.Add(ref ids, after)), at);
            }

            if (at > 0)
            {
                int before = Unsafe.Add(ref previous, at);
                Unsafe.Add(ref candidates, before) = Candidate(merges.Rank(Unsafe.Add(ref ids, before), id), before);
            }
        }

        int count = 0;
        for (int i = 0; ; i = Unsafe.Add(ref next, i))
        {
            output[count++] = Unsafe.Add(ref ids, i);
            if (i == last)
                return count;
        }
    }

    /// <summary>
    /// Rank and position in one number: the smallest is the pair to merge. Ranks have 20 bits, positions 8; <see cref="MergeTable.NoMerge"/>
    /// gives a number from <see cref="None"/> on.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint Candidate(int rank, int position) => (uint)rank << 8 | (uint)position;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint Smallest(ref uint candidates, int vectors)
    {
        Vector256<uint> smallest = Vector256.LoadUnsafe(ref candidates);
        for (int v = 1; v < vectors; v++)
            smallest = Vector256.Min(smallest, Vector256.LoadUnsafe(ref candidates, (nuint)(v * 8)));
        Vector128<uint> four = Vector128.Min(smallest.GetLower(), smallest.GetUpper());
        four = Vector128.Min(four, Vector128.Shuffle(four, Vector128.Create(2u, 3u, 0u, 1u)));
        four = Vector128.Min(four, Vector128.Shuffle(four, Vector128.Create(1u, 0u, 3u, 2u)));
        return four.ToScalar();
    }
}
