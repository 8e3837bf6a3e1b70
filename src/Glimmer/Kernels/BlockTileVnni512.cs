using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Glimmer.Tensors;

namespace Glimmer.Kernels;

/// <summary>The tile of <see cref="BlockTile"/> with the machine code of <see cref="BlockSums512"/>: 4 to 6 tokens times all 32 rows of a panel.</summary>
internal static unsafe class BlockTileVnni512
{
    private const int Rows = PackedMatrix.PanelRows;

    /// <summary>Whole chains of a tile: <c>c[t, o] = block products in ascending order (+ bias[o])</c>.</summary>
    /// <param name="x">A tile of <see cref="BlockActivations"/>.</param>
    /// <param name="panel">The panel.</param>
    /// <param name="columns">Columns, a whole number of blocks.</param>
    /// <param name="c">Results, <paramref name="ldc"/> floats apart.</param>
    /// <param name="ldc">Distance of the rows of <paramref name="c"/> in floats.</param>
    /// <param name="bias">Added to the finished sums, or null.</param>
    /// <param name="prepared">Scales as <see cref="BlockKernel.Prepare"/> writes them, or null to read them from the panel.</param>
    /// <param name="bytes">Codes of the panel as bytes, where <see cref="ExpandsCodes"/>; null to expand them here.</param>
    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    public static void Run<TRows, TFormat>(byte* x, byte* panel, int columns, float* c, nint ldc, float* bias, float* prepared, byte* bytes)
        where TRows : struct, IRowCount
        where TFormat : struct, IBlockFormat
    {
        byte* scratch = stackalloc byte[(4 * 64) + (BlockActivations.Columns * Rows) + 64];
        var scales = (float*)(((nuint)scratch + 63) & ~(nuint)63);
        byte* expanded = (byte*)(scales + 64);
        bool plain = !ExpandsCodes<TFormat>();
        int blocks = TFormat.HeaderBytes == 0 ? 1 : 8, halves = TFormat.HasHalves ? 2 : 1, steps = 8 / halves;
        delegate* unmanaged[SuppressGCTransition]<BlockSums512.Arguments*, void> multiply = BlockSums512.Of(TRows.Count, TFormat.MostCode == 15, steps, TFormat.HasMinimum);
        BlockSums512.Arguments arguments;
        arguments.C = c;
        arguments.Stride = ldc * sizeof(float);
        arguments.Scales = scales;
        for (int t = 0; t < TRows.Count; t++)
        {
            Vector512<float>.Zero.Store(c + (t * ldc));
            Vector512<float>.Zero.Store(c + (t * ldc) + 16);
        }

        for (columns /= BlockActivations.Columns; columns > 0; columns -= blocks)
        {
            byte* header = panel;
            panel += TFormat.HeaderBytes;
            for (int block = blocks; block > 0; block--, panel += TFormat.BlockBytes, x += BlockActivations.Bytes * TRows.Count)
            {
                BlockPrefetch.Ahead(panel, TFormat.BlockBytes);
                byte* codes = panel + TFormat.CodesAt;
                if (!plain && bytes != null)
                {
                    codes = bytes;
                    bytes += BlockActivations.Columns * Rows;
                }
                else if (!plain)
                {
                    Expand<TFormat>(codes, expanded);
                    codes = expanded;
                }

                byte* own = x + (32 * TRows.Count);
                arguments.D = (float*)own;
                for (int half = 0; half < halves; half++)
                {
                    arguments.Codes = codes + (half * steps * 4 * Rows);
                    arguments.X = x + (half * steps * 4 * TRows.Count);
                    arguments.Starts = (int*)(own + (4 * TRows.Count * (1 + half)));
                    if (prepared == null)
                    {
                        WriteScales<TFormat>(header, panel, half, scales);
                    }
                    else
                    {
                        arguments.Scales = prepared;
                        prepared += TFormat.HasMinimum ? 64 : 32;
                    }

                    multiply(&arguments);
                }
            }
        }

        if (bias == null)
            return;
        for (int t = 0; t < TRows.Count; t++, c += ldc)
        {
            (Vector512.Load(c) + Vector512.Load(bias)).Store(c);
            (Vector512.Load(c + 16) + Vector512.Load(bias + 16)).Store(c + 16);
        }
    }

    /// <summary>Whether codes are read as bytes, which they are not in the panel.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool ExpandsCodes<TFormat>()
        where TFormat : struct, IBlockFormat =>
        TFormat.MostCode != 15 && TFormat.BlockBytes - TFormat.CodesAt != BlockActivations.Columns * Rows;

    /// <summary>The codes of a block as bytes, step after step.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Expand<TFormat>(byte* codes, byte* output)
        where TFormat : struct, IBlockFormat
    {
        for (int register = 0; register < 4; register++)
        {
            for (int pair = 0; pair < 4; pair++)
            {
                TFormat.Codes(codes, pair, register, out Vector256<byte> even, out Vector256<byte> odd);
                even.Store(output + (pair * 8 * Rows) + (32 * register));
                odd.Store(output + (((pair * 8) + 4) * Rows) + (32 * register));
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void WriteScales<TFormat>(byte* header, byte* block, int half, float* scales)
        where TFormat : struct, IBlockFormat
    {
        for (int register = 0; register < 4; register += 2)
        {
            Scales<TFormat>(header, block, half, register, out Vector512<float> scale, out Vector512<float> minimum);
            scale.Store(scales + (8 * register));
            if (TFormat.HasMinimum)
                minimum.Store(scales + 32 + (8 * register));
        }
    }

    /// <summary>Scale and minimum of 16 rows, from register <paramref name="register"/> of 8 on.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Scales<TFormat>(byte* header, byte* block, int half, int register, out Vector512<float> scale, out Vector512<float> minimum)
        where TFormat : struct, IBlockFormat
    {
        TFormat.Header(header, register, out Vector256<float> lowerScale, out Vector256<float> lowerMinimum);
        TFormat.Header(header, register + 1, out Vector256<float> upperScale, out Vector256<float> upperMinimum);
        TFormat.Scales(block, half, register, lowerScale, lowerMinimum, out lowerScale, out lowerMinimum);
        TFormat.Scales(block, half, register + 1, upperScale, upperMinimum, out upperScale, out upperMinimum);
        (scale, minimum) = (Vector512.Create(lowerScale, upperScale), Vector512.Create(lowerMinimum, upperMinimum));
    }
}
