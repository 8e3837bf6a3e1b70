using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Glimmer.Tensors;

namespace Glimmer.Kernels;

/// <summary>Reads and writes cache pages of the types shorter than F32. Readers get the F32 numbers that the stored ones stand for.</summary>
/// <remarks>
/// The elements lie as in an F32 page (<see cref="KeyValueLayout"/>). BF16: rounded to nearest, ties to even. Int8: for each 32 elements of a key or value
/// <c>scale = bf16(max |x| / 127)</c>, rounded up, <c>code = round(x / scale)</c>, ties to even, and the number read is <c>code * scale</c>; behind the codes of a head's keys
/// (values) follow their scales, lying as the codes do with one in the place of 32. A block whose scale would be below 2^-100 is stored as zeros, one with a NaN or infinity is read as NaN.
/// </remarks>
internal static unsafe class PackedPages
{
    private const int Block = 32;
    private const int Positions = KeyValueLayout.PagePositions;
    private const int Lanes = KeyValueLayout.Lanes;
    private const float SmallestScale = 7.888609e-31f; // 2^-100

    /// <summary>Bytes of the scales of 64 rows.</summary>
    public static long ScaleBytes(int dim) => (long)Positions * Blocks(dim) * sizeof(ushort);

    /// <summary>Stores the key and value of one head of one position.</summary>
    /// <param name="layout">Page format.</param>
    /// <param name="page">The page.</param>
    /// <param name="head">Key/value head.</param>
    /// <param name="slot">Position % 64.</param>
    /// <param name="key">[KeyDim].</param>
    /// <param name="value">[ValueDim], or null; not read where it is part of the key.</param>
    public static void Write(in KeyValueLayout layout, byte* page, int head, int slot, float* key, float* value)
    {
        byte* keys = page + layout.KeyByteOffset(head);
        if (layout.ValueIsKeyPrefix)
        {
            WriteRow(layout.Type, keys, layout.KeyDim, slot * layout.KeyDim, 1, slot * Blocks(layout.KeyDim), 1, key);
            return;
        }

        int group = slot / Lanes, lane = slot % Lanes;
        WriteRow(
            layout.Type, keys, layout.KeyDim, group * layout.KeyDim * Lanes + lane, Lanes, group * Blocks(layout.KeyDim) * Lanes + lane, Lanes, key);
        if (value != null)
            WriteRow(layout.Type, page + layout.ValueByteOffset(head), layout.ValueDim, slot * layout.ValueDim, 1, slot * Blocks(layout.ValueDim), 1, value);
    }

    /// <summary>Reads one key, [KeyDim].</summary>
    public static void ReadKey(in KeyValueLayout layout, byte* page, int head, int slot, float* row)
    {
        byte* keys = page + layout.KeyByteOffset(head);
        if (layout.ValueIsKeyPrefix)
        {
            ReadRows(layout.Type, keys, layout.KeyDim, slot, 1, layout.KeyDim, row);
            return;
        }

        int group = slot / Lanes, lane = slot % Lanes, first = group * layout.KeyDim * Lanes + lane;
        ushort* scales = Scales(keys, layout.KeyDim) + group * Blocks(layout.KeyDim) * Lanes + lane;
        for (int d = 0; d < layout.KeyDim; d++)
        {
            row[d] = layout.Type == KeyValueType.BF16
                ? Widen(((ushort*)keys)[first + d * Lanes])
                : ((sbyte*)keys)[first + d * Lanes] * Widen(scales[d / Block * Lanes]);
        }
    }

    /// <summary>Reads one value, [ValueDim].</summary>
    public static void ReadValue(in KeyValueLayout layout, byte* page, int head, int slot, float* row) =>
        ReadRows(layout.Type, page + layout.ValueByteOffset(head), layout.ValueIsKeyPrefix ? layout.KeyDim : layout.ValueDim, slot, 1, layout.ValueDim, row);

    /// <summary>Reads the first groups of keys of a page whose keys lie side by side, as <c>[groups][KeyDim][16]</c>.</summary>
    /// <param name="layout">Page format.</param>
    /// <param name="page">The page.</param>
    /// <param name="head">Key/value head.</param>
    /// <param name="groups">Groups of 16 keys.</param>
    /// <param name="target">Receives the keys.</param>
    /// <param name="ahead">Distance in bytes to what is read next in the same shape, which is fetched meanwhile; 0 for nothing.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void ReadKeys(in KeyValueLayout layout, byte* page, int head, int groups, float* target, nint ahead = 0)
    {
        byte* keys = page + layout.KeyByteOffset(head);
        int dim = layout.KeyDim;
        if (layout.Type == KeyValueType.BF16)
        {
            WidenMany((ushort*)keys, groups * dim * Lanes, target, ahead);
            return;
        }

        ushort* scales = Scales(keys, dim);
        float* scale = stackalloc float[Lanes];
        for (int group = 0; group < groups; group++)
        {
            for (int d = 0; d < dim; d++, keys += Lanes, target += Lanes)
            {
                if (d % Block == 0)
                {
                    WidenMany(scales, Lanes, scale);
                    scales += Lanes;
                }

                if (ahead != 0 && d % 4 == 0)
                    BlockPrefetch.Line(keys + ahead);
                ScaleSixteen((sbyte*)keys, scale, target);
            }
        }
    }

