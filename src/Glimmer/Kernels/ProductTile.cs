using System.Runtime.CompilerServices;

namespace Glimmer.Kernels;

/// <summary>Vectors side by side in a tile, as a type.</summary>
internal interface ITileVectors
{
    static abstract int Count { get; }
}

internal readonly struct Vectors1 : ITileVectors
{
    public static int Count => 1;
}

internal readonly struct Vectors2 : ITileVectors
{
    public static int Count => 2;
}

internal readonly struct Vectors4 : ITileVectors
{
    public static int Count => 4;
}

/// <summary>How the left factor of a tile lies in memory.</summary>
internal interface ILeftLayout
{
    /// <summary>False: the terms of a row are neighbours. True: the rows of a term are neighbours.</summary>
    static abstract bool Transposed { get; }
}

internal readonly struct RowsOfTerms : ILeftLayout
{
    public static bool Transposed => false;
}

internal readonly struct TermsOfRows : ILeftLayout
{
    public static bool Transposed => true;
}

/// <summary>Whether a tile prefetches.</summary>
internal interface IPrefetch
{
    static abstract bool Enabled { get; }
}

internal readonly struct NoPrefetch : IPrefetch
{
    public static bool Enabled => false;
}

internal readonly struct PrefetchAhead : IPrefetch
{
    public static bool Enabled => true;
}

/// <summary>The register tile of all attention products: up to six rows times a few vectors, one chain an output.</summary>
/// <remarks>
/// <c>c[r, n] = fma(a[r, k], b[k, n], c[r, n])</c> for k = 0, 1, 2 ... from +0, or from the value in memory when a chain goes on.
/// Row counts and vector counts are type parameters, so the branches on them vanish and every sum is a register.
/// </remarks>
internal static unsafe class ProductTile
{
    /// <summary>Rows of a full tile.</summary>
    public const int Rows = 6;

