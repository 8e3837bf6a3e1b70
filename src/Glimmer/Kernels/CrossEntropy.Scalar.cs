using System.Numerics;

namespace Glimmer.Kernels;

internal static unsafe partial class CrossEntropy
{
    /// <summary>The specification of <see cref="Forward"/> for one row.</summary>
    internal static (T Loss, T Lse, T Lost) Twin<T>(T* logits, int target, int vocabulary)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        if (target < 0)
            return (T.Zero, T.Zero, T.Zero);
        T lse = Softmax.LogSumExpTwin(logits, vocabulary, out T rest);
        return (lse - logits[target], lse, rest);
    }

    /// <summary>The specification of <see cref="Backward"/> for one row.</summary>
    internal static void BackwardTwin<T>(T* logits, int target, int vocabulary, T lse, T rest, T scale)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        for (int i = 0; i < vocabulary; i++)
        {
            T p = VectorMath.Exp(logits[i] - lse - rest);
            logits[i] = target < 0 ? T.Zero : (i == target ? p - T.One : p) * scale;
        }
    }
}
