using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Glimmer.Tensors;

/// <summary>Puts rows side by side, column after column: the transposition behind every packed layout.</summary>
internal static unsafe class RowInterleaver
{
    // Columns of a block: the part of the output that several passes over the rows write stays in the first-level cache.
    private const int Block = 128;

    /// <summary><c>output[k * stride + r] = rows[r][k]</c> for r below <paramref name="count"/> and k below <paramref name="columns"/>.</summary>
    /// <remarks><paramref name="rows"/> points to the first element of each row; a null row reads as zeros.</remarks>
    public static void Interleave(float** rows, int count, int columns, float* output, int stride)
    {
        float** moving = stackalloc float*[count];
        for (int r = 0; r < count; r++)
            moving[r] = rows[r];
        for (int k = 0; k < columns; k += Block, output += Block * stride)
        {
            InterleaveBlock(moving, count, Math.Min(Block, columns - k), output, stride);
            for (int r = 0; r < count; r++)
            {
                if (moving[r] != null)
                    moving[r] += Block;
            }
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    private static void InterleaveBlock(float** rows, int count, int columns, float* output, int stride)
    {
        int r = 0;
        for (; Sse.IsSupported && r + 4 <= count; r += 4)
        {
            float* p0 = rows[r], p1 = rows[r + 1], p2 = rows[r + 2], p3 = rows[r + 3];
            if (p0 == null || p1 == null || p2 == null || p3 == null)
                break;
            float* q = output + r;
            int k = 0;
            for (; k + 4 <= columns; k += 4, q += 4 * stride)
            {
                Vector128<float> a = Vector128.Load(p0 + k), b = Vector128.Load(p1 + k), c = Vector128.Load(p2 + k), d = Vector128.Load(p3 + k);
                Vector128<float> ab = Sse.UnpackLow(a, b), cd = Sse.UnpackLow(c, d);
                Sse.MoveLowToHigh(ab, cd).Store(q);
                Sse.MoveHighToLow(cd, ab).Store(q + stride);
                ab = Sse.UnpackHigh(a, b);
                cd = Sse.UnpackHigh(c, d);
                Sse.MoveLowToHigh(ab, cd).Store(q + 2 * stride);
                Sse.MoveHighToLow(cd, ab).Store(q + 3 * stride);
            }

            for (; k < columns; k++, q += stride)
                (q[0], q[1], q[2], q[3]) = (p0[k], p1[k], p2[k], p3[k]);
        }

        for (; Sse.IsSupported && r + 2 <= count && rows[r] != null && rows[r + 1] != null; r += 2)
        {
            float* p0 = rows[r], p1 = rows[r + 1];
            float* q = output + r;
            int k = 0;
            for (; k + 4 <= columns; k += 4, q += 4 * stride)
            {
                Vector128<float> a = Vector128.Load(p0 + k), b = Vector128.Load(p1 + k);
                Vector128<float> low = Sse.UnpackLow(a, b), high = Sse.UnpackHigh(a, b);
                low.GetLower().Store(q);
                low.GetUpper().Store(q + stride);
                high.GetLower().Store(q + 2 * stride);
                high.GetUpper().Store(q + 3 * stride);
            }

            for (; k < columns; k++, q += stride)
                (q[0], q[1]) = (p0[k], p1[k]);
        }

        for (; r < count; r++)
        {
            float* p = rows[r];
            float* q = output + r;
            for (int k = 0; k < columns; k++, q += stride)
                *q = p == null ? 0 : p[k];
        }
    }
}
