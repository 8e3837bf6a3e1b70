using Glimmer.Tensors;

namespace Glimmer.Quantization;

/// <summary>Which packed form holds weights of a stored type without losing anything.</summary>
internal static class PackedWeights
{
    /// <summary>An empty packed matrix for rows of the given type; F32 for types that kernels do not stream, which are widened first.</summary>
    /// <param name="type">Type of the stored rows.</param>
    /// <param name="rows">Outputs.</param>
    /// <param name="columns">Inputs.</param>
    public static PackedMatrix Create(DType type, int rows, int columns) => type switch
    {
        DType.BF16 => new PackedBF16(rows, columns),
        DType.Q8_0 => new PackedBlocks<Q8_0Blocks>(rows, columns),
        DType.Q4_0 => new PackedBlocks<Q4_0Blocks>(rows, columns),
        DType.Q4_1 => new PackedBlocks<Q4_1Blocks>(rows, columns),
        DType.Q5_0 => new PackedBlocks<Q5_0Blocks>(rows, columns),
        DType.Q5_1 => new PackedBlocks<Q5_1Blocks>(rows, columns),
        DType.Q2_K => new PackedBlocks<Q2_KBlocks>(rows, columns),
        DType.Q3_K => new PackedBlocks<Q3_KBlocks>(rows, columns),
        DType.Q4_K => new PackedBlocks<Q4_KBlocks>(rows, columns),
        DType.Q5_K => new PackedBlocks<Q5_KBlocks>(rows, columns),
        DType.Q6_K => new PackedBlocks<Q6_KBlocks>(rows, columns),
        DType.IQ4_NL => new PackedBlocks<IQ4_NLBlocks>(rows, columns),
        DType.IQ4_XS => new PackedBlocks<IQ4_XSBlocks>(rows, columns),
        DType.Mxfp4 => new PackedBlocks<Mxfp4Blocks>(rows, columns),
        _ => new PackedF32(rows, columns),
    };
}
