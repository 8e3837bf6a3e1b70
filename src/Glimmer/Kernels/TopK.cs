using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace Glimmer.Kernels;

/// <summary>Choice of the k largest values: ordered by value, then by lower index; -0 equals +0; NaN is an error.</summary>
/// <remarks>Small k insert into a sorted list; large k find the k-th value by a radix search on the bits, eleven at a time. Both read the values only and allocate nothing.</remarks>
internal static unsafe partial class TopK
{
    private const int LargestInsertion = 32;
    private const int Digit = 11;
    private const int Bins = 1 << Digit;

    /// <summary>Writes the indices of the <c>ids.Length</c> largest values, ascending.</summary>
    /// <param name="values">Values, without NaN.</param>
    /// <param name="ids">Receives the chosen indices in ascending order; not longer than <paramref name="values"/>.</param>
    /// <exception cref="ArithmeticException">A value is NaN.</exception>
    public static void Select(ReadOnlySpan<float> values, Span<int> ids)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(ids.Length, values.Length, nameof(ids));
        if (ids.Length <= LargestInsertion)
            SelectFew(values, ids);
        else
            SelectMany(values, ids);
    }

    /// <summary>The bits of a float as an integer that orders like the value, with -0 = +0.</summary>
    private static uint OrderedKey(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value + 0f); // -0 + +0 = +0
        return bits ^ ((uint)((int)bits >> 31) | 0x80000000);
    }

    // A sorted list of the best so far; an equal later value does not displace an earlier one.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void SelectFew(ReadOnlySpan<float> values, Span<int> ids)
    {
        float* best = stackalloc float[LargestInsertion];
        int filled = 0;
        for (int i = 0; i < values.Length; i++)
        {
            float value = values[i];
            if (float.IsNaN(value))
                ThrowNaN(i, values.Length);
            int at = filled;
            if (filled == ids.Length)
            {
                if (filled == 0 || !(value > best[filled - 1]))
                    continue;
                at--;
            }
            else
            {
                filled++;
            }

            for (; at > 0 && value > best[at - 1]; at--)
            {
                best[at] = best[at - 1];
                ids[at] = ids[at - 1];
            }

            best[at] = value;
            ids[at] = i;
        }

        for (int i = 1; i < ids.Length; i++)
        {
            int id = ids[i];
            int at = i;
            for (; at > 0 && ids[at - 1] > id; at--)
                ids[at] = ids[at - 1];
            ids[at] = id;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void SelectMany(ReadOnlySpan<float> values, Span<int> ids)
    {
        int* counts = stackalloc int[Bins];
        uint prefix = 0;
        int wanted = ids.Length; // how many of the values that share the prefix belong to the choice
        for (int shift = 32; shift > 0;)
        {
            int width = Math.Min(Digit, shift);
            int above = shift;
            shift -= width;
            new Span<int>(counts, Bins).Clear();
            uint mask = (1u << width) - 1;
            for (int i = 0; i < values.Length; i++)
            {
                float value = values[i];
                if (float.IsNaN(value))
                    ThrowNaN(i, values.Length);
                uint key = OrderedKey(value);
                if (above == 32 || key >> above == prefix)
                    counts[(key >> shift) & mask]++;
            }

            int digit = (int)mask;
            while (counts[digit] < wanted)
                wanted -= counts[digit--];
            prefix = (prefix << width) | (uint)digit;
        }

        int next = 0;
        for (int i = 0; next < ids.Length; i++)
        {
            uint key = OrderedKey(values[i]);
            if (key > prefix || (key == prefix && wanted-- > 0))
                ids[next++] = i;
        }
    }

    [DoesNotReturn]
    private static void ThrowNaN(int index, int count) =>
        throw new ArithmeticException($"Value {index} of {count} to choose from is NaN. The weights or the activations before it are broken.");
}
