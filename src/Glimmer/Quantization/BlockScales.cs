using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Glimmer.Quantization;

/// <summary>Scales in packed panels: 32 of a kind side by side, read 8 rows at a time.</summary>
internal static unsafe class BlockScales
{
    /// <summary>Bytes of 32 halves.</summary>
    public const int HalfBytes = 64;

    /// <summary>Bytes of 32 small integers.</summary>
    public const int IntegerBytes = 32;

    /// <summary>Widens 8 finite halves, exactly. Subnormal halves never pass through a subnormal float, which would stall the processor.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Halves(byte* halves, int register)
    {
        Vector128<ushort> raw = Vector128.Load((ushort*)halves + 8 * register);
        Vector256<uint> half = Avx2.IsSupported
            ? Avx2.ConvertToVector256Int32(raw).AsUInt32()
            : Vector256.Create(Vector128.WidenLower(raw), Vector128.WidenUpper(raw));
        // A normal half: exponent and fraction move up, the bias grows by 112. A subnormal one gets exponent -14, and 2^-14 is taken away again.
        Vector256<uint> magnitude = Vector256.ShiftLeft(half & Vector256.Create(0x7FFFu), 13);
        Vector256<uint> sign = Vector256.ShiftLeft(half & Vector256.Create(0x8000u), 16);
        Vector256<uint> normal = magnitude + Vector256.Create(112u << 23);
        Vector256<float> subnormal = (magnitude + Vector256.Create(113u << 23)).AsSingle() - Vector256.Create(6.103515625e-5f);
        Vector256<uint> isSubnormal = Vector256.LessThan(magnitude.AsInt32(), Vector256.Create(1 << 23)).AsUInt32();
        return (Vector256.ConditionalSelect(isSubnormal, subnormal.AsUInt32(), normal) | sign).AsSingle();
    }

    /// <summary>8 unsigned bytes as floats.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Unsigned(byte* integers, int register) =>
        Vector256.ConvertToSingle(Widen(integers + 8 * register));

    /// <summary>8 signed bytes as floats.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Signed(byte* integers, int register) =>
        Vector256.ConvertToSingle(Vector256.ShiftRightArithmetic(Vector256.ShiftLeft(Widen(integers + 8 * register), 24), 24));

    /// <summary>The lower or upper 4 bits of 8 bytes as floats.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Nibbles(byte* integers, int register, int shift) =>
        Vector256.ConvertToSingle(Vector256.ShiftRightLogical(Widen(integers + 8 * register), shift) & Vector256.Create(15));

    /// <summary>8 powers of two, <c>2^(e - 128)</c>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Powers(byte* exponents, int register)
    {
        Vector256<int> e = Widen(exponents + 8 * register);
        Vector256<int> normal = Vector256.ShiftLeft(e - Vector256<int>.One, 23);
        Vector256<int> subnormal = Vector256.Create(0x00200000) + e * Vector256.Create(0x00200000);
        return Vector256.ConditionalSelect(Vector256.LessThan(e, Vector256.Create(2)), subnormal, normal).AsSingle();
    }

    /// <summary>Copies a half that a block starts its scales with.</summary>
    /// <returns>Whether it is finite.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Write(byte* source, byte* halves, int row)
    {
        ushort half = Unsafe.ReadUnaligned<ushort>(source);
        ((ushort*)halves)[row] = half;
        return (half & 0x7C00) != 0x7C00;
    }

    private static Vector256<int> Widen(byte* bytes)
    {
        if (Avx2.IsSupported)
            return Avx2.ConvertToVector256Int32(bytes);
        Vector128<ushort> words = Vector128.WidenLower(Vector128.CreateScalar(Unsafe.ReadUnaligned<ulong>(bytes)).AsByte());
        return Vector256.Create(Vector128.WidenLower(words), Vector128.WidenUpper(words)).AsInt32();
    }
}
