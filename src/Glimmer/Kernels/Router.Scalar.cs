using System.Numerics;

namespace Glimmer.Kernels;

/// <content>The definition, generic over the number type.</content>
internal static unsafe partial class Router
{
    /// <summary>Chooses the experts of one token.</summary>
    /// <param name="shape">Sizes and options.</param>
    /// <param name="logits">Logits, [E].</param>
    /// <param name="bias">Correction bias of the choice, [E], or null.</param>
    /// <param name="scores">Receives the sigmoid scores, [E].</param>
    /// <param name="biased">Scratch, [E].</param>
    /// <param name="ids">Receives the chosen experts, ascending, [K].</param>
    /// <param name="weights">Receives their weights, [K].</param>
    public static void ForwardScalar<T>(in RouterShape shape, T* logits, T* bias, T* scores, T* biased, int* ids, T* weights)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        for (int e = 0; e < shape.Experts; e++)
        {
            scores[e] = VectorMath.Sigmoid(logits[e]);
            biased[e] = bias == null ? scores[e] : scores[e] + bias[e];
        }

        if (shape.ChosenGroups < shape.Groups)
        {
            int size = shape.Experts / shape.Groups;
            var groupScores = new T[shape.Groups];
            for (int g = 0; g < shape.Groups; g++)
            {
                T first = T.NegativeInfinity, second = T.NegativeInfinity;
                for (int i = 0; i < size; i++)
                {
                    T value = biased[g * size + i];
                    (first, second) = value > first ? (value, first) : value > second ? (first, value) : (first, second);
                }

                groupScores[g] = size == 1 ? first : first + second;
            }

            var chosen = new int[shape.ChosenGroups];
            TopK.SelectScalar<T>(groupScores, chosen);
            for (int e = 0; e < shape.Experts; e++)
            {
                if (Array.IndexOf(chosen, e / size) < 0)
                    biased[e] = T.NegativeInfinity;
            }
        }

        TopK.SelectScalar(new ReadOnlySpan<T>(biased, shape.Experts), new Span<int>(ids, shape.Chosen));
        T sum = T.Zero;
        for (int i = 0; i < shape.Chosen; i++)
            sum += scores[ids[i]];
        T scale = T.CreateTruncating(shape.Scale), normaliser = sum + T.CreateTruncating(NormaliserEpsilon);
        for (int i = 0; i < shape.Chosen; i++)
            weights[i] = (shape.Normalise ? scores[ids[i]] / normaliser : scores[ids[i]]) * scale;
    }

    /// <summary>Gradient of one token's logits.</summary>
    /// <param name="shape">Sizes and options.</param>
    /// <param name="logits">Logits of the forward pass, [E].</param>
    /// <param name="ids">Chosen experts, [K].</param>
    /// <param name="dweights">Gradient of the weights, [K].</param>
    /// <param name="dlogits">Gradient of the logits, [E], overwritten; 0 for experts that were not chosen.</param>
    public static void BackwardScalar<T>(in RouterShape shape, T* logits, int* ids, T* dweights, T* dlogits)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        T* s = stackalloc T[shape.Chosen];
        T scale = T.CreateTruncating(shape.Scale);
        T sum = T.Zero;
        for (int i = 0; i < shape.Chosen; i++)
        {
            s[i] = VectorMath.Sigmoid(logits[ids[i]]);
            sum += s[i];
        }

        T factor = scale, mean = T.Zero;
        if (shape.Normalise)
        {
            T normaliser = sum + T.CreateTruncating(NormaliserEpsilon);
            T dot = T.Zero;
            for (int i = 0; i < shape.Chosen; i++)
                dot = T.FusedMultiplyAdd(dweights[i], s[i], dot);
            factor = scale / normaliser;
            mean = dot / normaliser;
        }

        new Span<T>(dlogits, shape.Experts).Clear();
        for (int i = 0; i < shape.Chosen; i++)
            dlogits[ids[i]] = factor * (dweights[i] - mean) * s[i] * (T.One - s[i]);
    }
}
