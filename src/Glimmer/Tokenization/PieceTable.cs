using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Glimmer.Tokenization;

/// <summary>Whether a piece that spells a token may become that token at once, without running merges.</summary>
internal enum DirectUse
{
    /// <summary>Not tried yet: allowed exactly when merging the token's bytes gives this token alone.</summary>
    Unknown,
    /// <summary>Yes: merging gives the same, or the tokenizer says <c>ignore_merges</c>.</summary>
    Yes,
    /// <summary>No: merging gives something else, or the token must not come from text.</summary>
    No,
}

/// <summary>From the bytes of a token to its id: open addressing, short tokens with their bytes inside the slot.</summary>
/// <remarks>
/// Lookups may run on several threads: after building only <see cref="DirectUse"/> of a slot changes, from Unknown to the same final value
/// whoever finds it out, in one 32-bit write.
/// </remarks>
internal sealed class PieceTable
{
    private readonly TokenStore _tokens;
    private readonly Slot[] _slots;
    private readonly LongSlot[] _longSlots;
    private readonly int _shift;
    private readonly int _longShift;

    /// <summary>Makes a table for the tokens of <paramref name="tokens"/> that have bytes; they are added one by one.</summary>
    /// <param name="tokens">Where the bytes of ids are.</param>
    /// <param name="shortCount">How many tokens of at most 16 bytes there will be.</param>
    /// <param name="longCount">How many longer ones.</param>
    public PieceTable(TokenStore tokens, int shortCount, int longCount)
    {
        _tokens = tokens;
        _slots = new Slot[Capacity(shortCount)];
        _longSlots = new LongSlot[Capacity(longCount)];
        _shift = 32 - BitOperations.Log2((uint)_slots.Length);
        _longShift = 32 - BitOperations.Log2((uint)_longSlots.Length);
    }

    private PieceTable(PieceTable other)
    {
        (_tokens, _shift, _longShift) = (other._tokens, other._shift, other._longShift);
        _slots = [.. other._slots];
        _longSlots = [.. other._longSlots];
    }

    /// <summary>Length in bytes of the longest token.</summary>
    public int LongestToken { get; private set; }

    /// <summary>Allows every token that is not excluded to stand for the piece that spells it (<c>ignore_merges</c>).</summary>
    public void AllowDirectUse()
    {
        foreach (ref Slot slot in _slots.AsSpan())
        {
            if (slot.Length != 0 && slot.Use == DirectUse.Unknown)
                slot.State = Slot.Pack(slot.Length, DirectUse.Yes);
        }

        foreach (ref LongSlot slot in _longSlots.AsSpan())
        {
            if (slot.Use == DirectUse.Unknown)
                slot.Use = DirectUse.Yes;
        }
    }

    /// <summary>A table with the same tokens in which no id of <paramref name="excluded"/> is used directly.</summary>
    public PieceTable Without(Func<int, bool> excluded)
    {
        var copy = new PieceTable(this) { LongestToken = LongestToken };
        foreach (ref Slot slot in copy._slots.AsSpan())
        {
            if (slot.Length != 0 && excluded(slot.Id))
                slot.State = Slot.Pack(slot.Length, DirectUse.No);
        }

        foreach (ref LongSlot slot in copy._longSlots.AsSpan())
        {
            if (slot.IdPlusOne != 0 && excluded(slot.IdPlusOne - 1))
                slot.Use = DirectUse.No;
        }

        return copy;
    }

    /// <summary>Adds the token of <paramref name="id"/>. False when another id has the same bytes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public bool TryAdd(int id, DirectUse use)
    {
        ReadOnlySpan<byte> bytes = _tokens[id];
        LongestToken = Math.Max(LongestToken, bytes.Length);
        if (bytes.Length <= PieceKey.MaxLength)
        {
            PieceKey key = PieceKey.Load(bytes);
            ref Slot slot = ref Find(key, bytes.Length);
            if (slot.Length != 0)
                return false;
            slot = new Slot { Key = key, State = Slot.Pack(bytes.Length, use), Id = id };
            return true;
        }

        ref LongSlot found = ref FindLong(bytes);
        if (found.IdPlusOne != 0)
            return false;
        found = new LongSlot { Hash = LongHash(bytes), IdPlusOne = id + 1, Use = use };
        return true;
    }

