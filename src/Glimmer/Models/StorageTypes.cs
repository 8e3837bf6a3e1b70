using Glimmer.Quantization;
using Glimmer.Tensors;

namespace Glimmer.Models;

/// <summary>Which element type a tensor gets when a checkpoint is converted.</summary>
public static class StorageTypes
{
    private static readonly DType[] s_writable = [.. Enum.GetValues<DType>().Where(t => Quantizer.Supports(t) && t is not (DType.F8E4M3 or DType.F8E5M2))];

    /// <summary>Names of the types <c>glimmer convert --type</c> takes: <c>f32</c>, <c>bf16</c>, <c>q8_0</c>, <c>q4_k</c> ...</summary>
    public static IReadOnlyList<string> Names { get; } = [.. s_writable.Select(t => t.ToString().ToLowerInvariant())];

    /// <summary>The type of a name.</summary>
    /// <exception cref="UnsupportedModelException">There is no such type, or it is only read.</exception>
    public static DType Parse(string name)
    {
        DType[] found = [.. s_writable.Where(t => string.Equals(t.ToString(), name, StringComparison.OrdinalIgnoreCase))];
        return found.Length == 1 ? found[0] : throw new UnsupportedModelException($"'{name}' is no type that can be written; {string.Join(", ", Names)} are.");
    }

    /// <summary>
    /// The type for rows of a given length: the wanted one, or what llama.cpp takes instead when a row is no whole number of its blocks (models whose widths
    /// are no multiple of 256 mix types).
    /// </summary>
    /// <remarks>
    /// ggml-org/llama.cpp src/llama-quant.cpp: Q4_K to Q5_0, Q5_K to Q5_1, Q6_K to Q8_0, Q2_K, Q3_K and IQ4_XS to IQ4_NL, ternary and NVFP4 to Q4_0; F16 when
    /// 32 does not divide the row either.
    /// </remarks>
    internal static DType ForRows(DType wanted, long rowLength)
    {
        if (rowLength % wanted.BlockElements() == 0)
            return wanted;
        DType smaller = wanted switch
        {
            DType.Q4_K => DType.Q5_0,
            DType.Q5_K => DType.Q5_1,
            DType.Q6_K => DType.Q8_0,
            DType.Q2_K or DType.Q3_K or DType.IQ4_XS => DType.IQ4_NL,
            DType.TQ1_0 or DType.TQ2_0 or DType.Nvfp4 => DType.Q4_0,
            _ => DType.F16,
        };
        return rowLength % smaller.BlockElements() == 0 ? smaller : DType.F16;
    }

    /// <summary>The number in <c>general.file_type</c> (informational), or null when there is none for the type.</summary>
    internal static uint? GgufFileType(DType type) => type switch
    {
        DType.F32 => 0,
        DType.F16 => 1,
        DType.Q4_0 => 2,
        DType.Q4_1 => 3,
        DType.Q8_0 => 7,
        DType.Q5_0 => 8,
        DType.Q5_1 => 9,
        DType.Q2_K => 10,
        DType.Q3_K => 11,
        DType.Q4_K => 14,
        DType.Q5_K => 16,
        DType.Q6_K => 18,
        DType.IQ4_NL => 25,
        DType.IQ4_XS => 30,
        DType.BF16 => 32,
        DType.TQ1_0 => 36,
        DType.TQ2_0 => 37,
        DType.Mxfp4 => 38,
        _ => null,
    };
}
