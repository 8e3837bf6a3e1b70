using System.Runtime.CompilerServices;

namespace Glimmer.Kernels;

/// <summary>The two matrix products of attention on one instruction set: rows against keys that lie 16 side by side, and rows against rows.</summary>
internal static unsafe class AttentionProducts<I, V>
    where I : struct, IVectorIsa<V>
    where V : struct
{
    /// <summary><c>c[r, n] = a[r] . key n</c>, one chain along the dimension from +0, for whole groups of 16 keys.</summary>
    /// <param name="a">Rows, <paramref name="dim"/> long.</param>
    /// <param name="aStride">Floats from one row to the next.</param>
    /// <param name="rows">Number of rows.</param>
    /// <param name="keys">Keys, [groups][dim][16].</param>
    /// <param name="dim">Length of a key.</param>
    /// <param name="groups">Groups of keys, 1 to 4.</param>
    /// <param name="c">Receives the products, 16 * <paramref name="groups"/> a row.</param>
    /// <param name="cStride">Floats from one row to the next.</param>
    /// <param name="next">What will be read next in the same shape, to be prefetched with 512-bit registers; null for nothing.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void AgainstLanes(float* a, nint aStride, int rows, float* keys, int dim, int groups, float* c, nint cStride, float* next = null)
    {
        const int Lanes = KeyValueLayout.Lanes;
        nint groupFloats = (nint)dim * Lanes;
        for (int r = 0; r < rows; r += ProductTile.Rows)
        {
            int count = Math.Min(ProductTile.Rows, rows - r);
            float* left = a + r * aStride;
            float* target = c + r * cStride;
            if (I.Lanes == Lanes && groups == 4)
            {
                if (r == 0 && next != null)
                    ProductTile.Dispatch<I, V, Vectors4, RowsOfTerms, PrefetchAhead>(
                        count, left, aStride, keys, Lanes, groupFloats, dim, target, cStride, false, (nint)(next - keys));
                else
                    ProductTile.Dispatch<I, V, Vectors4, RowsOfTerms, NoPrefetch>(
                        count, left, aStride, keys, Lanes, groupFloats, dim, target, cStride, false, 0);
                continue;
            }

            for (int group = 0; group < groups; group++)
            {
                float* right = keys + group * groupFloats;
                if (I.Lanes == Lanes)
                {
                    ProductTile.Dispatch<I, V, Vectors1, RowsOfTerms, NoPrefetch>(
                        count, left, aStride, right, Lanes, 0, dim, target + group * Lanes, cStride, false, 0);
                    continue;
                }

                for (int lane = 0; lane < Lanes; lane += 2 * I.Lanes)
                    ProductTile.Dispatch<I, V, Vectors2, RowsOfTerms, NoPrefetch>(
                        count, left, aStride, right + lane, Lanes, I.Lanes, dim, target + group * Lanes + lane, cStride, false, 0);
            }
        }
    }

    /// <summary><c>c[r, n] = fma(a[r, k], b[k, n], c[r, n])</c> for k ascending.</summary>
    /// <typeparam name="A">How <paramref name="a"/> lies.</typeparam>
    /// <param name="a">Left factor.</param>
    /// <param name="aStride">Floats from one row to the next, or from one term to the next when transposed.</param>
    /// <param name="rows">Number of rows.</param>
    /// <param name="b">Right factor, row k at <c>b + k * bStep</c>.</param>
    /// <param name="bStep">Floats from one term to the next.</param>
    /// <param name="terms">Length of the chains.</param>
    /// <param name="c">Outputs.</param>
    /// <param name="cStride">Floats from one row to the next.</param>
    /// <param name="columns">Columns.</param>
    /// <param name="resume">Whether the chains go on from the outputs in memory; otherwise they start at +0.</param>
    /// <param name="next">What will be read next in the same shape, to be prefetched with 512-bit registers; null for nothing.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void AgainstRows<A>(
        float* a, nint aStride, int rows, float* b, nint bStep, nint terms, float* c, nint cStride, int columns, bool resume, float* next = null)
        where A : struct, ILeftLayout
    {
        for (int r = 0; r < rows; r += ProductTile.Rows)
        {
            bool prefetch = r == 0 && next != null;
            int count = Math.Min(ProductTile.Rows, rows - r);
            float* left = A.Transposed ? a + r : a + r * aStride;
            float* target = c + r * cStride;
            int n = 0;
            if (I.TileVectors == 4)
            {
                for (; n + 4 * I.Lanes <= columns; n += 4 * I.Lanes)
                {
                    if (prefetch)
                        ProductTile.Dispatch<I, V, Vectors4, A, PrefetchAhead>(
                            count, left, aStride, b + n, bStep, I.Lanes, terms, target + n, cStride, resume, (nint)(next - b));
                    else
                        ProductTile.Dispatch<I, V, Vectors4, A, NoPrefetch>(count, left, aStride, b + n, bStep, I.Lanes, terms, target + n, cStride, resume, 0);
                }
            }
            else
            {
                for (; n + 2 * I.Lanes <= columns; n += 2 * I.Lanes)
                    ProductTile.Dispatch<I, V, Vectors2, A, NoPrefetch>(count, left, aStride, b + n, bStep, I.Lanes, terms, target + n, cStride, resume, 0);
            }

            for (; n + I.Lanes <= columns; n += I.Lanes)
                ProductTile.Dispatch<I, V, Vectors1, A, NoPrefetch>(count, left, aStride, b + n, bStep, 0, terms, target + n, cStride, resume, 0);
            if (n < columns)
                TailColumns<A>(left, aStride, count, b + n, bStep, terms, target + n, cStride, columns - n, resume);
        }
    }

    /// <summary>
    /// <see cref="AgainstRows"/> for rows of weights that see different numbers of keys: <c>o[r] = fma(w[r, k], v[k], o[r])</c> for the keys a row sees.
    /// </summary>
    /// <param name="weights">Weights of the keys of a chunk.</param>
    /// <param name="stride">Floats from one row of weights to the next.</param>
    /// <param name="rows">Number of rows.</param>
    /// <param name="visible">Keys of the whole sequence that each row sees; not falling, and the first sees more than <paramref name="start"/>.</param>
    /// <param name="start">First key of the chunk.</param>
    /// <param name="length">Keys of the chunk at most.</param>
    /// <param name="values">Values of the chunk.</param>
    /// <param name="valueStride">Floats from one value to the next.</param>
    /// <param name="o">Outputs, <paramref name="dim"/> a row.</param>
    /// <param name="dim">Width of a value.</param>
    /// <param name="resume">Whether the chains go on from the outputs in memory; otherwise they start at +0.</param>
    /// <param name="next">What will be read next in the same shape, to be prefetched with 512-bit registers; null for nothing.</param>
    public static void AgainstVisibleRows(
        float* weights, nint stride, int rows, int* visible, int start, int length,
        float* values, nint valueStride, float* o, int dim, bool resume, float* next = null)
    {
        // Rows of a tile share the keys that all of them see; the rest follows for the later rows alone.
        for (int r = 0; r < rows; r += ProductTile.Rows)
        {
            int last = Math.Min(r + ProductTile.Rows, rows);
            int done = 0;
            for (int from = r; from < last;)
            {
                int keys = Math.Min(length, visible[from] - start);
                if (keys == done)
                {
                    from++;
                    continue;
                }

                AgainstRows<RowsOfTerms>(
                    weights + from * stride + done,
                    stride,
                    last - from,
                    values + done * valueStride,
                    valueStride,
                    keys - done,
                    o + (long)from * dim,
                    dim,
                    dim,
                    resume || done > 0,
                    r == 0 && done == 0 ? next : null);
                done = keys;
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void TailColumns<A>(float* a, nint aStride, int rows, float* b, nint bStep, nint terms, float* c, nint cStride, int columns, bool resume)
        where A : struct, ILeftLayout
    {
        for (int r = 0; r < rows; r++)
        {
            for (int n = 0; n < columns; n++)
            {
                float sum = resume ? c[r * cStride + n] : 0f;
                for (nint k = 0; k < terms; k++)
                    sum = MathF.FusedMultiplyAdd(A.Transposed ? a[k * aStride + r] : a[r * aStride + k], b[k * bStep + n], sum);
                c[r * cStride + n] = sum;
            }
        }
    }
}
