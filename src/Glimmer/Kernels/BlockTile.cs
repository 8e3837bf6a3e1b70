using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Glimmer.Quantization;

namespace Glimmer.Kernels;

/// <summary>The register tile of integer products: 1 to 6 tokens times 16 rows of a packed panel.</summary>
/// <remarks>
/// Inside a block sums are exact 32-bit integers; scales and float sums follow <see cref="MatMul.BlockTwin"/>. Every token count computes the same chains. The number of
/// tokens is a type argument: the JIT drops the lines of absent tokens.
/// </remarks>
internal static unsafe class BlockTile
{
    // Bytes ahead at which weights are fetched.
    private const int PrefetchDistance = 8192;

    /// <summary>Whole chains of a tile: <c>c[t, o] = block products in ascending order (+ bias[o])</c>.</summary>
    /// <param name="x">A tile of <see cref="BlockActivations"/>.</param>
    /// <param name="panel">The panel.</param>
    /// <param name="register">First of the two registers of 8 rows: 0 or 2.</param>
    /// <param name="columns">Columns, a whole number of blocks.</param>
    /// <param name="c">Results, <paramref name="ldc"/> floats apart.</param>
    /// <param name="ldc">Distance of the rows of <paramref name="c"/> in floats.</param>
    /// <param name="bias">Added to the finished sums, or null.</param>
    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    public static void Run<TRows, TFormat, TDot>(byte* x, byte* panel, int register, int columns, float* c, nint ldc, float* bias)
        where TRows : struct, IRowCount
        where TFormat : struct, IBlockFormat
        where TDot : struct, IBlockDot
    {
        Vector256<float> c0a = default, c0b = default;
        Vector256<float> c1a = default, c1b = default;
        Vector256<float> c2a = default, c2b = default;
        Vector256<float> c3a = default, c3b = default;
        Vector256<float> c4a = default, c4b = default;
        Vector256<float> c5a = default, c5b = default;
        bool bytes = TFormat.Offset == 128;
        int blocks = TFormat.HeaderBytes == 0 ? 1 : 8, pairs = TFormat.HasHalves ? 2 : 4;
        for (columns /= BlockActivations.Columns; columns > 0; columns -= blocks)
        {
            TFormat.Header(panel, register, out Vector256<float> headerA, out Vector256<float> lowerA);
            TFormat.Header(panel, register + 1, out Vector256<float> headerB, out Vector256<float> lowerB);
            panel += TFormat.HeaderBytes;
            for (int block = blocks; block > 0; block--, panel += TFormat.BlockBytes)
            {
                if (Sse.IsSupported && register == 0)
                {
                    for (int line = 0; line < TFormat.BlockBytes; line += 64)
                        Sse.Prefetch0(panel + PrefetchDistance + line);
                }

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
                        s0a = Vector256.Create(((int*)(own + 4 * TRows.Count))[0]);
                        s0b = s0a;
                        if (TRows.Count > 1)
                        {
                            s1a = Vector256.Create(((int*)(own + 4 * TRows.Count))[1]);
                            s1b = s1a;
                        }

                        if (TRows.Count > 2)
                        {
                            s2a = Vector256.Create(((int*)(own + 4 * TRows.Count))[2]);
                            s2b = s2a;
                        }

                        if (TRows.Count > 3)
                        {
                            s3a = Vector256.Create(((int*)(own + 4 * TRows.Count))[3]);
                            s3b = s3a;
                        }

                        if (TRows.Count > 4)
                        {
                            s4a = Vector256.Create(((int*)(own + 4 * TRows.Count))[4]);
                            s4b = s4a;
                        }

                        if (TRows.Count > 5)
                        {
                            s5a = Vector256.Create(((int*)(own + 4 * TRows.Count))[5]);
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

                    TFormat.Scales(panel, half, register, headerA, lowerA, out Vector256<float> scaleA, out Vector256<float> minimumA);
                    TFormat.Scales(panel, half, register + 1, headerB, lowerB, out Vector256<float> scaleB, out Vector256<float> minimumB);
                    Vector256<float> d;
                    d = Vector256.Create(((float*)(own - half * 4 * TRows.Count))[0]);
                    c0a = Vector256.FusedMultiplyAdd(Vector256.ConvertToSingle(s0a), scaleA * d, c0a);
                    c0b = Vector256.FusedMultiplyAdd(Vector256.ConvertToSingle(s0b), scaleB * d, c0b);
                    if (TRows.Count > 1)
                    {
                        d = Vector256.Create(((float*)(own - half * 4 * TRows.Count))[1]);
                        c1a = Vector256.FusedMultiplyAdd(Vector256.ConvertToSingle(s1a), scaleA * d, c1a);
                        c1b = Vector256.FusedMultiplyAdd(Vector256.ConvertToSingle(s1b), scaleB * d, c1b);
                    }

                    if (TRows.Count > 2)
                    {
                        d = Vector256.Create(((float*)(own - half * 4 * TRows.Count))[2]);
                        c2a = Vector256.FusedMultiplyAdd(Vector256.ConvertToSingle(s2a), scaleA * d, c2a);
                        c2b = Vector256.FusedMultiplyAdd(Vector256.ConvertToSingle(s2b), scaleB * d, c2b);
                    }

                    if (TRows.Count > 3)
                    {
                        d = Vector256.Create(((float*)(own - half * 4 * TRows.Count))[3]);
                        c3a = Vector256.FusedMultiplyAdd(Vector256.ConvertToSingle(s3a), scaleA * d, c3a);
                        c3b = Vector256.FusedMultiplyAdd(Vector256.ConvertToSingle(s3b), scaleB * d, c3b);
                    }

                    if (TRows.Count > 4)
                    {
                        d = Vector256.Create(((float*)(own - half * 4 * TRows.Count))[4]);
                        c4a = Vector256.FusedMultiplyAdd(Vector256.ConvertToSingle(s4a), scaleA * d, c4a);
                        c4b = Vector256.FusedMultiplyAdd(Vector256.ConvertToSingle(s4b), scaleB * d, c4b);
                    }

                    if (TRows.Count > 5)
                    {
                        d = Vector256.Create(((float*)(own - half * 4 * TRows.Count))[5]);
                        c5a = Vector256.FusedMultiplyAdd(Vector256.ConvertToSingle(s5a), scaleA * d, c5a);
                        c5b = Vector256.FusedMultiplyAdd(Vector256.ConvertToSingle(s5b), scaleB * d, c5b);
                    }

                    if (TFormat.HasMinimum)
                    {
                        Vector256<float> sum;
                        d = Vector256.Create(((float*)(own - half * 4 * TRows.Count))[0]);
                        sum = Vector256.Create(((float*)(own + 12 * TRows.Count))[0]);
                        c0a = Vector256.FusedMultiplyAdd(sum, minimumA * d, c0a);
                        c0b = Vector256.FusedMultiplyAdd(sum, minimumB * d, c0b);
                        if (TRows.Count > 1)
                        {
                            d = Vector256.Create(((float*)(own - half * 4 * TRows.Count))[1]);
                            sum = Vector256.Create(((float*)(own + 12 * TRows.Count))[1]);
                            c1a = Vector256.FusedMultiplyAdd(sum, minimumA * d, c1a);
                            c1b = Vector256.FusedMultiplyAdd(sum, minimumB * d, c1b);
                        }

                        if (TRows.Count > 2)
                        {
                            d = Vector256.Create(((float*)(own - half * 4 * TRows.Count))[2]);
                            sum = Vector256.Create(((float*)(own + 12 * TRows.Count))[2]);
                            c2a = Vector256.FusedMultiplyAdd(sum, minimumA * d, c2a);
                            c2b = Vector256.FusedMultiplyAdd(sum, minimumB * d, c2b);
                        }

                        if (TRows.Count > 3)
                        {
                            d = Vector256.Create(((float*)(own - half * 4 * TRows.Count))[3]);
                            sum = Vector256.Create(((float*)(own + 12 * TRows.Count))[3]);
                            c3a = Vector256.FusedMultiplyAdd(sum, minimumA * d, c3a);
                            c3b = Vector256.FusedMultiplyAdd(sum, minimumB * d, c3b);
                        }

                        if (TRows.Count > 4)
                        {
                            d = Vector256.Create(((float*)(own - half * 4 * TRows.Count))[4]);
                            sum = Vector256.Create(((float*)(own + 12 * TRows.Count))[4]);
                            c4a = Vector256.FusedMultiplyAdd(sum, minimumA * d, c4a);
                            c4b = Vector256.FusedMultiplyAdd(sum, minimumB * d, c4b);
                        }

                        if (TRows.Count > 5)
                        {
                            d = Vector256.Create(((float*)(own - half * 4 * TRows.Count))[5]);
                            sum = Vector256.Create(((float*)(own + 12 * TRows.Count))[5]);
                            c5a = Vector256.FusedMultiplyAdd(sum, minimumA * d, c5a);
                            c5b = Vector256.FusedMultiplyAdd(sum, minimumB * d, c5b);
                        }
                    }
                }

                x += (BlockActivations.Bytes - 32) * TRows.Count;
            }
        }

        if (bias != null)
        {
            Vector256<float> biasA = Vector256.Load(bias), biasB = Vector256.Load(bias + 8);
            c0a += biasA;
            c0b += biasB;
            if (TRows.Count > 1)
            {
                c1a += biasA;
                c1b += biasB;
            }

            if (TRows.Count > 2)
            {
                c2a += biasA;
                c2b += biasB;
            }

            if (TRows.Count > 3)
            {
                c3a += biasA;
                c3b += biasB;
            }

            if (TRows.Count > 4)
            {
                c4a += biasA;
                c4b += biasB;
            }

            if (TRows.Count > 5)
            {
                c5a += biasA;
                c5b += biasB;
            }
        }

        c0a.Store(c);
        c0b.Store(c + 8);
        if (TRows.Count > 1)
        {
            c1a.Store(c + ldc);
            c1b.Store(c + ldc + 8);
        }

        if (TRows.Count > 2)
        {
            c2a.Store(c + 2 * ldc);
            c2b.Store(c + 2 * ldc + 8);
        }

        if (TRows.Count > 3)
        {
            c3a.Store(c + 3 * ldc);
            c3b.Store(c + 3 * ldc + 8);
        }

        if (TRows.Count > 4)
        {
            c4a.Store(c + 4 * ldc);
            c4b.Store(c + 4 * ldc + 8);
        }

        if (TRows.Count > 5)
        {
            c5a.Store(c + 5 * ldc);
            c5b.Store(c + 5 * ldc + 8);
        }
    }
}
