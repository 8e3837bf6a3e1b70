using Glimmer.Tensors;

namespace Glimmer.Tests.Quantization;

/// <summary>Random stored rows of any type that kernels stream: random codes, finite scales, some of them subnormal halves.</summary>
internal static class RandomRows
{
    /// <summary>The types with integer blocks.</summary>
    public static readonly DType[] BlockTypes =
    [
        DType.Q8_0, DType.Q4_0, DType.Q4_1, DType.Q5_0, DType.Q5_1, DType.Q2_K, DType.Q3_K, DType.Q4_K, DType.Q5_K, DType.Q6_K, DType.IQ4_NL, DType.IQ4_XS,
        DType.Mxfp4,
    ];

    public static byte[] Create(DType type, int rows, int columns, int seed)
    {
        var random = new Random(seed);
        var bytes = new byte[Math.Max(1, rows * type.ByteSize(columns))];
        random.NextBytes(bytes);
        if (!type.IsBlockType())
        {
            int size = type.BlockBytes();
            for (int i = 0; i < rows * columns; i++)
            {
                float value = random.NextSingle() - 0.5f;
                if (type == DType.F32)
                    BitConverter.TryWriteBytes(bytes.AsSpan(size * i), value);
                else if (type == DType.F16)
                    BitConverter.TryWriteBytes(bytes.AsSpan(size * i), (Half)(i % 5 == 0 ? 1e-4f * value : value));
                else
                    BitConverter.TryWriteBytes(bytes.AsSpan(size * i), PackedBF16.Round(value));
            }

            return bytes;
        }

        int block = type.BlockBytes();
        for (int i = 0; i < rows * columns / type.BlockElements(); i++)
        {
            Span<byte> one = bytes.AsSpan(block * i, block);
            if (type == DType.Mxfp4)
                one[0] = (byte)random.Next(110, 130);
            if (type == DType.F8Blocks)
            {
                foreach (ref byte code in one)
                    code = (byte)((code & 0x7F) == 0x7F ? code - 1 : code);
                BitConverter.TryWriteBytes(one, (random.NextSingle() - 0.5f) * (i % 7 == 0 ? 1e-12f : 0.01f));
            }

            foreach (int scale in Scales(type))
                BitConverter.TryWriteBytes(one[scale..], (Half)((random.NextSingle() - 0.5f) * (i % 7 == 0 ? 1e-5f : 0.1f)));
        }

        return bytes;
    }

    /// <summary>Where the halves lie in a block.</summary>
    public static int[] Scales(DType type) => type switch
    {
        DType.Mxfp4 or DType.F8Blocks => [],
        DType.Q4_1 or DType.Q5_1 or DType.Q4_K or DType.Q5_K => [0, 2],
        DType.Q2_K => [80, 82],
        DType.Q3_K => [108],
        DType.Q6_K => [208],
        _ => [0],
    };
}