    /// <summary>The id of the token with these bytes, or -1.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public int IdOf(ReadOnlySpan<byte> bytes)
    {
        if (bytes.IsEmpty)
            return -1;
        if (bytes.Length > PieceKey.MaxLength)
            return FindLong(bytes).IdPlusOne - 1;
        ref Slot slot = ref Find(PieceKey.Load(bytes), bytes.Length);
        return slot.Length == 0 ? -1 : slot.Id;
    }

    /// <summary>The slot of a short piece, or an empty one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ref Slot Find(PieceKey key, int length)
    {
        ref Slot slots = ref MemoryMarshal.GetArrayDataReference(_slots);
        // Invariant: the hash is cut to the table's size, and at least half of the slots are empty, so probing ends.
        uint at = key.Hash(length) >> _shift;
        while (true)
        {
            ref Slot slot = ref Unsafe.Add(ref slots, at);
            if (slot.Key == key && slot.Length == length || slot.Length == 0)
                return ref slot;
            at = (at + 1) & (uint)(_slots.Length - 1);
        }
    }

    /// <summary>The slot of a long piece, or an empty one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public ref LongSlot FindLong(ReadOnlySpan<byte> piece)
    {
        uint hash = LongHash(piece);
        uint at = hash >> _longShift;
        while (true)
        {
            ref LongSlot slot = ref _longSlots[at];
            if (slot.IdPlusOne == 0 || slot.Hash == hash && _tokens[slot.IdPlusOne - 1].SequenceEqual(piece))
                return ref slot;
            at = (at + 1) & (uint)(_longSlots.Length - 1);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint LongHash(ReadOnlySpan<byte> bytes)
    {
        PieceKey head = PieceKey.Load(bytes[..16]);
        ulong hash = head.Hash(bytes.Length);
        for (ReadOnlySpan<byte> rest = bytes[16..]; !rest.IsEmpty; rest = rest[Math.Min(16, rest.Length)..])
        {
            PieceKey next = PieceKey.Load(rest[..Math.Min(16, rest.Length)]);
            hash = new PieceKey(next.Low ^ hash << 32 | hash, next.High).Hash(bytes.Length);
        }

        return (uint)hash;
    }

    private static int Capacity(int count) => (int)BitOperations.RoundUpToPowerOf2((uint)Math.Max(4, 2 * count));

    /// <summary>A token of at most 16 bytes: 24 bytes.</summary>
    public struct Slot
    {
        /// <summary>The bytes.</summary>
        public PieceKey Key;
        /// <summary>Length and use; see <see cref="Pack"/>.</summary>
        public int State;
        /// <summary>The id.</summary>
        public int Id;

        /// <summary>Number of bytes; 0 for an empty slot.</summary>
        public readonly int Length => State & 0xFF;

        /// <summary>Whether the token may stand for a piece that spells it.</summary>
        public readonly DirectUse Use => (DirectUse)(State >> 8);

        /// <summary>The value of <see cref="State"/>.</summary>
        public static int Pack(int length, DirectUse use) => (int)use << 8 | length;
    }

    /// <summary>A longer token; its bytes are in the <see cref="TokenStore"/>.</summary>
    public struct LongSlot
    {
        /// <summary>Hash of the bytes.</summary>
        public uint Hash;
        /// <summary>Id plus one; 0 for an empty slot.</summary>
        public int IdPlusOne;
        /// <summary>Whether the token may stand for a piece that spells it.</summary>
        public DirectUse Use;
    }
}
