using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Glimmer.Kernels;

/// <summary>The tile of <see cref="BlockTile"/> for few tokens, which wait for memory: 1 to 3 tokens times all 32 rows of a panel, one stream of weights.</summary>
internal static unsafe class BlockWideTile
{
    /// <summary>Whole chains of a tile: <c>c[t, o] = block products in ascending order (+ bias[o])</c>.</summary>
    /// <param name="x">A tile of <see cref="BlockActivations"/>.</param>
    /// <param name="panel">The panel.</param>
    /// <param name="columns">Columns, a whole number of blocks.</param>
    /// <param name="c">Results, <paramref name="ldc"/> floats apart.</param>
    /// <param name="ldc">Distance of the rows of <paramref name="c"/> in floats.</param>
    /// <param name="bias">Added to the finished sums, or null.</param>
    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    public static void Run<TRows, TFormat, TDot>(byte* x, byte* panel, int columns, float* c, nint ldc, float* bias)
        where TRows : struct, IRowCount
        where TFormat : struct, IBlockFormat
        where TDot : struct, IBlockDot
    {
        const int register = 0;
        Vector256<float> c0a = default, c0b = default, c0c = default, c0d = default;
        Vector256<float> c1a = default, c1b = default, c1c = default, c1d = default;
        Vector256<float> c2a = default, c2b = default, c2c = default, c2d = default;
        bool bytes = TFormat.Offset == 128;
        int blocks = TFormat.HeaderBytes == 0 ? 1 : 8, pairs = TFormat.HasHalves ? 2 : 4;
        for (columns /= BlockActivations.Columns; columns > 0; columns -= blocks)
        {
            TFormat.Header(panel, register, out Vector256<float> headerA, out Vector256<float> lowerA);
            TFormat.Header(panel, register + 1, out Vector256<float> headerB, out Vector256<float> lowerB);
            TFormat.Header(panel, register + 2, out Vector256<float> headerC, out Vector256<float> lowerC);
            TFormat.Header(panel, register + 3, out Vector256<float> headerD, out Vector256<float> lowerD);
            panel += TFormat.HeaderBytes;
            for (int block = blocks; block > 0; block--, panel += TFormat.BlockBytes)
            {
                BlockPrefetch.Ahead(panel, TFormat.BlockBytes);
                byte* own = x + 32 * TRows.Count;
                for (int half = 0; half < 4 / pairs; half++, own += 4 * TRows.Count)
                {
                    Vector256<int> s0a = default, s0b = default, s0c = default, s0d = default;
                    Vector256<int> s1a = default, s1b = default, s1c = default, s1d = default;
                    Vector256<int> s2a = default, s2b = default, s2c = default, s2d = default;
                    if (TFormat.Offset != 0 && !(bytes && TDot.CentresBytes))
                    {
                        s0a = TDot.Begin(((int*)(own + 4 * TRows.Count))[0]);
                        s0b = s0a;
                        s0c = s0a;
                        s0d = s0a;
                        if (TRows.Count > 1)
                        {
                            s1a = TDot.Begin(((int*)(own + 4 * TRows.Count))[1]);
                            s1b = s1a;
                            s1c = s1a;
                            s1d = s1a;
                        }

                        if (TRows.Count > 2)
                        {
                            s2a = TDot.Begin(((int*)(own + 4 * TRows.Count))[2]);
                            s2b = s2a;
                            s2c = s2a;
                            s2d = s2a;
                        }
                    }

                    for (int pair = half * pairs; pair < half * pairs + pairs; pair++, x += 8 * TRows.Count)
                    {
                        TFormat.Codes(panel + TFormat.CodesAt, pair, register, out Vector256<byte> evenA, out Vector256<byte> oddA);
                        TFormat.Codes(panel + TFormat.CodesAt, pair, register + 1, out Vector256<byte> evenB, out Vector256<byte> oddB);
                        TFormat.Codes(panel + TFormat.CodesAt, pair, register + 2, out Vector256<byte> evenC, out Vector256<byte> oddC);
                        TFormat.Codes(panel + TFormat.CodesAt, pair, register + 3, out Vector256<byte> evenD, out Vector256<byte> oddD);
                        Vector256<sbyte> v;
                        v = Vector256.Create(((int*)x)[0]).AsSByte();
                        s0a = TDot.Add(s0a, evenA, v, bytes);
                        s0b = TDot.Add(s0b, evenB, v, bytes);
                        s0c = TDot.Add(s0c, evenC, v, bytes);
                        s0d = TDot.Add(s0d, evenD, v, bytes);
                        if (TRows.Count > 1)
                        {
                            v = Vector256.Create(((int*)x)[1]).AsSByte();
                            s1a = TDot.Add(s1a, evenA, v, bytes);
                            s1b = TDot.Add(s1b, evenB, v, bytes);
                            s1c = TDot.Add(s1c, evenC, v, bytes);
                            s1d = TDot.Add(s1d, evenD, v, bytes);
                        }

                        if (TRows.Count > 2)
                        {
                            v = Vector256.Create(((int*)x)[2]).AsSByte();
                            s2a = TDot.Add(s2a, evenA, v, bytes);
                            s2b = TDot.Add(s2b, evenB, v, bytes);
                            s2c = TDot.Add(s2c, evenC, v, bytes);
                            s2d = TDot.Add(s2d, evenD, v, bytes);
                        }

                        v = Vector256.Create(((int*)x)[TRows.Count]).AsSByte();
                        s0a = TDot.Add(s0a, oddA, v, bytes);
                        s0b = TDot.Add(s0b, oddB, v, bytes);
                        s0c = TDot.Add(s0c, oddC, v, bytes);
                        s0d = TDot.Add(s0d, oddD, v, bytes);
                        if (TRows.Count > 1)
                        {
                            v = Vector256.Create(((int*)x)[TRows.Count + 1]).AsSByte();
                            s1a = TDot.Add(s1a, oddA, v, bytes);
                            s1b = TDot.Add(s1b, oddB, v, bytes);
                            s1c = TDot.Add(s1c, oddC, v, bytes);
                            s1d = TDot.Add(s1d, oddD, v, bytes);
                        }

                        if (TRows.Count > 2)
                        {
                            v = Vector256.Create(((int*)x)[TRows.Count + 2]).AsSByte();
                            s2a = TDot.Add(s2a, oddA, v, bytes);
                            s2b = TDot.Add(s2b, oddB, v, bytes);
                            s2c = TDot.Add(s2c, oddC, v, bytes);
                            s2d = TDot.Add(s2d, oddD, v, bytes);
                        }
                    }

                    TFormat.Scales(panel, half, register, headerA, lowerA, out Vector256<float> scaleA, out Vector256<float> minimumA);
                    TFormat.Scales(panel, half, register + 1, headerB, lowerB, out Vector256<float> scaleB, out Vector256<float> minimumB);
                    TFormat.Scales(panel, half, register + 2, headerC, lowerC, out Vector256<float> scaleC, out Vector256<float> minimumC);
                    TFormat.Scales(panel, half, register + 3, headerD, lowerD, out Vector256<float> scaleD, out Vector256<float> minimumD);
                    float* scales = (float*)(own - half * 4 * TRows.Count), sums = (float*)(own + 12 * TRows.Count);
                    Vector256<float> d;
                    d = Vector256.Create(scales[0]);
                    c0a = Vector256.FusedMultiplyAdd(Vector256.ConvertToSingle(TDot.Finish(s0a)), scaleA * d, c0a);
                    c0b = Vector256.FusedMultiplyAdd(Vector256.ConvertToSingle(TDot.Finish(s0b)), scaleB * d, c0b);
                    c0c = Vector256.FusedMultiplyAdd(Vector256.ConvertToSingle(TDot.Finish(s0c)), scaleC * d, c0c);
                    c0d = Vector256.FusedMultiplyAdd(Vector256.ConvertToSingle(TDot.Finish(s0d)), scaleD * d, c0d);
                    if (TRows.Count > 1)
                    {
                        d = Vector256.Create(scales[1]);
                        c1a = Vector256.FusedMultiplyAdd(Vector256.ConvertToSingle(TDot.Finish(s1a)), scaleA * d, c1a);
                        c1b = Vector256.FusedMultiplyAdd(Vector256.ConvertToSingle(TDot.Finish(s1b)), scaleB * d, c1b);
                        c1c = Vector256.FusedMultiplyAdd(Vector256.ConvertToSingle(TDot.Finish(s1c)), scaleC * d, c1c);
                        c1d = Vector256.FusedMultiplyAdd(Vector256.ConvertToSingle(TDot.Finish(s1d)), scaleD * d, c1d);
                    }

                    if (TRows.Count > 2)
                    {
                        d = Vector256.Create(scales[2]);
                        c2a = Vector256.FusedMultiplyAdd(Vector256.ConvertToSingle(TDot.Finish(s2a)), scaleA * d, c2a);
                        c2b = Vector256.FusedMultiplyAdd(Vector256.ConvertToSingle(TDot.Finish(s2b)), scaleB * d, c2b);
                        c2c = Vector256.FusedMultiplyAdd(Vector256.ConvertToSingle(TDot.Finish(s2c)), scaleC * d, c2c);
                        c2d = Vector256.FusedMultiplyAdd(Vector256.ConvertToSingle(TDot.Finish(s2d)), scaleD * d, c2d);
                    }

                    if (TFormat.HasMinimum)
                    {
                        Vector256<float> sum;
                        sum = Vector256.Create(sums[0]);
                        c0a = Vector256.FusedMultiplyAdd(minimumA, sum, c0a);
                        c0b = Vector256.FusedMultiplyAdd(minimumB, sum, c0b);
                        c0c = Vector256.FusedMultiplyAdd(minimumC, sum, c0c);
                        c0d = Vector256.FusedMultiplyAdd(minimumD, sum, c0d);
                        if (TRows.Count > 1)
                        {
                            sum = Vector256.Create(sums[1]);
                            c1a = Vector256.FusedMultiplyAdd(minimumA, sum, c1a);
                            c1b = Vector256.FusedMultiplyAdd(minimumB, sum, c1b);
                            c1c = Vector256.FusedMultiplyAdd(minimumC, sum, c1c);
                            c1d = Vector256.FusedMultiplyAdd(minimumD, sum, c1d);
                        }

                        if (TRows.Count > 2)
                        {
                            sum = Vector256.Create(sums[2]);
                            c2a = Vector256.FusedMultiplyAdd(minimumA, sum, c2a);
                            c2b = Vector256.FusedMultiplyAdd(minimumB, sum, c2b);
                            c2c = Vector256.FusedMultiplyAdd(minimumC, sum, c2c);
                            c2d = Vector256.FusedMultiplyAdd(minimumD, sum, c2d);
                        }
                    }
                }

                x += (BlockActivations.Bytes - 32) * TRows.Count;
            }
        }

        if (bias != null)
        {
            Vector256<float> biasA = Vector256.Load(bias), biasB = Vector256.Load(bias + 8), biasC = Vector256.Load(bias + 16), biasD = Vector256.Load(bias + 24);
            c0a += biasA;
            c0b += biasB;
            c0c += biasC;
            c0d += biasD;
            if (TRows.Count > 1)
            {
                c1a += biasA;
                c1b += biasB;
                c1c += biasC;
                c1d += biasD;
            }

            if (TRows.Count > 2)
            {
                c2a += biasA;
                c2b += biasB;
                c2c += biasC;
                c2d += biasD;
            }
        }

        c0a.Store(c);
        c0b.Store(c + 8);
        c0c.Store(c + 16);
        c0d.Store(c + 24);
        if (TRows.Count > 1)
        {
            c1a.Store(c + ldc);
            c1b.Store(c + ldc + 8);
            c1c.Store(c + ldc + 16);
            c1d.Store(c + ldc + 24);
        }

        if (TRows.Count > 2)
        {
            c2a.Store(c + 2 * ldc);
            c2b.Store(c + 2 * ldc + 8);
            c2c.Store(c + 2 * ldc + 16);
            c2d.Store(c + 2 * ldc + 24);
        }
    }
}
