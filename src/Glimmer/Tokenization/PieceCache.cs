using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Glimmer.Tokenization;

/// <summary>The ids of pieces merged before: 8,192 slots of one cache line each, a newer piece replaces an older one of its slot.</summary>
/// <remarks>Bounded and without chains, so no text can make it grow or slow. One thread at a time.</remarks>
internal sealed class PieceCache
{
    private const int Bits = 13;

    private readonly Slot[] _slots = new Slot[1 << Bits];

    /// <summary>The slot of a piece; it holds the piece when <see cref="Slot.Holds"/> says so.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ref Slot At(PieceKey key, int length) =>
        // Invariant: the hash is cut to the table's size.
        ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(_slots), key.Hash(length) >> (32 - Bits));

    /// <summary>64 bytes: a key of at most 16 bytes and up to 11 ids.</summary>
    public struct Slot
    {
        /// <summary>The most ids a slot can hold.</summary>
        public const int MaxIds = 11;

        private PieceKey _key;
        private short _length;
        private short _count;
        private IdBuffer _ids;

        /// <summary>The ids of the piece.</summary>
        [UnscopedRef]
        public readonly ReadOnlySpan<int> Ids => ((ReadOnlySpan<int>)_ids)[.._count];

        /// <summary>Whether this is the slot of that piece.</summary>
        public readonly bool Holds(PieceKey key, int length) => _key == key && _length == length;

        /// <summary>Makes this the slot of a piece; there are at most <see cref="MaxIds"/> ids.</summary>
        public void Set(PieceKey key, int length, ReadOnlySpan<int> ids)
        {
            (_key, _length, _count) = (key, (short)length, (short)ids.Length);
            ids.CopyTo(_ids);
        }
    }

    [InlineArray(Slot.MaxIds)]
    private struct IdBuffer
    {
        private int _first;
    }
}
