using System.Numerics;

namespace Glimmer.Kernels;

/// <content>The definition: sort by value descending, then by index.</content>
internal static unsafe partial class TopK
{
    /// <summary>Writes the indices of the <c>ids.Length</c> largest values, ascending.</summary>
    public static void SelectScalar<T>(ReadOnlySpan<T> values, Span<int> ids)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var order = new (T Value, int Index)[values.Length];
        for (int i = 0; i < values.Length; i++)
        {
            if (T.IsNaN(values[i]))
                ThrowNaN(i, values.Length);
            order[i] = (values[i], i);
        }

        Array.Sort(order, static (a, b) => a.Value > b.Value ? -1 : a.Value < b.Value ? 1 : a.Index.CompareTo(b.Index));
        for (int i = 0; i < ids.Length; i++)
            ids[i] = order[i].Index;
        ids.Sort();
    }
}
