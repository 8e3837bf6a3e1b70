using System.Numerics;

namespace Glimmer.Kernels;

/// <content>The definition, generic over the number type.</content>
internal static unsafe partial class Rope
{
    /// <summary>Rotates one head in place.</summary>
    /// <param name="x">First rotated element.</param>
    /// <param name="cos">Cosines, [dim / 2].</param>
    /// <param name="sin">Sines, [dim / 2].</param>
    /// <param name="dim">Rotated dimensions.</param>
    /// <param name="pairing">Which elements form a pair.</param>
    /// <param name="inverse">Whether to rotate by the negative angle.</param>
    public static void RotateScalar<T>(T* x, float* cos, float* sin, int dim, RopePairing pairing, bool inverse)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        for (int i = 0; i < dim / 2; i++)
        {
            T* first = x + (pairing == RopePairing.HalfSplit ? i : 2 * i);
            T* second = first + (pairing == RopePairing.HalfSplit ? dim / 2 : 1);
            T a = *first, b = *second, c = T.CreateTruncating(cos[i]), s = T.CreateTruncating(inverse ? -sin[i] : sin[i]);
            *first = T.FusedMultiplyAdd(a, c, -(b * s));
            *second = T.FusedMultiplyAdd(b, c, a * s);
        }
    }
}
