using System.Runtime.Intrinsics.X86;

namespace Glimmer.Kernels;

/// <summary>Which form of the kernels runs. All forms give the same bits (docs/adr/0001-order-of-arithmetic.md).</summary>
public enum SimdLevel
{
    /// <summary><c>Vector128</c> only: any processor, ARM included.</summary>
    Portable,
    /// <summary>AVX2 and FMA, 256-bit registers.</summary>
    Avx2,
    /// <summary>AVX-512 F, BW, DQ and VL, 512-bit registers.</summary>
    Avx512,
}

/// <summary>Chooses the instruction set of the kernels once at start.</summary>
public static class Simd
{
    /// <summary>The best form this processor runs.</summary>
    public static SimdLevel Best { get; } =
        Avx512F.VL.IsSupported && Avx512BW.VL.IsSupported && Avx512DQ.VL.IsSupported ? SimdLevel.Avx512
        : Avx2.IsSupported && Fma.IsSupported ? SimdLevel.Avx2
        : SimdLevel.Portable;

    /// <summary>The form in use. Tests lower it to compare the forms; it must not exceed <see cref="Best"/>.</summary>
    internal static SimdLevel Level { get; set; } = Best;
}
