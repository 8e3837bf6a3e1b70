using System.Numerics;

namespace Glimmer.Kernels;

/// <content>The definition, generic over the number type.</content>
internal static unsafe partial class SparseIndexer
{
    /// <summary>Scores of one query against keys 0 to <paramref name="keys"/> - 1.</summary>
    /// <param name="shape">Sizes and options.</param>
    /// <param name="q">Index queries of the token, [Hi, Di].</param>
    /// <param name="weights">Head weights of the token, [Hi].</param>
    /// <param name="pages">Page table of the index keys.</param>
    /// <param name="keys">Visible keys.</param>
    /// <param name="scores">Receives the scores, [keys].</param>
    public static void ScoresScalar<T>(in IndexerShape shape, T* q, T* weights, T** pages, int keys, T* scores)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        KeyValueLayout layout = shape.Layout;
        T scale = T.CreateTruncating(shape.Scale);
        for (int s = 0; s < keys; s++)
        {
            T* lane = layout.KeyLane(pages[s / KeyValueLayout.PagePositions], 0, s % KeyValueLayout.PagePositions);
            T sum = T.Zero;
            for (int j = 0; j < shape.Heads; j++)
            {
                T dot = T.Zero;
                for (int d = 0; d < shape.Dim; d++)
                    dot = T.FusedMultiplyAdd(q[j * shape.Dim + d], lane[d * KeyValueLayout.Lanes], dot);
                dot *= scale;
                if (shape.Relu && dot <= T.Zero)
                    dot = T.Zero;
                sum = T.FusedMultiplyAdd(weights[j], dot, sum);
            }

            scores[s] = sum;
        }
    }
}
