using System.Diagnostics.CodeAnalysis;
using System.Numerics;
using System.Runtime.CompilerServices;

namespace Glimmer.Kernels;

/// <summary>Choice of the k largest values: ordered by value, then by lower index; -0 equals +0; NaN is an error.</summary>
/// <remarks>
/// Small k insert into a sorted list. Large k search the k-th value by bisection over the ordered bit patterns, three thresholds counted in each pass.
/// Both read the values only and allocate nothing.
/// </remarks>
internal static unsafe partial class TopK
{
    private const int LargestInsertion = 32;

    /// <summary>Index of the largest value, the lowest among equals.</summary>
    /// <exception cref="ArithmeticException">A value is NaN; the message names its index.</exception>
    public static int ArgMax(ReadOnlySpan<float> values)
    {
        int best = 0;
        for (int i = 0; i < values.Length; i++)
        {
            if (float.IsNaN(values[i]))
                throw new ArithmeticException($"Value {i} of {values.Length} is NaN: the weights or the inputs are damaged.");
            if (values[i] > values[best])
                best = i;
        }

        return best;
    }

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

    private static float ValueOf(long key) => BitConverter.UInt32BitsToSingle((key & 0x80000000) != 0 ? (uint)key ^ 0x80000000 : ~(uint)key);

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
        (float smallest, float largest) = Range(values);

        // At least k values reach `low`, fewer than k reach `high`.
        long low = OrderedKey(smallest), high = OrderedKey(largest) + 1L;
        int reachLow = values.Length, reachHigh = 0;
        while (high - low > 1 && reachLow != ids.Length)
        {
            long width = high - low;
            long t1 = low + width / 4, t2 = low + width / 2, t3 = low + width / 4 * 3;
            (int r1, int r2, int r3) = CountReaching(values, ValueOf(t1), ValueOf(t2), ValueOf(t3));
            foreach ((long threshold, int reach) in (ReadOnlySpan<(long, int)>)[(t1, r1), (t2, r2), (t3, r3)])
            {
                if (reach >= ids.Length && threshold > low)
                    (low, reachLow) = (threshold, reach);
                else if (reach < ids.Length && threshold < high)
                    (high, reachHigh) = (threshold, reach);
            }
        }

        // Either exactly k values reach `low`, or `low` is the k-th value and its first occurrences fill up.
        float limit = ValueOf(low);
        int ties = reachLow == ids.Length ? ids.Length : ids.Length - reachHigh;
        int next = 0;
        for (int start = 0; next < ids.Length; start += Vector<float>.Count)
        {
            int end = Math.Min(start + Vector<float>.Count, values.Length);
            if (end - start == Vector<float>.Count && !Vector.GreaterThanOrEqualAny(new Vector<float>(values[start..]), new Vector<float>(limit)))
                continue;
            for (int i = start; i < end && next < ids.Length; i++)
            {
                if (values[i] > limit || (values[i] == limit && ties-- > 0))
                    ids[next++] = i;
            }
        }
    }

    private static (float Smallest, float Largest) Range(ReadOnlySpan<float> values)
    {
        float smallest = float.PositiveInfinity, largest = float.NegativeInfinity;
        int i = 0;
        if (values.Length >= Vector<float>.Count)
        {
            var low = new Vector<float>(float.PositiveInfinity);
            var high = new Vector<float>(float.NegativeInfinity);
            for (; i + Vector<float>.Count <= values.Length; i += Vector<float>.Count)
            {
                var x = new Vector<float>(values[i..]);
                if (!Vector.EqualsAll(x, x))
                    break; // the loop below finds the NaN
                low = Vector.Min(low, x);
                high = Vector.Max(high, x);
            }

            for (int lane = 0; lane < Vector<float>.Count; lane++)
            {
                smallest = MathF.Min(smallest, low[lane]);
                largest = MathF.Max(largest, high[lane]);
            }
        }

        for (; i < values.Length; i++)
        {
            if (float.IsNaN(values[i]))
                ThrowNaN(i, values.Length);
            smallest = MathF.Min(smallest, values[i]);
            largest = MathF.Max(largest, values[i]);
        }

        return (smallest, largest);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static (int First, int Second, int Third) CountReaching(ReadOnlySpan<float> values, float first, float second, float third)
    {
        Vector<int> n1 = default, n2 = default, n3 = default;
        Vector<float> t1 = new(first), t2 = new(second), t3 = new(third);
        int i = 0;
        for (; i + Vector<float>.Count <= values.Length; i += Vector<float>.Count)
        {
            var x = new Vector<float>(values[i..]);
            n1 -= Vector.GreaterThanOrEqual(x, t1); // true is -1
            n2 -= Vector.GreaterThanOrEqual(x, t2);
            n3 -= Vector.GreaterThanOrEqual(x, t3);
        }

        (int First, int Second, int Third) sum = (Vector.Sum(n1), Vector.Sum(n2), Vector.Sum(n3));
        for (; i < values.Length; i++)
        {
            sum.First += values[i] >= first ? 1 : 0;
            sum.Second += values[i] >= second ? 1 : 0;
            sum.Third += values[i] >= third ? 1 : 0;
        }

        return sum;
    }

    [DoesNotReturn]
    private static void ThrowNaN(int index, int count) =>
        throw new ArithmeticException($"Value {index} of {count} to choose from is NaN. The weights or the activations before it are broken.");
}