    /// <summary>Reads the first rows of a page: values <c>[count][ValueDim]</c>, or where values are part of their keys the keys <c>[count][KeyDim]</c>.</summary>
    public static void ReadRows(in KeyValueLayout layout, byte* page, int head, int count, float* target, nint ahead = 0)
    {
        int dim = layout.ValueStride;
        ReadRows(layout.Type, page + layout.ValueByteOffset(head), dim, 0, count, dim, target, ahead);
    }

    private static int Blocks(int dim) => (dim + Block - 1) / Block;

    private static ushort* Scales(byte* codes, int dim) => (ushort*)(codes + (long)Positions * dim);

    private static float Widen(ushort bits) => BitConverter.UInt32BitsToSingle((uint)bits << 16);

    private static void WriteRow(KeyValueType type, byte* elements, int dim, int first, int stride, int firstScale, int scaleStride, float* row)
    {
        if (type == KeyValueType.BF16)
        {
            for (int d = 0; d < dim; d++)
                ((ushort*)elements)[first + d * stride] = PackedBF16.Round(row[d]);
            return;
        }

        ushort* scales = Scales(elements, dim) + firstScale;
        sbyte* codes = (sbyte*)elements + first;
        for (int block = 0; block * Block < dim; block++)
        {
            int end = Math.Min(dim, (block + 1) * Block);
            ushort bits = ScaleOf(row + block * Block, end - block * Block);
            scales[block * scaleStride] = bits;
            float scale = Widen(bits);
            for (int d = block * Block; d < end; d++)
                codes[d * stride] = scale == 0 ? (sbyte)0 : float.IsFinite(scale) ? (sbyte)MathF.Round(row[d] / scale) : (sbyte)1;
        }
    }

    // Rounded up to bf16, so that no code is beyond 127. NaN stays NaN, infinity becomes NaN: both are seen by whoever reads the block.
    private static ushort ScaleOf(float* values, int count)
    {
        float largest = 0;
        for (int i = 0; i < count; i++)
            largest = MathF.Max(largest, MathF.Abs(values[i])); // NaN wins
        float scale = largest / 127;
        if (!float.IsFinite(scale))
            return 0x7FC0;
        if (scale < SmallestScale)
            return 0;
        uint bits = BitConverter.SingleToUInt32Bits(scale);
        return (ushort)((bits + 0xFFFF) >> 16);
    }

    // Rows from 'slot' on: their first 'length' elements.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void ReadRows(KeyValueType type, byte* elements, int dim, int slot, int count, int length, float* target, nint ahead = 0)
    {
        if (type == KeyValueType.BF16)
        {
            if (length == dim)
            {
                WidenMany((ushort*)elements + (long)slot * dim, count * dim, target, ahead);
                return;
            }

            for (int r = 0; r < count; r++)
                WidenMany((ushort*)elements + (long)(slot + r) * dim, length, target + (long)r * length);
            return;
        }

        int blocks = Blocks(dim);
        for (int r = 0; r < count; r++, target += length)
        {
            sbyte* codes = (sbyte*)elements + (long)(slot + r) * dim;
            ushort* scales = Scales(elements, dim) + (slot + r) * blocks;
            for (int first = 0; first < length; first += Block)
            {
                if (ahead != 0 && first % (2 * Block) == 0)
                    BlockPrefetch.Line((byte*)codes + first + ahead);
                ScaleBlock(codes + first, Widen(scales[first / Block]), Math.Min(Block, length - first), target + first);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void ScaleBlock(sbyte* codes, float scale, int count, float* target)
    {
        int i = 0;
        float* factors = stackalloc float[Lanes];
        Vector512.Create(scale).Store(factors);
        for (; i + Lanes <= count; i += Lanes)
            ScaleSixteen(codes + i, factors, target + i);
        for (; i < count; i++)
            target[i] = codes[i] * scale;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void ScaleSixteen(sbyte* codes, float* scales, float* target)
    {
        Vector128<sbyte> bytes = Vector128.Load(codes);
        (Vector128<short> low, Vector128<short> high) = Vector128.Widen(bytes);
        ScaleEight(low, scales, target);
        ScaleEight(high, scales + 8, target + 8);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void ScaleEight(Vector128<short> codes, float* scales, float* target)
    {
        (Vector128<int> low, Vector128<int> high) = Vector128.Widen(codes);
        (Vector128.ConvertToSingle(low) * Vector128.Load(scales)).Store(target);
        (Vector128.ConvertToSingle(high) * Vector128.Load(scales + 4)).Store(target + 4);
    }

    private static void WidenMany(ushort* source, int count, float* target, nint ahead = 0)
    {
        int i = 0;
        for (; i + 16 <= count; i += 16)
        {
            if (ahead != 0 && i % 32 == 0)
                BlockPrefetch.Line((byte*)(source + i) + ahead);
            (Vector256<uint> low, Vector256<uint> high) = Vector256.Widen(Vector256.Load(source + i));
            (low << 16).AsSingle().Store(target + i);
            (high << 16).AsSingle().Store(target + i + 8);
        }

        for (; i < count; i++)
            target[i] = Widen(source[i]);
    }
}
