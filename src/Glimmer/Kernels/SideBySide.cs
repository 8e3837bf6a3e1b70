using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Glimmer.Kernels;

/// <summary>Lays rows side by side: element d of row i goes to <c>target[d * 16 + i]</c>, the form in which a lane is a key.</summary>
internal static unsafe class SideBySide
{
    private const int Lanes = KeyValueLayout.Lanes;

    /// <summary>Lays up to 16 rows side by side; absent lanes keep what they held.</summary>
    /// <param name="rows">Rows, at least <paramref name="dim"/> long.</param>
    /// <param name="count">Number of rows, at most 16.</param>
    /// <param name="dim">Length of a row.</param>
    /// <param name="target">Receives [dim][16].</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    public static void Write(float** rows, int count, int dim, float* target)
    {
        int lane = 0;
        if (Sse.IsSupported)
        {
            for (; lane + 4 <= count; lane += 4)
                WriteFour(rows[lane], rows[lane + 1], rows[lane + 2], rows[lane + 3], dim, target + lane);
        }

        for (; lane < count; lane++)
        {
            float* row = rows[lane];
            for (int d = 0; d < dim; d++)
                target[d * Lanes + lane] = row[d];
        }
    }

    /// <summary>Lays rows that follow each other at a stride side by side, [groups][dim][16].</summary>
    public static void WriteStrided(float* rows, nint stride, int count, int dim, float* target)
    {
        float** pointers = stackalloc float*[Lanes];
        for (int i = 0; i < count; i += Lanes)
        {
            int lanes = Math.Min(Lanes, count - i);
            for (int lane = 0; lane < lanes; lane++)
                pointers[lane] = rows + (i + lane) * stride;
            Write(pointers, lanes, dim, target + (long)i * dim);
        }
    }

    /// <summary>Lays listed rows side by side, [groups][dim][16].</summary>
    public static void WriteListed(float* rows, nint stride, int* list, int count, int dim, float* target)
    {
        float** pointers = stackalloc float*[Lanes];
        for (int i = 0; i < count; i += Lanes)
        {
            int lanes = Math.Min(Lanes, count - i);
            for (int lane = 0; lane < lanes; lane++)
                pointers[lane] = rows + list[i + lane] * stride;
            Write(pointers, lanes, dim, target + (long)i * dim);
        }
    }

    // Transposes 4 x 4 blocks in registers.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void WriteFour(float* a, float* b, float* c, float* d, int dim, float* target)
    {
        int i = 0;
        for (; i + 4 <= dim; i += 4, target += 4 * Lanes)
        {
            Vector128<float> ra = Vector128.Load(a + i), rb = Vector128.Load(b + i), rc = Vector128.Load(c + i), rd = Vector128.Load(d + i);
            Vector128<float> abLow = Sse.UnpackLow(ra, rb), abHigh = Sse.UnpackHigh(ra, rb), cdLow = Sse.UnpackLow(rc, rd), cdHigh = Sse.UnpackHigh(rc, rd);
            Sse.MoveLowToHigh(abLow, cdLow).Store(target);
            Sse.MoveHighToLow(cdLow, abLow).Store(target + Lanes);
            Sse.MoveLowToHigh(abHigh, cdHigh).Store(target + 2 * Lanes);
            Sse.MoveHighToLow(cdHigh, abHigh).Store(target + 3 * Lanes);
        }

        for (; i < dim; i++, target += Lanes)
        {
            target[0] = a[i];
            target[1] = b[i];
            target[2] = c[i];
            target[3] = d[i];
        }
    }
}
