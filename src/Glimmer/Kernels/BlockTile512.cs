using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Glimmer.Tensors;

namespace Glimmer.Kernels;

/// <summary>The tile of <see cref="BlockTile"/> in 512-bit registers: 4 to 6 tokens times all 32 rows of a panel.</summary>
/// <remarks>
/// For processors with AVX-512 that have no AVX-VNNI. Sums run in 16 bits until the end of a scale's columns: those of codes below 16 at once (<see cref="Avx2ShortDot"/>), longer codes as two
/// nibbles, 16 high + low, each with sums of its own: 16 columns times 15 times 127 is 30,480 at most. The 32-bit sums at the end are exact, so that the chains are those of <see cref="MatMul.BlockTwin"/>.
/// </remarks>
internal static unsafe class BlockTile512
{
    /// <summary>Whether this processor runs it.</summary>
    public static bool IsSupported => Avx512BW.IsSupported;

    /// <summary>Whole chains of a tile: <c>c[t, o] = block products in ascending order (+ bias[o])</c>.</summary>
    /// <param name="x">A tile of <see cref="BlockActivations"/>.</param>
    /// <param name="panel">The panel.</param>
    /// <param name="columns">Columns, a whole number of blocks.</param>
    /// <param name="c">Results, <paramref name="ldc"/> floats apart.</param>
    /// <param name="ldc">Distance of the rows of <paramref name="c"/> in floats.</param>
    /// <param name="bias">Added to the finished sums, or null.</param>
    /// <param name="prepared">Scales as <see cref="BlockKernel.Prepare"/> writes them, or null to read them from the panel.</param>
    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    public static void Run<TRows, TFormat>(byte* x, byte* panel, int columns, float* c, nint ldc, float* bias, float* prepared)
        where TRows : struct, IRowCount
        where TFormat : struct, IBlockFormat
    {
        for (int t = 0; t < TRows.Count; t++)
        {
            Vector512<float>.Zero.Store(c + t * ldc);
            Vector512<float>.Zero.Store(c + t * ldc + 16);
        }

        int blocks = TFormat.HeaderBytes == 0 ? 1 : 8, pairs = TFormat.HasHalves ? 2 : 4;
        for (columns /= BlockActivations.Columns; columns > 0; columns -= blocks)
        {
            byte* header = panel;
            panel += TFormat.HeaderBytes;
            for (int block = blocks; block > 0; block--, panel += TFormat.BlockBytes)
            {
                BlockPrefetch.Ahead(panel, TFormat.BlockBytes);
                byte* own = x + 32 * TRows.Count;
                for (int half = 0; half < 4 / pairs; half++, own += 4 * TRows.Count)
                {
                    Vector512<short> l0a = default, l0b = default, h0a = default, h0b = default;
                    Vector512<short> l1a = default, l1b = default, h1a = default, h1b = default;
                    Vector512<short> l2a = default, l2b = default, h2a = default, h2b = default;
                    Vector512<short> l3a = default, l3b = default, h3a = default, h3b = default;
                    Vector512<short> l4a = default, l4b = default, h4a = default, h4b = default;
                    Vector512<short> l5a = default, l5b = default, h5a = default, h5b = default;
                    if (IsShort<TFormat>() && TFormat.Offset != 0)
                    {
                        int* starts = (int*)(own + 4 * TRows.Count);
                        l0a = (Vector512.Create(starts[0]) & Vector512.Create(0xFFFF)).AsInt16();
                        l0b = l0a;

                        if (TRows.Count > 1)
                        {
                            l1a = (Vector512.Create(starts[1]) & Vector512.Create(0xFFFF)).AsInt16();
                            l1b = l1a;
                        }

                        if (TRows.Count > 2)
                        {
                            l2a = (Vector512.Create(starts[2]) & Vector512.Create(0xFFFF)).AsInt16();
                            l2b = l2a;
                        }

                        if (TRows.Count > 3)
                        {
                            l3a = (Vector512.Create(starts[3]) & Vector512.Create(0xFFFF)).AsInt16();
                            l3b = l3a;
                        }

                        if (TRows.Count > 4)
                        {
                            l4a = (Vector512.Create(starts[4]) & Vector512.Create(0xFFFF)).AsInt16();
                            l4b = l4a;
                        }

                        if (TRows.Count > 5)
                        {
                            l5a = (Vector512.Create(starts[5]) & Vector512.Create(0xFFFF)).AsInt16();
                            l5b = l5a;
                        }
                    }

                    for (int pair = half * pairs; pair < half * pairs + pairs; pair++, x += 8 * TRows.Count)
                    {
                        Codes<TFormat>(panel + TFormat.CodesAt, pair, 0, out Vector512<byte> evenA, out Vector512<byte> oddA);
                        Codes<TFormat>(panel + TFormat.CodesAt, pair, 2, out Vector512<byte> evenB, out Vector512<byte> oddB);
                        Vector512<sbyte> v;
                        Vector512<byte> highA = default, highB = default;
                        if (!IsShort<TFormat>())
                        {
                            (highA, highB) = (High(evenA), High(evenB));
                            (evenA, evenB) = (Low(evenA), Low(evenB));
                        }

                        v = Vector512.Create(((int*)x)[0]).AsSByte();
                        l0a += Avx512BW.MultiplyAddAdjacent(evenA, v);
                        l0b += Avx512BW.MultiplyAddAdjacent(evenB, v);
                        if (!IsShort<TFormat>())
                        {
                            h0a += Avx512BW.MultiplyAddAdjacent(highA, v);
                            h0b += Avx512BW.MultiplyAddAdjacent(highB, v);
                        }

                        if (TRows.Count > 1)
                        {
                            v = Vector512.Create(((int*)x)[1]).AsSByte();
                            l1a += Avx512BW.MultiplyAddAdjacent(evenA, v);
                            l1b += Avx512BW.MultiplyAddAdjacent(evenB, v);
                            if (!IsShort<TFormat>())
                            {
                                h1a += Avx512BW.MultiplyAddAdjacent(highA, v);
                                h1b += Avx512BW.MultiplyAddAdjacent(highB, v);
                            }
                        }

                        if (TRows.Count > 2)
                        {
                            v = Vector512.Create(((int*)x)[2]).AsSByte();
                            l2a += Avx512BW.MultiplyAddAdjacent(evenA, v);
                            l2b += Avx512BW.MultiplyAddAdjacent(evenB, v);
                            if (!IsShort<TFormat>())
                            {
                                h2a += Avx512BW.MultiplyAddAdjacent(highA, v);
                                h2b += Avx512BW.MultiplyAddAdjacent(highB, v);
                            }
                        }

                        if (TRows.Count > 3)
                        {
                            v = Vector512.Create(((int*)x)[3]).AsSByte();
                            l3a += Avx512BW.MultiplyAddAdjacent(evenA, v);
                            l3b += Avx512BW.MultiplyAddAdjacent(evenB, v);
                            if (!IsShort<TFormat>())
                            {
                                h3a += Avx512BW.MultiplyAddAdjacent(highA, v);
                                h3b += Avx512BW.MultiplyAddAdjacent(highB, v);
                            }
                        }

                        if (TRows.Count > 4)
                        {
                            v = Vector512.Create(((int*)x)[4]).AsSByte();
                            l4a += Avx512BW.MultiplyAddAdjacent(evenA, v);
                            l4b += Avx512BW.MultiplyAddAdjacent(evenB, v);
                            if (!IsShort<TFormat>())
                            {
                                h4a += Avx512BW.MultiplyAddAdjacent(highA, v);
                                h4b += Avx512BW.MultiplyAddAdjacent(highB, v);
                            }
                        }

                        if (TRows.Count > 5)
                        {
                            v = Vector512.Create(((int*)x)[5]).AsSByte();
                            l5a += Avx512BW.MultiplyAddAdjacent(evenA, v);
                            l5b += Avx512BW.MultiplyAddAdjacent(evenB, v);
                            if (!IsShort<TFormat>())
                            {
                                h5a += Avx512BW.MultiplyAddAdjacent(highA, v);
                                h5b += Avx512BW.MultiplyAddAdjacent(highB, v);
                            }
                        }

                        if (!IsShort<TFormat>())
                        {
                            (highA, highB) = (High(oddA), High(oddB));
                            (oddA, oddB) = (Low(oddA), Low(oddB));
                        }

                        v = Vector512.Create(((int*)x)[TRows.Count]).AsSByte();
                        l0a += Avx512BW.MultiplyAddAdjacent(oddA, v);
                        l0b += Avx512BW.MultiplyAddAdjacent(oddB, v);
                        if (!IsShort<TFormat>())
                        {
                            h0a += Avx512BW.MultiplyAddAdjacent(highA, v);
                            h0b += Avx512BW.MultiplyAddAdjacent(highB, v);
                        }

                        if (TRows.Count > 1)
                        {
                            v = Vector512.Create(((int*)x)[TRows.Count + 1]).AsSByte();
                            l1a += Avx512BW.MultiplyAddAdjacent(oddA, v);
                            l1b += Avx512BW.MultiplyAddAdjacent(oddB, v);
                            if (!IsShort<TFormat>())
                            {
                                h1a += Avx512BW.MultiplyAddAdjacent(highA, v);
                                h1b += Avx512BW.MultiplyAddAdjacent(highB, v);
                            }
                        }

                        if (TRows.Count > 2)
                        {
                            v = Vector512.Create(((int*)x)[TRows.Count + 2]).AsSByte();
                            l2a += Avx512BW.MultiplyAddAdjacent(oddA, v);
                            l2b += Avx512BW.MultiplyAddAdjacent(oddB, v);
                            if (!IsShort<TFormat>())
                            {
                                h2a += Avx512BW.MultiplyAddAdjacent(highA, v);
                                h2b += Avx512BW.MultiplyAddAdjacent(highB, v);
                            }
                        }

                        if (TRows.Count > 3)
                        {
                            v = Vector512.Create(((int*)x)[TRows.Count + 3]).AsSByte();
                            l3a += Avx512BW.MultiplyAddAdjacent(oddA, v);
                            l3b += Avx512BW.MultiplyAddAdjacent(oddB, v);
                            if (!IsShort<TFormat>())
                            {
                                h3a += Avx512BW.MultiplyAddAdjacent(highA, v);
                                h3b += Avx512BW.MultiplyAddAdjacent(highB, v);
                            }
                        }

                        if (TRows.Count > 4)
                        {
                            v = Vector512.Create(((int*)x)[TRows.Count + 4]).AsSByte();
                            l4a += Avx512BW.MultiplyAddAdjacent(oddA, v);
                            l4b += Avx512BW.MultiplyAddAdjacent(oddB, v);
                            if (!IsShort<TFormat>())
                            {
                                h4a += Avx512BW.MultiplyAddAdjacent(highA, v);
                                h4b += Avx512BW.MultiplyAddAdjacent(highB, v);
                            }
                        }

                        if (TRows.Count > 5)
                        {
                            v = Vector512.Create(((int*)x)[TRows.Count + 5]).AsSByte();
                            l5a += Avx512BW.MultiplyAddAdjacent(oddA, v);
                            l5b += Avx512BW.MultiplyAddAdjacent(oddB, v);
                            if (!IsShort<TFormat>())
                            {
                                h5a += Avx512BW.MultiplyAddAdjacent(highA, v);
                                h5b += Avx512BW.MultiplyAddAdjacent(highB, v);
                            }
                        }
                    }

                    Vector512<float> scaleA, scaleB, minimumA = default, minimumB = default;
                    if (prepared == null)
                    {
                        BlockTileVnni512.Scales<TFormat>(header, panel, half, 0, out scaleA, out minimumA);
                        BlockTileVnni512.Scales<TFormat>(header, panel, half, 2, out scaleB, out minimumB);
                    }
                    else
                    {
                        (scaleA, scaleB) = (Vector512.Load(prepared), Vector512.Load(prepared + 16));
                        if (TFormat.HasMinimum)
                            (minimumA, minimumB) = (Vector512.Load(prepared + 32), Vector512.Load(prepared + 48));
                        prepared += TFormat.HasMinimum ? 64 : 32;
                    }

                    float* scales = (float*)(own - half * 4 * TRows.Count), sums = (float*)(own + 12 * TRows.Count);
                    int* first = (int*)(own + 4 * TRows.Count);
                    Vector512<float> d;
                    d = Vector512.Create(scales[0]);
                    Add<TFormat>(c, Sum<TFormat>(l0a, h0a, first + 0), scaleA * d, minimumA, sums + 0);
                    Add<TFormat>(c + 16, Sum<TFormat>(l0b, h0b, first + 0), scaleB * d, minimumB, sums + 0);

                    if (TRows.Count > 1)
                    {
                        d = Vector512.Create(scales[1]);
                        Add<TFormat>(c + ldc, Sum<TFormat>(l1a, h1a, first + 1), scaleA * d, minimumA, sums + 1);
                        Add<TFormat>(c + ldc + 16, Sum<TFormat>(l1b, h1b, first + 1), scaleB * d, minimumB, sums + 1);
                    }

                    if (TRows.Count > 2)
                    {
                        d = Vector512.Create(scales[2]);
                        Add<TFormat>(c + 2 * ldc, Sum<TFormat>(l2a, h2a, first + 2), scaleA * d, minimumA, sums + 2);
                        Add<TFormat>(c + 2 * ldc + 16, Sum<TFormat>(l2b, h2b, first + 2), scaleB * d, minimumB, sums + 2);
                    }

                    if (TRows.Count > 3)
                    {
                        d = Vector512.Create(scales[3]);
                        Add<TFormat>(c + 3 * ldc, Sum<TFormat>(l3a, h3a, first + 3), scaleA * d, minimumA, sums + 3);
                        Add<TFormat>(c + 3 * ldc + 16, Sum<TFormat>(l3b, h3b, first + 3), scaleB * d, minimumB, sums + 3);
                    }

                    if (TRows.Count > 4)
                    {
                        d = Vector512.Create(scales[4]);
                        Add<TFormat>(c + 4 * ldc, Sum<TFormat>(l4a, h4a, first + 4), scaleA * d, minimumA, sums + 4);
                        Add<TFormat>(c + 4 * ldc + 16, Sum<TFormat>(l4b, h4b, first + 4), scaleB * d, minimumB, sums + 4);
                    }

                    if (TRows.Count > 5)
                    {
                        d = Vector512.Create(scales[5]);
                        Add<TFormat>(c + 5 * ldc, Sum<TFormat>(l5a, h5a, first + 5), scaleA * d, minimumA, sums + 5);
                        Add<TFormat>(c + 5 * ldc + 16, Sum<TFormat>(l5b, h5b, first + 5), scaleB * d, minimumB, sums + 5);
                    }
                }

                x += (BlockActivations.Bytes - 32) * TRows.Count;
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

    // Whether a scale's columns fit into one sum of 16 bits; a constant of the format.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsShort<TFormat>()
        where TFormat : struct, IBlockFormat => Avx2ShortDot.Holds(TFormat.MostCode, TFormat.Offset, TFormat.HasHalves ? 16 : 32);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<byte> Low(Vector512<byte> codes) => codes & Vector512.Create((byte)15);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<byte> High(Vector512<byte> codes) => Vector512.ShiftRightLogical(codes.AsUInt16(), 4).AsByte() & Vector512.Create((byte)15);

    // 16 rows from register on. Codes that fill their nibbles or bytes need no help of the format.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Codes<TFormat>(byte* codes, int pair, int register, out Vector512<byte> even, out Vector512<byte> odd)
        where TFormat : struct, IBlockFormat
    {
        if (TFormat.MostCode == 15)
        {
            Vector512<byte> both = Vector512.Load(codes + pair * 128 + register * 32);
            (even, odd) = (Low(both), High(both));
            return;
        }

        if (TFormat.BlockBytes - TFormat.CodesAt == BlockActivations.Columns * PackedMatrix.PanelRows)
        {
            byte* at = codes + pair * 256 + register * 32;
            (even, odd) = (Vector512.Load(at), Vector512.Load(at + 128));
            return;
        }

        TFormat.Codes(codes, pair, register, out Vector256<byte> lowerEven, out Vector256<byte> lowerOdd);
        TFormat.Codes(codes, pair, register + 1, out Vector256<byte> upperEven, out Vector256<byte> upperOdd);
        (even, odd) = (Vector512.Create(lowerEven, upperEven), Vector512.Create(lowerOdd, upperOdd));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<int> Sum<TFormat>(Vector512<short> low, Vector512<short> high, int* start)
        where TFormat : struct, IBlockFormat
    {
        Vector512<int> sum = Avx512BW.MultiplyAddAdjacent(low, Vector512<short>.One);
        if (IsShort<TFormat>())
            return sum; // It began with the start value.
        sum += Avx512BW.MultiplyAddAdjacent(high, Vector512.Create((short)16));
        return TFormat.Offset == 0 ? sum : sum + Vector512.Create(*start);
    }

    // The float sums stay in memory: the registers are for the integers.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add<TFormat>(float* c, Vector512<int> sum, Vector512<float> scale, Vector512<float> minimum, float* total)
        where TFormat : struct, IBlockFormat
    {
        Vector512<float> acc = Vector512.FusedMultiplyAdd(Vector512.ConvertToSingle(sum), scale, Vector512.Load(c));
        if (TFormat.HasMinimum)
            acc = Vector512.FusedMultiplyAdd(minimum, Vector512.Create(*total), acc);
        acc.Store(c);
    }
}
