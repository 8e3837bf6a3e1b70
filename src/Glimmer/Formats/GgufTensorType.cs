using Glimmer.Tensors;

namespace Glimmer.Formats;

/// <summary>The numbers GGUF gives to element types.</summary>
internal static class GgufTensorType
{
    private static readonly (DType Type, uint Id)[] s_ids =
    [
        (DType.F32, 0), (DType.F16, 1), (DType.Q4_0, 2), (DType.Q4_1, 3), (DType.Q5_0, 6), (DType.Q5_1, 7), (DType.Q8_0, 8),
        (DType.Q2_K, 10), (DType.Q3_K, 11), (DType.Q4_K, 12), (DType.Q5_K, 13), (DType.Q6_K, 14),
        (DType.IQ2_XXS, 16), (DType.IQ2_XS, 17), (DType.IQ3_XXS, 18), (DType.IQ1_S, 19), (DType.IQ4_NL, 20), (DType.IQ3_S, 21), (DType.IQ2_S, 22),
        (DType.IQ4_XS, 23),
        (DType.I8, 24), (DType.I16, 25), (DType.I32, 26), (DType.I64, 27), (DType.F64, 28), (DType.IQ1_M, 29), (DType.BF16, 30),
        (DType.TQ1_0, 34), (DType.TQ2_0, 35), (DType.Mxfp4, 39), (DType.Nvfp4, 40),
    ];

    /// <summary>The type of a number, or null when it is unknown, withdrawn or never stored in files.</summary>
    public static DType? Find(uint id)
    {
        foreach ((DType type, uint number) in s_ids)
        {
            if (number == id)
                return type;
        }

        return null;
    }

    /// <summary>The number of a type, or null when GGUF has no such type.</summary>
    public static uint? IdOf(DType type)
    {
        foreach ((DType known, uint number) in s_ids)
        {
            if (known == type)
                return number;
        }

        return null;
    }

    /// <summary>What is known about a number without a type, for messages.</summary>
    public static string Describe(uint id) => id switch
    {
        4 or 5 or (>= 31 and <= 33) or (>= 36 and <= 38) => "which was withdrawn from the format",
        9 or 15 => "which exists only in memory",
        _ => "which Glimmer does not know",
    };
}
