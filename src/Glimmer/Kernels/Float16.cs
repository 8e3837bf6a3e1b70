namespace Glimmer.Kernels;

/// <summary>Widening fp16 without conversion instructions, which .NET does not offer.</summary>
/// <remarks>
/// Sign-extend to 32 bits, shift left by 13 and keep the sign, exponent and fraction: the result is an fp32 number that is 2^112 times too small, because
/// the exponents' offsets differ by 127 - 15. Infinities and NaN do not survive.
/// </remarks>
internal static class Float16
{
    /// <summary>Bits kept after the shift.</summary>
    public const int Mask = unchecked((int)0x8FFFE000);

    /// <summary>2^112.</summary>
    public const float Scale = 5.192296858534828e33f;
}
