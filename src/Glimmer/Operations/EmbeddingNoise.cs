using Glimmer.Tensors;

namespace Glimmer.Operations;

/// <summary>NEFTune: uniform noise of size <c>alpha / sqrt(T d)</c> on the embeddings of a document of T tokens in training steps.</summary>
/// <remarks>Jain et al. 2023 (arXiv 2310.05914), algorithm 1. The draws are a function of seed, step, row of the global batch and column.</remarks>
/// <param name="Alpha">Size; 5 to 15 in the paper.</param>
/// <param name="Draws">Where the noise comes from.</param>
internal sealed record EmbeddingNoise(float Alpha, DropoutDraws Draws)
{
    // Layers that drop count from 0.
    private const int Layer = (1 << 24) - 1;

    /// <summary>Adds the noise to the embeddings of a batch, [T, D], in place. The gradient passes unchanged.</summary>
    public unsafe void AddTo(Batch batch, Tensor x)
    {
        int dim = x.Shape[1];
        foreach (BatchSlice slice in batch.Slices)
        {
            float size = Alpha / MathF.Sqrt((float)slice.Count * dim);
            for (int t = slice.FirstToken; t < slice.FirstToken + slice.Count; t++)
            {
                ulong key = Draws.Key(Layer, t);
                float* row = x.F32Pointer + ((long)t * dim);
                for (int i = 0; i < dim; i++)
                    row[i] += ((2 * DropoutDraws.Uniform(key, i)) - 1) * size;
            }
        }
    }
}
