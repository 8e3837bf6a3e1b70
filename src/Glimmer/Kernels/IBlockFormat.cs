using System.Runtime.Intrinsics;
using Glimmer.Tensors;

namespace Glimmer.Kernels;

/// <summary>
/// How one quantised type lies in a packed panel of 32 rows, and how it is read back: unsigned codes of at most 8 bits, a scale and perhaps a minimum.
/// The weight is <c>scale * (code - Offset)</c>, or <c>fma(scale, code - Offset, minimum)</c>.
/// </summary>
/// <remarks>
/// A panel is a sequence of super-blocks (one GGUF block of 32 rows): <see cref="HeaderBytes"/> of scales that all its blocks share, then blocks of 32 columns,
/// <see cref="BlockBytes"/> each, scales first and codes from <see cref="CodesAt"/> on. Codes lie in steps of 4 columns: a 32-bit word holds 4 columns of a
/// row, and the words of the 32 rows lie side by side, so that a register of 8 words serves a product of 4 columns with 8 rows (<c>Quantization.BlockCodes</c>).
/// A register is one of the four groups of 8 rows of a panel. All reads are the same instructions for any number of tokens.
/// </remarks>
internal unsafe interface IBlockFormat
{
    /// <summary>The GGUF type.</summary>
    static abstract DType Type { get; }

    /// <summary>Bytes shared by the blocks of a super-block.</summary>
    static abstract int HeaderBytes { get; }

    /// <summary>Bytes of 32 columns of a panel.</summary>
    static abstract int BlockBytes { get; }

    /// <summary>Where the codes begin in a block.</summary>
    static abstract int CodesAt { get; }

    /// <summary>What a stored code is larger than the integer it stands for.</summary>
    static abstract int Offset { get; }

    /// <summary>The largest code that is stored.</summary>
    static abstract int MostCode { get; }

    /// <summary>Whether a scale (and minimum) holds for 16 columns rather than 32.</summary>
    static abstract bool HasHalves { get; }

    /// <summary>Whether weights have a minimum.</summary>
    static abstract bool HasMinimum { get; }

    /// <summary>Codes of steps <c>2 pair</c> and <c>2 pair + 1</c> (columns 8 pair to 8 pair + 7) of 8 rows.</summary>
    static abstract void Codes(byte* codes, int pair, int register, out Vector256<byte> even, out Vector256<byte> odd);

    /// <summary>What a super-block gives to the scales of its blocks, for 8 rows.</summary>
    static abstract void Header(byte* header, int register, out Vector256<float> scale, out Vector256<float> minimum);

    /// <summary>Scale and minimum of 8 rows for a block, or for one half of it.</summary>
    static abstract void Scales(
        byte* block, int half, int register, Vector256<float> headerScale, Vector256<float> headerMinimum, out Vector256<float> scale,
        out Vector256<float> minimum);

    /// <summary>Stores one row of a super-block.</summary>
    /// <param name="source">The GGUF block.</param>
    /// <param name="superBlock">The packed super-block.</param>
    /// <param name="row">Row inside the panel.</param>
    /// <returns>False when a scale is infinite or not a number.</returns>
    static abstract bool Pack(byte* source, byte* superBlock, int row);
}
