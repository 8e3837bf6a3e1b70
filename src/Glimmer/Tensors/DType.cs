namespace Glimmer.Tensors;

/// <summary>How the elements of a tensor are stored.</summary>
/// <remarks>
/// Plain types store one element after another. Block types (from <see cref="Q4_0"/> on) store a fixed number of elements along
/// the last dimension in one block with its own scales; names and layouts are those of the GGUF format, but for <see cref="F8Blocks"/>.
/// </remarks>
public enum DType
{
    /// <summary>IEEE 754 binary32.</summary>
    F32,
    /// <summary>IEEE 754 binary16.</summary>
    F16,
    /// <summary>The upper half of a binary32.</summary>
    BF16,
    /// <summary>IEEE 754 binary64.</summary>
    F64,
    /// <summary>8-bit float, 4 exponent and 3 fraction bits, largest finite value 448, no infinities.</summary>
    F8E4M3,
    /// <summary>8-bit float, 5 exponent and 2 fraction bits.</summary>
    F8E5M2,
    /// <summary>Signed 8-bit integer.</summary>
    I8,
    /// <summary>Signed 16-bit integer.</summary>
    I16,
    /// <summary>Signed 32-bit integer.</summary>
    I32,
    /// <summary>Signed 64-bit integer.</summary>
    I64,
    /// <summary>Unsigned 8-bit integer.</summary>
    U8,
    /// <summary>Unsigned 16-bit integer.</summary>
    U16,
    /// <summary>Unsigned 32-bit integer.</summary>
    U32,
    /// <summary>Unsigned 64-bit integer.</summary>
    U64,
    /// <summary>One byte a truth value.</summary>
    Bool,
    /// <summary>32 elements, 18 bytes.</summary>
    Q4_0,
    /// <summary>32 elements, 20 bytes.</summary>
    Q4_1,
    /// <summary>32 elements, 22 bytes.</summary>
    Q5_0,
    /// <summary>32 elements, 24 bytes.</summary>
    Q5_1,
    /// <summary>32 elements, 34 bytes.</summary>
    Q8_0,
    /// <summary>256 elements, 84 bytes.</summary>
    Q2_K,
    /// <summary>256 elements, 110 bytes.</summary>
    Q3_K,
    /// <summary>256 elements, 144 bytes.</summary>
    Q4_K,
    /// <summary>256 elements, 176 bytes.</summary>
    Q5_K,
    /// <summary>256 elements, 210 bytes.</summary>
    Q6_K,
    /// <summary>256 elements, 66 bytes.</summary>
    IQ2_XXS,
    /// <summary>256 elements, 74 bytes.</summary>
    IQ2_XS,
    /// <summary>256 elements, 82 bytes.</summary>
    IQ2_S,
    /// <summary>256 elements, 98 bytes.</summary>
    IQ3_XXS,
    /// <summary>256 elements, 110 bytes.</summary>
    IQ3_S,
    /// <summary>256 elements, 50 bytes.</summary>
    IQ1_S,
    /// <summary>256 elements, 56 bytes.</summary>
    IQ1_M,
    /// <summary>32 elements, 18 bytes.</summary>
    IQ4_NL,
    /// <summary>256 elements, 136 bytes.</summary>
    IQ4_XS,
    /// <summary>256 elements, 54 bytes.</summary>
    TQ1_0,
    /// <summary>256 elements, 66 bytes.</summary>
    TQ2_0,
    /// <summary>32 elements, 17 bytes.</summary>
    Mxfp4,
    /// <summary>64 elements, 36 bytes.</summary>
    Nvfp4,
    /// <summary>128 elements, 132 bytes: a binary32 scale and 128 <see cref="F8E4M3"/>. No file holds it: rows of FP8 checkpoints become it, whose scales are tensors of their own.</summary>
    F8Blocks,
}

/// <summary>Sizes of the element types.</summary>
public static class DTypeExtensions
{
    // Elements and bytes of one block, in the order of the enumeration.
    private static ReadOnlySpan<byte> BlockElementsLog2 =>
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 5, 5, 5, 5, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 5, 8, 8, 8, 5, 6, 7];

    private static ReadOnlySpan<byte> BlockSizes =>
        [4, 2, 2, 8, 1, 1, 1, 2, 4, 8, 1, 2, 4, 8, 1, 18, 20, 22, 24, 34, 84, 110, 144, 176, 210, 66, 74, 82, 98, 110, 50, 56, 18, 136, 54, 66, 17, 36, 132];

    /// <summary>Elements in one block; 1 for plain types.</summary>
    public static int BlockElements(this DType type) => 1 << BlockElementsLog2[(int)type];

    /// <summary>Bytes of one block; the element size for plain types.</summary>
    public static int BlockBytes(this DType type) => BlockSizes[(int)type];

    /// <summary>Whether elements share scales in blocks along the last dimension.</summary>
    public static bool IsBlockType(this DType type) => type >= DType.Q4_0;

    /// <summary>Bytes of <paramref name="elements"/> elements.</summary>
    /// <exception cref="ArgumentException">The count is no multiple of the block.</exception>
    public static long ByteSize(this DType type, long elements)
    {
        int block = type.BlockElements();
        if (elements % block != 0)
            throw new ArgumentException($"{elements} elements are not a whole number of {type} blocks of {block}.", nameof(elements));
        return checked(elements / block * type.BlockBytes());
    }
}
