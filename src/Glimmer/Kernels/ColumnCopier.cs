using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Glimmer.Kernels;

/// <summary>Copies a narrow strip of a row-major matrix: the left side of a weight gradient, whose tiles need no transposition.</summary>
internal static unsafe class ColumnCopier
{
    /// <summary><c>output[k * width + r] = source[k * ld + r]</c> for k below <paramref name="count"/>; <paramref name="width"/> at most 12.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Copy(float* source, nint ld, int count, int width, float* output)
    {
        if (width == 12)
        {
            for (; count > 0; count--, source += ld, output += 12)
            {
                Vector128.Load(source).Store(output);
                Vector128.Load(source + 4).Store(output + 4);
                Vector128.Load(source + 8).Store(output + 8);
            }

            return;
        }

        if (width == 6)
        {
            for (; count > 0; count--, source += ld, output += 6)
            {
                Vector128.Load(source).Store(output);
                Vector64.Load(source + 4).Store(output + 4);
            }

            return;
        }

        if (width is >= 4 and <= 8)
        {
            // Two loads that overlap.
            for (int last = width - 4; count > 0; count--, source += ld, output += width)
            {
                Vector128<float> tail = Vector128.Load(source + last);
                Vector128.Load(source).Store(output);
                tail.Store(output + last);
            }

            return;
        }

        for (; count > 0; count--, source += ld, output += width)
        {
            for (int r = 0; r < width; r++)
                output[r] = source[r];
        }
    }
}
