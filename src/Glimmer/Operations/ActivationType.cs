namespace Glimmer.Operations;

/// <summary>In which numbers matrix products take their activations.</summary>
public enum ActivationType
{
    /// <summary>fp32: every product is exact up to the rounding of its sum.</summary>
    F32,

    /// <summary>
    /// 8-bit integers with a scale for 32 columns, for weights in quantised blocks; products with other weights stay in fp32. Faster, and usually as good as
    /// the quantised weights are.
    /// </summary>
    Q8,
}