    /// <summary>Runs one tile of <paramref name="rows"/> (1 to 6) rows; see <see cref="Run"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Dispatch<I, V, U, A, P>(
        int rows, float* a, nint aStride, float* b, nint bStep, nint bOffset, nint terms, float* c, nint cStride, bool resume, nint ahead)
        where I : struct, IVectorIsa<V>
        where V : struct
        where U : struct, ITileVectors
        where A : struct, ILeftLayout
        where P : struct, IPrefetch
    {
        switch (rows)
        {
            case 1:
                Run<I, V, Rows1, U, A, P>(a, aStride, b, bStep, bOffset, terms, c, cStride, resume, ahead);
                break;
            case 2:
                Run<I, V, Rows2, U, A, P>(a, aStride, b, bStep, bOffset, terms, c, cStride, resume, ahead);
                break;
            case 3:
                Run<I, V, Rows3, U, A, P>(a, aStride, b, bStep, bOffset, terms, c, cStride, resume, ahead);
                break;
            case 4:
                Run<I, V, Rows4, U, A, P>(a, aStride, b, bStep, bOffset, terms, c, cStride, resume, ahead);
                break;
            case 5:
                Run<I, V, Rows5, U, A, P>(a, aStride, b, bStep, bOffset, terms, c, cStride, resume, ahead);
                break;
            default:
                Run<I, V, Rows6, U, A, P>(a, aStride, b, bStep, bOffset, terms, c, cStride, resume, ahead);
                break;
        }
    }

    /// <summary>One tile of <c>R</c> rows and <c>U</c> (1, 2 or 4) vectors.</summary>
    /// <param name="a">Left factor.</param>
    /// <param name="aStride">Floats from one row to the next, or from one term to the next when transposed.</param>
    /// <param name="b">Right factor: vector u of term k is at <c>b + k * bStep + u * bOffset</c>.</param>
    /// <param name="bStep">Floats from one term to the next.</param>
    /// <param name="bOffset">Floats from one vector to the next.</param>
    /// <param name="terms">Length of the chains.</param>
    /// <param name="c">Outputs: vector u of row r is at <c>c + r * cStride + u * Lanes</c>.</param>
    /// <param name="cStride">Floats from one row to the next.</param>
    /// <param name="resume">Whether the chains go on from the outputs in memory.</param>
    /// <param name="ahead">What to prefetch while reading <paramref name="b"/>: memory this many floats further.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void Run<I, V, R, U, A, P>(
        float* a, nint aStride, float* b, nint bStep, nint bOffset, nint terms, float* c, nint cStride, bool resume, nint ahead)
        where I : struct, IVectorIsa<V>
        where V : struct
        where R : struct, IRowCount
        where U : struct, ITileVectors
        where A : struct, ILeftLayout
        where P : struct, IPrefetch
    {
        V s00 = I.Zero, s01 = I.Zero, s02 = I.Zero, s03 = I.Zero;
        V s10 = I.Zero, s11 = I.Zero, s12 = I.Zero, s13 = I.Zero;
        V s20 = I.Zero, s21 = I.Zero, s22 = I.Zero, s23 = I.Zero;
        V s30 = I.Zero, s31 = I.Zero, s32 = I.Zero, s33 = I.Zero;
        V s40 = I.Zero, s41 = I.Zero, s42 = I.Zero, s43 = I.Zero;
        V s50 = I.Zero, s51 = I.Zero, s52 = I.Zero, s53 = I.Zero;
        if (resume)
        {
            float* row0 = c;
            s00 = I.Load(row0);
            if (U.Count > 1)
                s01 = I.Load(row0 + I.Lanes);
            if (U.Count > 2)
            {
                s02 = I.Load(row0 + 2 * I.Lanes);
                s03 = I.Load(row0 + 3 * I.Lanes);
            }

            if (R.Count > 1)
            {
                float* row1 = c + cStride;
                s10 = I.Load(row1);
                if (U.Count > 1)
                    s11 = I.Load(row1 + I.Lanes);
                if (U.Count > 2)
                {
                    s12 = I.Load(row1 + 2 * I.Lanes);
                    s13 = I.Load(row1 + 3 * I.Lanes);
                }
            }

            if (R.Count > 2)
            {
                float* row2 = c + 2 * cStride;
                s20 = I.Load(row2);
                if (U.Count > 1)
                    s21 = I.Load(row2 + I.Lanes);
                if (U.Count > 2)
                {
                    s22 = I.Load(row2 + 2 * I.Lanes);
                    s23 = I.Load(row2 + 3 * I.Lanes);
                }
            }

            if (R.Count > 3)
            {
                float* row3 = c + 3 * cStride;
                s30 = I.Load(row3);
                if (U.Count > 1)
                    s31 = I.Load(row3 + I.Lanes);
                if (U.Count > 2)
                {
                    s32 = I.Load(row3 + 2 * I.Lanes);
                    s33 = I.Load(row3 + 3 * I.Lanes);
                }
            }

            if (R.Count > 4)
            {
                float* row4 = c + 4 * cStride;
                s40 = I.Load(row4);
                if (U.Count > 1)
                    s41 = I.Load(row4 + I.Lanes);
                if (U.Count > 2)
                {
                    s42 = I.Load(row4 + 2 * I.Lanes);
                    s43 = I.Load(row4 + 3 * I.Lanes);
                }
            }

            if (R.Count > 5)
            {
                float* row5 = c + 5 * cStride;
                s50 = I.Load(row5);
                if (U.Count > 1)
                    s51 = I.Load(row5 + I.Lanes);
                if (U.Count > 2)
                {
                    s52 = I.Load(row5 + 2 * I.Lanes);
                    s53 = I.Load(row5 + 3 * I.Lanes);
                }
            }
        }

        float* a1 = a + aStride, a2 = a1 + aStride, a3 = a2 + aStride, a4 = a3 + aStride, a5 = a4 + aStride;
        float* b1 = b + bOffset, b2 = b1 + bOffset, b3 = b2 + bOffset;
        nint at = 0;
        for (nint k = 0; k < terms; k++)
        {
            V y0 = I.Load(b + at);
            V y1 = U.Count > 1 ? I.Load(b1 + at) : y0;
            V y2 = U.Count > 2 ? I.Load(b2 + at) : y0;
            V y3 = U.Count > 2 ? I.Load(b3 + at) : y0;
            if (P.Enabled)
            {
                I.Prefetch(b + at + ahead);
                if (U.Count > 2)
                {
                    I.Prefetch(b1 + at + ahead);
                    I.Prefetch(b2 + at + ahead);
                    I.Prefetch(b3 + at + ahead);
                }
            }

            at += bStep;

            {
                V x = I.Broadcast(A.Transposed ? a[0] : a[k]);
                s00 = I.Fma(x, y0, s00);
                if (U.Count > 1)
                    s01 = I.Fma(x, y1, s01);
                if (U.Count > 2)
                {
                    s02 = I.Fma(x, y2, s02);
                    s03 = I.Fma(x, y3, s03);
                }
            }

            if (R.Count > 1)
            {
                V x = I.Broadcast(A.Transposed ? a[1] : a1[k]);
                s10 = I.Fma(x, y0, s10);
                if (U.Count > 1)
                    s11 = I.Fma(x, y1, s11);
                if (U.Count > 2)
                {
                    s12 = I.Fma(x, y2, s12);
                    s13 = I.Fma(x, y3, s13);
                }
            }

            if (R.Count > 2)
            {
                V x = I.Broadcast(A.Transposed ? a[2] : a2[k]);
                s20 = I.Fma(x, y0, s20);
                if (U.Count > 1)
                    s21 = I.Fma(x, y1, s21);
                if (U.Count > 2)
                {
                    s22 = I.Fma(x, y2, s22);
                    s23 = I.Fma(x, y3, s23);
                }
            }

            if (R.Count > 3)
            {
                V x = I.Broadcast(A.Transposed ? a[3] : a3[k]);
                s30 = I.Fma(x, y0, s30);
                if (U.Count > 1)
                    s31 = I.Fma(x, y1, s31);
                if (U.Count > 2)
                {
                    s32 = I.Fma(x, y2, s32);
                    s33 = I.Fma(x, y3, s33);
                }
            }

            if (R.Count > 4)
            {
                V x = I.Broadcast(A.Transposed ? a[4] : a4[k]);
                s40 = I.Fma(x, y0, s40);
                if (U.Count > 1)
                    s41 = I.Fma(x, y1, s41);
                if (U.Count > 2)
                {
                    s42 = I.Fma(x, y2, s42);
                    s43 = I.Fma(x, y3, s43);
                }
            }

            if (R.Count > 5)
            {
                V x = I.Broadcast(A.Transposed ? a[5] : a5[k]);
                s50 = I.Fma(x, y0, s50);
                if (U.Count > 1)
                    s51 = I.Fma(x, y1, s51);
                if (U.Count > 2)
                {
                    s52 = I.Fma(x, y2, s52);
                    s53 = I.Fma(x, y3, s53);
                }
            }

            if (A.Transposed)
                a += aStride;
        }

        {
            float* row = c;
            I.Store(s00, row);
            if (U.Count > 1)
                I.Store(s01, row + I.Lanes);
            if (U.Count > 2)
            {
                I.Store(s02, row + 2 * I.Lanes);
                I.Store(s03, row + 3 * I.Lanes);
            }
        }

        if (R.Count > 1)
        {
            float* row = c + cStride;
            I.Store(s10, row);
            if (U.Count > 1)
                I.Store(s11, row + I.Lanes);
            if (U.Count > 2)
            {
                I.Store(s12, row + 2 * I.Lanes);
                I.Store(s13, row + 3 * I.Lanes);
            }
        }

        if (R.Count > 2)
        {
            float* row = c + 2 * cStride;
            I.Store(s20, row);
            if (U.Count > 1)
                I.Store(s21, row + I.Lanes);
            if (U.Count > 2)
            {
                I.Store(s22, row + 2 * I.Lanes);
                I.Store(s23, row + 3 * I.Lanes);
            }
        }

        if (R.Count > 3)
        {
            float* row = c + 3 * cStride;
            I.Store(s30, row);
            if (U.Count > 1)
                I.Store(s31, row + I.Lanes);
            if (U.Count > 2)
            {
                I.Store(s32, row + 2 * I.Lanes);
                I.Store(s33, row + 3 * I.Lanes);
            }
        }

        if (R.Count > 4)
        {
            float* row = c + 4 * cStride;
            I.Store(s40, row);
            if (U.Count > 1)
                I.Store(s41, row + I.Lanes);
            if (U.Count > 2)
            {
                I.Store(s42, row + 2 * I.Lanes);
                I.Store(s43, row + 3 * I.Lanes);
            }
        }

        if (R.Count > 5)
        {
            float* row = c + 5 * cStride;
            I.Store(s50, row);
            if (U.Count > 1)
                I.Store(s51, row + I.Lanes);
            if (U.Count > 2)
            {
                I.Store(s52, row + 2 * I.Lanes);
                I.Store(s53, row + 3 * I.Lanes);
            }
        }
    }
}
