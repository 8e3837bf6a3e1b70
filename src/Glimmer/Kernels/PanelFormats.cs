using System.Runtime.CompilerServices;

namespace Glimmer.Kernels;

/// <summary>How the weights of a panel are stored (see <see cref="Tensors.PackedMatrix"/>) and how they become fp32 in registers.</summary>
internal unsafe interface IPanelFormat<TVector>
    where TVector : struct
{
    /// <summary>Columns that share scales, or 0 where there are none.</summary>
    static abstract int BlockColumns { get; }

    /// <summary>Bytes of scales before the columns of a block.</summary>
    static abstract int HeaderBytes { get; }

    /// <summary>Bytes of one column of 32 outputs; 0 where the columns of a block are found by their index.</summary>
    static abstract int ColumnBytes { get; }

    /// <summary>Bytes of all columns of a block where they are found by their index, else 0.</summary>
    static abstract int CodeBytes { get; }

    /// <summary>Reads the scales of two registers of outputs, from output <paramref name="lane"/> of the panel on.</summary>
    static abstract void Scales(byte* header, int lane, out TVector scale0, out TVector scale1, out TVector offset0, out TVector offset1);

    /// <summary>Reads one column of two registers of outputs; <paramref name="index"/> is its number inside the block.</summary>
    static abstract void Column(
        byte* column, int index, int lane, TVector scale0, TVector scale1, TVector offset0, TVector offset1, out TVector weight0, out TVector weight1);
}

/// <summary>Weights that are plain numbers, without scales.</summary>
internal interface IPlainNumber<TVector>
    where TVector : struct
{
    /// <summary>Bytes of a number.</summary>
    static abstract int Bytes { get; }

    /// <summary>Widens a register of numbers.</summary>
    static abstract unsafe TVector Load(byte* numbers);
}

/// <summary>fp32 numbers.</summary>
internal readonly unsafe struct F32Number<TForm, TVector> : IPlainNumber<TVector>
    where TForm : struct, IVectorForm<TVector>
    where TVector : struct
{
    public static int Bytes => 4;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Load(byte* numbers) => TForm.Load((float*)numbers);
}

/// <summary>bf16 numbers: the upper half of an fp32 number.</summary>
internal readonly unsafe struct BF16Number<TForm, TVector> : IPlainNumber<TVector>
    where TForm : struct, IVectorForm<TVector>
    where TVector : struct
{
    public static int Bytes => 2;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Load(byte* numbers) => TForm.LoadBF16((ushort*)numbers);
}

/// <summary>fp16 numbers.</summary>
internal readonly unsafe struct F16Number<TForm, TVector> : IPlainNumber<TVector>
    where TForm : struct, IVectorForm<TVector>
    where TVector : struct
{
    public static int Bytes => 2;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Load(byte* numbers) => TForm.LoadHalf((ushort*)numbers);
}

/// <summary>A panel of plain numbers: column after column, 32 outputs side by side.</summary>
internal readonly unsafe struct PlainPanel<TNumber, TForm, TVector> : IPanelFormat<TVector>
    where TNumber : struct, IPlainNumber<TVector>
    where TForm : struct, IVectorForm<TVector>
    where TVector : struct
{
    public static int BlockColumns => 0;

    public static int HeaderBytes => 0;

    public static int ColumnBytes => TNumber.Bytes * Tensors.PackedMatrix.PanelRows;

    public static int CodeBytes => 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Scales(byte* header, int lane, out TVector scale0, out TVector scale1, out TVector offset0, out TVector offset1) =>
        scale0 = scale1 = offset0 = offset1 = default;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Column(
        byte* column, int index, int lane, TVector scale0, TVector scale1, TVector offset0, TVector offset1, out TVector weight0, out TVector weight1)
    {
        weight0 = TNumber.Load(column + (TNumber.Bytes * lane));
        weight1 = TNumber.Load(column + (TNumber.Bytes * (lane + TForm.Width)));
    }
}

