using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Security.Cryptography;
using Glimmer.Tensors;

namespace Glimmer.Quantization;

/// <summary>Which packed form holds weights of a stored type without losing anything.</summary>
internal static unsafe class PackedWeights
{
    private static readonly ConcurrentDictionary<DType, ulong> s_forms = new();

    /// <summary>Types that have a packed form of their own.</summary>
    public static IReadOnlyList<DType> OwnForms()
    {
        var types = new List<DType>();
        foreach (DType type in Enum.GetValues<DType>())
        {
            using PackedMatrix form = Create(type, 0, type.BlockElements());
            if (form.Type == type)
                types.Add(type);
        }

        return types;
    }

    /// <summary>A mark of the packed form of a type: packed bytes of a build with another mark must be packed again.</summary>
    /// <remarks>It is computed by packing a small fixed matrix, so it changes with the layout by itself.</remarks>
    public static ulong FormOf(DType type) => s_forms.GetOrAdd(type, static type =>
    {
        const int Rows = PackedMatrix.PanelRows + 8, Columns = 512;
        var source = new byte[type.ByteSize((long)Rows * Columns)];
        // Without bit 6 no 16-bit scale is infinite or NaN, whichever byte of it this is.
        for (int i = 0; i < source.Length; i++)
            source[i] = (byte)((i * 37 + i / 251 + 11) & 0xBF);
        using PackedMatrix matrix = Create(type, Rows, Columns);
        fixed (byte* data = source)
        {
            for (int panel = 0; panel < matrix.Panels; panel++)
                matrix.PackPanel(panel, [new RowSource(data, type, Rows, source.Length / Rows)]);
        }

        // Types may share a layout but not what the codes mean.
        byte[] packed = [(byte)type, .. new ReadOnlySpan<byte>(matrix.Data, checked((int)matrix.Bytes))];
        return BinaryPrimitives.ReadUInt64LittleEndian(SHA256.HashData(packed));
    });

    /// <summary>An empty packed matrix for rows of the given type; F32 for types that kernels do not stream, which are widened first.</summary>
    /// <param name="type">Type of the stored rows.</param>
    /// <param name="rows">Outputs.</param>
    /// <param name="columns">Inputs.</param>
    public static PackedMatrix Create(DType type, int rows, int columns) => type switch
    {
        DType.BF16 => new PackedBF16(rows, columns),
        DType.F16 => new PackedF16(rows, columns),
        DType.F8Blocks => new PackedF8(rows, columns),
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
