using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Glimmer.Kernels;

/// <summary>Sums of four products in each 32-bit lane: the innermost step of integer products, one implementation an instruction set.</summary>
internal interface IBlockDot
{
    /// <summary>Whether <see cref="Add"/> takes codes above 127 as code - 128, so that their offset must not be subtracted again.</summary>
    static abstract bool CentresBytes { get; }

    /// <summary>The sums with which a block begins.</summary>
    static virtual Vector256<int> Begin(int start) => Vector256.Create(start);

    /// <summary><c>sum[lane] + w[4 lane] x[4 lane] + ... + w[4 lane + 3] x[4 lane + 3]</c>, exact.</summary>
    /// <param name="sum">8 sums.</param>
    /// <param name="w">Codes, 0..63, or 0..255 when <paramref name="bytes"/>.</param>
    /// <param name="x">Activations, -127..127, the same four in every lane.</param>
    /// <param name="bytes">Whether codes take 8 bits (a constant).</param>
    static abstract Vector256<int> Add(Vector256<int> sum, Vector256<byte> w, Vector256<sbyte> x, bool bytes);

    /// <summary>The 32-bit sums at the end of a block.</summary>
    static virtual Vector256<int> Finish(Vector256<int> sum) => sum;
}

/// <summary>AVX-VNNI: one instruction.</summary>
internal readonly struct VnniDot : IBlockDot
{
    public static bool CentresBytes => false;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Add(Vector256<int> sum, Vector256<byte> w, Vector256<sbyte> x, bool bytes) =>
        AvxVnni.MultiplyWideningAndAdd(sum, w, x);
}

/// <summary>AVX2: products of bytes are added in pairs in 16 bits, the pairs in 32.</summary>
/// <remarks>
/// 16 bits suffice: 2 * 63 * 127 = 16,002 for short codes. Codes of 8 bits are centred first: their magnitude is at most 128, and 2 * 128 * 127 = 32,512.
/// </remarks>
internal readonly struct Avx2Dot : IBlockDot
{
    public static bool CentresBytes => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Add(Vector256<int> sum, Vector256<byte> w, Vector256<sbyte> x, bool bytes)
    {
        Vector256<short> pairs;
        if (bytes)
        {
            Vector256<sbyte> centred = (w ^ Vector256.Create((byte)128)).AsSByte();
            pairs = Avx2.MultiplyAddAdjacent(Avx2.Abs(centred), Avx2.Sign(x, centred));
        }
        else
        {
            pairs = Avx2.MultiplyAddAdjacent(w, x);
        }

        return sum + Avx2.MultiplyAddAdjacent(pairs, Vector256<short>.One);
    }
}

/// <summary>AVX2, for short codes: a lane holds two sums of 16 bits until the end of the block, so that a step is one product and one addition.</summary>
/// <remarks>
/// A 16-bit sum has the products of half of a block's columns, and the first also the start value, minus the offset times all activations. Neither leaves 16 bits in the end
/// (<see cref="Holds"/>); what happens on the way wraps around and back.
/// </remarks>
internal readonly struct Avx2ShortDot : IBlockDot
{
    public static bool CentresBytes => false;

    /// <summary>Whether the sums of a block fit: 127 a column is the most of an activation.</summary>
    /// <param name="mostCode">Largest code.</param>
    /// <param name="offset">Offset of the codes.</param>
    /// <param name="columns">Columns of a sum in 32 bits.</param>
    public static bool Holds(int mostCode, int offset, int columns) =>
        columns / 2 * 127 * (Math.Max(mostCode - offset, offset) + offset) <= short.MaxValue;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Begin(int start) => Vector256.Create(start & 0xFFFF);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Add(Vector256<int> sum, Vector256<byte> w, Vector256<sbyte> x, bool bytes) =>
        (sum.AsInt16() + Avx2.MultiplyAddAdjacent(w, x)).AsInt32();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Finish(Vector256<int> sum) => Avx2.MultiplyAddAdjacent(sum.AsInt16(), Vector256<short>.One);
}

/// <summary>Any processor: 32-bit products, byte after byte.</summary>
internal readonly struct PortableDot : IBlockDot
{
    public static bool CentresBytes => false;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Add(Vector256<int> sum, Vector256<byte> w, Vector256<sbyte> x, bool bytes)
    {
        Vector256<int> codes = w.AsInt32(), activations = x.AsInt32(), mask = Vector256.Create(255);
        sum += (codes & mask) * Vector256.ShiftRightArithmetic(Vector256.ShiftLeft(activations, 24), 24);
        sum += (Vector256.ShiftRightLogical(codes, 8) & mask) * Vector256.ShiftRightArithmetic(Vector256.ShiftLeft(activations, 16), 24);
        sum += (Vector256.ShiftRightLogical(codes, 16) & mask) * Vector256.ShiftRightArithmetic(Vector256.ShiftLeft(activations, 8), 24);
        return sum + Vector256.ShiftRightLogical(codes, 24) * Vector256.ShiftRightArithmetic(activations, 24);
    }
}