/// <summary>FP8: 32 fp32 scales times 2^120, then 32 times 4 columns of E4M3 codes; a weight is <c>scale * code</c> (<see cref="Quantization.PackedF8"/>).</summary>
internal readonly unsafe struct F8Panel<TForm, TVector> : IPanelFormat<TVector>
    where TForm : struct, IVectorForm<TVector>
    where TVector : struct
{
    public static int BlockColumns => Quantization.F8Blocks.Columns;

    public static int HeaderBytes => Quantization.PackedF8.ScaleBytes;

    public static int ColumnBytes => 0;

    public static int CodeBytes => Quantization.F8Blocks.Columns * Tensors.PackedMatrix.PanelRows;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Scales(byte* header, int lane, out TVector scale0, out TVector scale1, out TVector offset0, out TVector offset1)
    {
        scale0 = TForm.Load((float*)header + lane);
        scale1 = TForm.Load((float*)header + lane + TForm.Width);
        offset0 = offset1 = default;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Column(
        byte* column, int index, int lane, TVector scale0, TVector scale1, TVector offset0, TVector offset1, out TVector weight0, out TVector weight1)
    {
        uint* words = (uint*)column + ((index >> 2) * 32) + lane;
        weight0 = TForm.Multiply(scale0, TForm.LoadFloat8(words, 8 * (index & 3)));
        weight1 = TForm.Multiply(scale1, TForm.LoadFloat8(words + TForm.Width, 8 * (index & 3)));
    }
}

/// <summary>Q8_0: 32 fp16 scales, then 8 times 4 columns of bytes; a weight is <c>d * q</c> (<see cref="Quantization.Q8_0Blocks"/>).</summary>
internal readonly unsafe struct Q8_0Panel<TForm, TVector> : IPanelFormat<TVector>
    where TForm : struct, IVectorForm<TVector>
    where TVector : struct
{
    public static int BlockColumns => 32;

    public static int HeaderBytes => 64;

    public static int ColumnBytes => 0;

    public static int CodeBytes => 1024;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Scales(byte* header, int lane, out TVector scale0, out TVector scale1, out TVector offset0, out TVector offset1)
    {
        scale0 = TForm.LoadF16((ushort*)header + lane);
        scale1 = TForm.LoadF16((ushort*)header + lane + TForm.Width);
        offset0 = offset1 = default;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Column(
        byte* column, int index, int lane, TVector scale0, TVector scale1, TVector offset0, TVector offset1, out TVector weight0, out TVector weight1)
    {
        uint* words = (uint*)column + (index >> 2) * 32 + lane;
        weight0 = TForm.Multiply(scale0, TForm.LoadBytes(words, 8 * (index & 3)));
        weight1 = TForm.Multiply(scale1, TForm.LoadBytes(words + TForm.Width, 8 * (index & 3)));
    }
}

/// <summary>
/// Q4_1: 32 fp16 scales and 32 fp16 minima, then 4 times 8 columns of nibbles; a weight is <c>fma(d, q, m)</c> (<see cref="Quantization.Q4_1Blocks"/>).
/// </summary>
internal readonly unsafe struct Q4_1Panel<TForm, TVector> : IPanelFormat<TVector>
    where TForm : struct, IVectorForm<TVector>
    where TVector : struct
{
    public static int BlockColumns => 32;

    public static int HeaderBytes => 128;

    public static int ColumnBytes => 0;

    public static int CodeBytes => 512;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Scales(byte* header, int lane, out TVector scale0, out TVector scale1, out TVector offset0, out TVector offset1)
    {
        scale0 = TForm.LoadF16((ushort*)header + lane);
        scale1 = TForm.LoadF16((ushort*)header + lane + TForm.Width);
        offset0 = TForm.LoadF16((ushort*)header + lane + 32);
        offset1 = TForm.LoadF16((ushort*)header + lane + 32 + TForm.Width);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Column(
        byte* column, int index, int lane, TVector scale0, TVector scale1, TVector offset0, TVector offset1, out TVector weight0, out TVector weight1)
    {
        uint* words = (uint*)column + (index >> 3) * 32 + lane;
        int shift = 8 * (index & 3) + (index & 4);
        weight0 = TForm.FusedMultiplyAdd(scale0, TForm.LoadNibbles(words, shift), offset0);
        weight1 = TForm.FusedMultiplyAdd(scale1, TForm.LoadNibbles(words + TForm.Width, shift), offset1);
    }
}
