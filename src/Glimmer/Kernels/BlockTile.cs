using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Glimmer.Kernels;

/// <summary>The register tile of integer products: 1 to 6 tokens times 16 rows of a packed panel.</summary>
/// <remarks>
/// Inside a block sums are exact 32-bit integers; scales and float sums follow <see cref="MatMul.BlockTwin"/>. Every token count computes the same chains. The number of
/// tokens is a type argument: the JIT drops the lines of absent tokens.
/// </remarks>
internal static unsafe class BlockTile
{
    /// <summary>Whole chains of a tile: <c>c[t, o] = block products in ascending order (+ bias[o])</c>.</summary>
    /// <param name="x">A tile of <see cref="BlockActivations"/>.</param>
    /// <param name="panel">The panel.</param>
    /// <param name="register">First of the two registers of 8 rows: 0 or 2.</param>
    /// <param name="columns">Columns, a whole number of blocks.</param>
    /// <param name="c">Results, <paramref name="ldc"/> floats apart.</param>
    /// <param name="ldc">Distance of the rows of <paramref name="c"/> in floats.</param>
    /// <param name="bias">Added to the finished sums, or null.</param>
    /// <param name="prepared">Scales as <see cref="BlockKernel.Prepare"/> writes them, or null to read them from the panel.</param>
    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    public static void Run<TRows, TFormat, TDot>(
        byte* x, byte* panel, int register, int columns, float* c, nint ldc, float* bias, float* prepared)
        where TRows : struct, IRowCount
        where TFormat : struct, IBlockFormat
        where TDot : struct, IBlockDot
    {
        Vector256<float> zero = default;
        zero.Store(c);
        zero.Store(c + 8);
        if (TRows.Count > 1)
        {
            zero.Store(c + ldc);
            zero.Store(c + ldc + 8);
        }

        if (TRows.Count > 2)
        {
            zero.Store(c + 2 * ldc);
            zero.Store(c + 2 * ldc + 8);
        }

        if (TRows.Count > 3)
        {
            zero.Store(c + 3 * ldc);
            zero.Store(c + 3 * ldc + 8);
        }

        if (TRows.Count > 4)
        {
            zero.Store(c + 4 * ldc);
            zero.Store(c + 4 * ldc + 8);
        }

        if (TRows.Count > 5)
        {
            zero.Store(c + 5 * ldc);
            zero.Store(c + 5 * ldc + 8);
        }

        bool bytes = TFormat.Offset == 128;
        int blocks = TFormat.HeaderBytes == 0 ? 1 : 8, pairs = TFormat.HasHalves ? 2 : 4;
        for (columns /= BlockActivations.Columns; columns > 0; columns -= blocks)
        {
            TFormat.Header(panel, register, out Vector256<float> headerA, out Vector256<float> lowerA);
            TFormat.Header(panel, register + 1, out Vector256<float> headerB, out Vector256<float> lowerB);
            panel += TFormat.HeaderBytes;
            for (int block = blocks; block > 0; block--, panel += TFormat.BlockBytes)
            {
                if (register == 0)
                    BlockPrefetch.Ahead(panel, TFormat.BlockBytes);
                byte* own = x + 32 * TRows.Count;
                for (int half = 0; half < 4 / pairs; half++, own += 4 * TRows.Count)
                {
                    Vector256<int> s0a = default, s0b = default;
                    Vector256<int> s1a = default, s1b = default;
                    Vector256<int> s2a = default, s2b = default;
                    Vector256<int> s3a = default, s3b = default;
                    Vector256<int> s4a = default, s4b = default;
                    Vector256<int> s5a = default, s5b = default;
                    if (TFormat.Offset != 0 && !(bytes && TDot.CentresBytes))
                    {
                        s0a = TDot.Begin(((int*)(own + 4 * TRows.Count))[0]);
                        s0b = s0a;
                        if (TRows.Count > 1)
                        {
                            s1a = TDot.Begin(((int*)(own + 4 * TRows.Count))[1]);
                            s1b = s1a;
                        }

                        if (TRows.Count > 2)
                        {
                            s2a = TDot.Begin(((int*)(own + 4 * TRows.Count))[2]);
                            s2b = s2a;
                        }

                        if (TRows.Count > 3)
                        {
                            s3a = TDot.Begin(((int*)(own + 4 * TRows.Count))[3]);
                            s3b = s3a;
                        }

                        if (TRows.Count > 4)
                        {
                            s4a = TDot.Begin(((int*)(own + 4 * TRows.Count))[4]);
                            s4b = s4a;
                        }

                        if (TRows.Count > 5)
                        {
                            s5a = TDot.Begin(((int*)(own + 4 * TRows.Count))[5]);
                            s5b = s5a;
                        }
                    }

                    for (int pair = half * pairs; pair < half * pairs + pairs; pair++, x += 8 * TRows.Count)
                    {
                        TFormat.Codes(panel + TFormat.CodesAt, pair, register, out Vector256<byte> evenA, out Vector256<byte> oddA);
                        TFormat.Codes(panel + TFormat.CodesAt, pair, register + 1, out Vector256<byte> evenB, out Vector256<byte> oddB);
                        Vector256<sbyte> v;
                        v = Vector256.Create(((int*)x)[0]).AsSByte();
                        s0a = TDot.Add(s0a, evenA, v, bytes);
                        s0b = TDot.Add(s0b, evenB, v, bytes);
                        if (TRows.Count > 1)
                        {
                            v = Vector256.Create(((int*)x)[1]).AsSByte();
                            s1a = TDot.Add(s1a, evenA, v, bytes);
                            s1b = TDot.Add(s1b, evenB, v, bytes);
                        }

                        if (TRows.Count > 2)
                        {
                            v = Vector256.Create(((int*)x)[2]).AsSByte();
                            s2a = TDot.Add(s2a, evenA, v, bytes);
                            s2b = TDot.Add(s2b, evenB, v, bytes);
                        }

                        if (TRows.Count > 3)
                        {
                            v = Vector256.Create(((int*)x)[3]).AsSByte();
                            s3a = TDot.Add(s3a, evenA, v, bytes);
                            s3b = TDot.Add(s3b, evenB, v, bytes);
                        }

                        if (TRows.Count > 4)
                        {
                            v = Vector256.Create(((int*)x)[4]).AsSByte();
                            s4a = TDot.Add(s4a, evenA, v, bytes);
                            s4b = TDot.Add(s4b, evenB, v, bytes);
                        }

                        if (TRows.Count > 5)
                        {
                            v = Vector256.Create(((int*)x)[5]).AsSByte();
                            s5a = TDot.Add(s5a, evenA, v, bytes);
                            s5b = TDot.Add(s5b, evenB, v, bytes);
                        }

                        v = Vector256.Create(((int*)x)[TRows.Count]).AsSByte();
                        s0a = TDot.Add(s0a, oddA, v, bytes);
                        s0b = TDot.Add(s0b, oddB, v, bytes);
                        if (TRows.Count > 1)
                        {
                            v = Vector256.Create(((int*)x)[TRows.Count + 1]).AsSByte();
                            s1a = TDot.Add(s1a, oddA, v, bytes);
                            s1b = TDot.Add(s1b, oddB, v, bytes);
                        }

                        if (TRows.Count > 2)
                        {
                            v = Vector256.Create(((int*)x)[TRows.Count + 2]).AsSByte();
                            s2a = TDot.Add(s2a, oddA, v, bytes);
                            s2b = TDot.Add(s2b, oddB, v, bytes);
                        }

                        if (TRows.Count > 3)
                        {
                            v = Vector256.Create(((int*)x)[TRows.Count + 3]).AsSByte();
                            s3a = TDot.Add(s3a, oddA, v, bytes);
                            s3b = TDot.Add(s3b, oddB, v, bytes);
                        }

                        if (TRows.Count > 4)
                        {
                            v = Vector256.Create(((int*)x)[TRows.Count + 4]).AsSByte();
                            s4a = TDot.Add(s4a, oddA, v, bytes);
                            s4b = TDot.Add(s4b, oddB, v, bytes);
                        }

                        if (TRows.Count > 5)
                        {
                            v = Vector256.Create(((int*)x)[TRows.Count + 5]).AsSByte();
                            s5a = TDot.Add(s5a, oddA, v, bytes);
                            s5b = TDot.Add(s5b, oddB, v, bytes);
                        }
                    }

                    Vector256<float> scaleA, scaleB, minimumA = default, minimumB = default;
                    if (prepared == null)
                    {
                        TFormat.Scales(panel, half, register, headerA, lowerA, out scaleA, out minimumA);
                        TFormat.Scales(panel, half, register + 1, headerB, lowerB, out scaleB, out minimumB);
                    }
                    else
                    {
                        scaleA = Vector256.Load(prepared + 8 * register);
                        scaleB = Vector256.Load(prepared + 8 * register + 8);
                        if (TFormat.HasMinimum)
                        {
                            minimumA = Vector256.Load(prepared + 32 + 8 * register);
                            minimumB = Vector256.Load(prepared + 40 + 8 * register);
                        }

                        prepared += TFormat.HasMinimum ? 64 : 32;
                    }

                    float* scales = (float*)(own - half * 4 * TRows.Count), sums = (float*)(own + 12 * TRows.Count);
                    Vector256<float> d;
                    d = Vector256.Create(scales[0]);
                    Add<TFormat>(c, TDot.Finish(s0a), scaleA * d, minimumA, sums[0]);
                    Add<TFormat>(c + 8, TDot.Finish(s0b), scaleB * d, minimumB, sums[0]);
                    if (TRows.Count > 1)
                    {
                        d = Vector256.Create(scales[1]);
                        Add<TFormat>(c + ldc, TDot.Finish(s1a), scaleA * d, minimumA, sums[1]);
                        Add<TFormat>(c + ldc + 8, TDot.Finish(s1b), scaleB * d, minimumB, sums[1]);
                    }

                    if (TRows.Count > 2)
                    {
                        d = Vector256.Create(scales[2]);
                        Add<TFormat>(c + 2 * ldc, TDot.Finish(s2a), scaleA * d, minimumA, sums[2]);
                        Add<TFormat>(c + 2 * ldc + 8, TDot.Finish(s2b), scaleB * d, minimumB, sums[2]);
                    }

                    if (TRows.Count > 3)
                    {
                        d = Vector256.Create(scales[3]);
                        Add<TFormat>(c + 3 * ldc, TDot.Finish(s3a), scaleA * d, minimumA, sums[3]);
                        Add<TFormat>(c + 3 * ldc + 8, TDot.Finish(s3b), scaleB * d, minimumB, sums[3]);
                    }

                    if (TRows.Count > 4)
                    {
                        d = Vector256.Create(scales[4]);
                        Add<TFormat>(c + 4 * ldc, TDot.Finish(s4a), scaleA * d, minimumA, sums[4]);
                        Add<TFormat>(c + 4 * ldc + 8, TDot.Finish(s4b), scaleB * d, minimumB, sums[4]);
                    }

                    if (TRows.Count > 5)
                    {
                        d = Vector256.Create(scales[5]);
                        Add<TFormat>(c + 5 * ldc, TDot.Finish(s5a), scaleA * d, minimumA, sums[5]);
                        Add<TFormat>(c + 5 * ldc + 8, TDot.Finish(s5b), scaleB * d, minimumB, sums[5]);
                    }
                }

                x += (BlockActivations.Bytes - 32) * TRows.Count;
            }
        }

        if (bias == null)
            return;
        for (int t = 0; t < TRows.Count; t++, c += ldc)
        {
            (Vector256.Load(c) + Vector256.Load(bias)).Store(c);
            (Vector256.Load(c + 8) + Vector256.Load(bias + 8)).Store(c + 8);
        }
    }

    // The float sums stay in memory, so that the integer sums have the first 16 registers, the only ones that AVX-VNNI can name.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add<TFormat>(float* c, Vector256<int> sum, Vector256<float> scale, Vector256<float> minimum, float total)
        where TFormat : struct, IBlockFormat
    {
        Vector256<float> acc = Vector256.FusedMultiplyAdd(Vector256.ConvertToSingle(sum), scale, Vector256.Load(c));
        if (TFormat.HasMinimum)
            acc = Vector256.FusedMultiplyAdd(minimum, Vector256.Create(total), acc);
        acc.Store(c);
    }
}
