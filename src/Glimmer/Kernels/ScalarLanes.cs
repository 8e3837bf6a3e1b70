using System.Numerics;
using System.Runtime.CompilerServices;

namespace Glimmer.Kernels;

/// <summary>The sum of rule 3 of docs/adr/0001 element by element, for the scalar twins.</summary>
/// <typeparam name="T">float for the bits, double for central differences.</typeparam>
internal struct ScalarLanes<T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    private Buffer _lanes;

    /// <summary>Adds element <paramref name="index"/> of a row.</summary>
    public void Add(int index, T value) => _lanes[index % Lanes.Count] += value;

    /// <summary>Adds the product <c>a * b</c> as element <paramref name="index"/> of a row.</summary>
    public void AddProduct(int index, T a, T b) =>
        _lanes[index % Lanes.Count] = T.FusedMultiplyAdd(a, b, _lanes[index % Lanes.Count]);

    /// <summary>Sums the lanes by the fixed tree.</summary>
    public readonly T Sum()
    {
        Buffer lanes = _lanes;
        for (int width = Lanes.Count / 2; width > 0; width /= 2)
        {
            for (int i = 0; i < width; i++)
                lanes[i] += lanes[i + width];
        }

        return lanes[0];
    }

    [InlineArray(Lanes.Count)]
    private struct Buffer
    {
        private T _first;
    }
}
