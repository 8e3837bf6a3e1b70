using System.Runtime.CompilerServices;

namespace Glimmer.Kernels;

/// <summary>How a cache page stores the keys and values of 64 consecutive positions of one layer of one sequence.</summary>
/// <remarks>
/// For each key/value head the keys as <c>[4 groups][KeyDim][16 lanes]</c> (a lane is a key), then for each head the values as <c>[64][ValueDim]</c> rows. Key and value
/// widths may differ; <see cref="ValueDim"/> 0 stores keys only (index keys). Where a value is the first part of its key (MLA: one head, key = latent and rotated part, value =
/// latent) a page holds key rows <c>[64][KeyDim]</c> and no values: a chosen key is one run of bytes, and the value pass reads the rows as they are.
/// Elements are F32, or of a shorter <see cref="KeyValueType"/> that <see cref="PackedPages"/> reads and writes. A page must start at a multiple of 64 bytes for
/// full speed; any address is correct. Methods on <c>T*</c> work on F32 pages (and their twins of other number types) only.
/// </remarks>
/// <param name="KvHeads">Key/value heads, Hkv.</param>
/// <param name="KeyDim">Width of a key.</param>
/// <param name="ValueDim">Width of a value, 0 for none.</param>
/// <param name="Type">Type of the elements.</param>
/// <param name="ValueIsKeyPrefix">Whether every value is the first <paramref name="ValueDim"/> elements of its key and not stored again.</param>
internal readonly unsafe record struct KeyValueLayout(
    int KvHeads, int KeyDim, int ValueDim, KeyValueType Type = KeyValueType.F32, bool ValueIsKeyPrefix = false)
{
    /// <summary>Positions a page holds.</summary>
    public const int PagePositions = 64;

    /// <summary>Keys that lie side by side.</summary>
    public const int Lanes = 16;

    /// <summary>Bytes of one page.</summary>
    public long PageBytes => (long)KvHeads * (BytesOf(KeyDim) + StoredValueBytes);

    /// <summary>Floats that one page takes.</summary>
    public int PageFloats => checked((int)((PageBytes + sizeof(float) - 1) / sizeof(float)));

    /// <summary>Whether the score pass reads keys where they lie: F32, side by side.</summary>
    public bool HasPlainKeys => Type == KeyValueType.F32 && !ValueIsKeyPrefix;

    /// <summary>Elements from one element of a key to its next, in an F32 page.</summary>
    public int KeyStride => ValueIsKeyPrefix ? 1 : Lanes;

    /// <summary>Elements from one value to the next, in an F32 page.</summary>
    public int ValueStride => ValueIsKeyPrefix ? KeyDim : ValueDim;

    private long StoredValueBytes => ValueIsKeyPrefix ? 0 : BytesOf(ValueDim);

    /// <summary>Pages that hold <paramref name="positions"/> positions.</summary>
    public static int PagesFor(int positions) => (positions + PagePositions - 1) / PagePositions;

    /// <summary>Offset of the keys of a head in a page, in bytes.</summary>
    public long KeyByteOffset(int head) => head * BytesOf(KeyDim);

    /// <summary>Offset of the values of a head in a page, in bytes.</summary>
    public long ValueByteOffset(int head) => ValueIsKeyPrefix ? KeyByteOffset(head) : KvHeads * BytesOf(KeyDim) + head * BytesOf(ValueDim);

    /// <summary>Offset of the keys of a head in an F32 page, in elements.</summary>
    public int KeyOffset(int head) => head * KeyDim * PagePositions;

    /// <summary>Offset of the values of a head in an F32 page, in elements.</summary>
    public int ValueOffset(int head) => ValueIsKeyPrefix ? KeyOffset(head) : (KvHeads * KeyDim + head * ValueDim) * PagePositions;

    /// <summary>Stores the key of one head at <paramref name="slot"/> = position % 64.</summary>
    public void WriteKey<T>(T* page, int head, int slot, T* row)
        where T : unmanaged
    {
        T* lane = KeyLane(page, head, slot);
        int stride = KeyStride;
        for (int d = 0; d < KeyDim; d++)
            lane[d * stride] = row[d];
    }

    /// <summary>Stores the value of one head at <paramref name="slot"/> = position % 64; does nothing where it is part of the key.</summary>
    public void WriteValue<T>(T* page, int head, int slot, T* row)
        where T : unmanaged
    {
        if (!ValueIsKeyPrefix)
            Unsafe.CopyBlockUnaligned(ValueRow(page, head, slot), row, (uint)(ValueDim * sizeof(T)));
    }

    /// <summary>Reads a key back into <paramref name="row"/>, [KeyDim].</summary>
    public void ReadKey<T>(T* page, int head, int slot, T* row)
        where T : unmanaged
    {
        T* lane = KeyLane(page, head, slot);
        int stride = KeyStride;
        for (int d = 0; d < KeyDim; d++)
            row[d] = lane[d * stride];
    }

    /// <summary>Reads a value back into <paramref name="row"/>, [ValueDim].</summary>
    public void ReadValue<T>(T* page, int head, int slot, T* row)
        where T : unmanaged =>
        Unsafe.CopyBlockUnaligned(row, ValueRow(page, head, slot), (uint)(ValueDim * sizeof(T)));

    /// <summary>First element of a key; the others follow <see cref="KeyStride"/> apart.</summary>
    public T* KeyLane<T>(T* page, int head, int slot)
        where T : unmanaged =>
        page + KeyOffset(head) + (ValueIsKeyPrefix ? slot * KeyDim : slot / Lanes * KeyDim * Lanes + slot % Lanes);

    /// <summary>First element of a value row.</summary>
    public T* ValueRow<T>(T* page, int head, int slot)
        where T : unmanaged =>
        page + ValueOffset(head) + slot * ValueStride;

    /// <summary>Stores the keys and values of all tokens of a step into the pages of their sequences, split over the team by token.</summary>
    /// <param name="team">Threads.</param>
    /// <param name="sequences">Which tokens belong to which pages.</param>
    /// <param name="k">Keys, token t at <c>k + t * keyStride</c>, [Hkv, KeyDim].</param>
    /// <param name="keyStride">Floats from one token to the next.</param>
    /// <param name="v">Values, token t at <c>v + t * valueStride</c>, [Hkv, ValueDim]; null where <see cref="ValueDim"/> is 0.</param>
    /// <param name="valueStride">Floats from one token to the next.</param>
    public void Write(ThreadTeam team, ReadOnlySpan<AttentionSequence> sequences, float* k, int keyStride, float* v, int valueStride)
    {
        fixed (AttentionSequence* first = sequences)
        {
            var state = new WriteState(this, first, sequences.Length, k, keyStride, v, valueStride);
            team.Run(&WriteShare, &state);
        }
    }

    // 64 rows of so many elements, and their scales.
    private long BytesOf(int dim) => Type switch
    {
        KeyValueType.BF16 => 2L * PagePositions * dim,
        KeyValueType.Int8 => (long)PagePositions * dim + PackedPages.ScaleBytes(dim),
        _ => 4L * PagePositions * dim,
    };

    private static void WriteShare(void* pointer, int thread, int threads)
    {
        var state = (WriteState*)pointer;
        KeyValueLayout layout = state->Layout;
        for (int s = 0; s < state->Count; s++)
        {
            AttentionSequence sequence = state->Sequences[s];
            int from = (int)((long)sequence.Tokens * thread / threads);
            int to = (int)((long)sequence.Tokens * (thread + 1) / threads);
            if (sequence.Tokens == 1)
                (from, to) = s % threads == thread ? (0, 1) : (0, 0);
            for (int t = from; t < to; t++)
            {
                int position = sequence.FirstPosition + t;
                float* page = sequence.Pages[position / PagePositions];
                float* k = state->K + (long)(sequence.FirstToken + t) * state->KeyStride;
                float* v = state->V + (long)(sequence.FirstToken + t) * state->ValueStride;
                for (int head = 0; head < layout.KvHeads; head++)
                {
                    int slot = position % PagePositions;
                    if (layout.Type != KeyValueType.F32)
                    {
                        PackedPages.Write(layout, (byte*)page, head, slot, k + head * layout.KeyDim, layout.ValueDim == 0 ? null : v + head * layout.ValueDim);
                        continue;
                    }

                    layout.WriteKey(page, head, slot, k + head * layout.KeyDim);
                    if (layout.ValueDim != 0)
                        layout.WriteValue(page, head, slot, v + head * layout.ValueDim);
                }
            }
        }
    }

    private readonly struct WriteState(KeyValueLayout layout, AttentionSequence* sequences, int count, float* k, int keyStride, float* v, int valueStride)
    {
        public readonly KeyValueLayout Layout = layout;
        public readonly AttentionSequence* Sequences = sequences;
        public readonly int Count = count;
        public readonly float* K = k;
        public readonly int KeyStride = keyStride;
        public readonly float* V = v;
        public readonly int ValueStride = valueStride;
    }
}
