namespace Glimmer.Models.Megatron;

/// <summary>Rows of a tensor in the Hugging Face layout that lie together in a Megatron-core tensor. A row of a vector is one entry.</summary>
/// <param name="Source">Hugging Face name.</param>
/// <param name="First">First row there.</param>
/// <param name="Count">Number of rows.</param>
internal readonly record struct MegatronPiece(string Source, int First, int Count);

/// <summary>A tensor under its Megatron-core name, and where its rows come from.</summary>
/// <param name="Name">Megatron-core name.</param>
/// <param name="Shape">Its shape, without padding.</param>
/// <param name="Pieces">Its rows in order.</param>
internal sealed record MegatronTensor(string Name, int[] Shape, IReadOnlyList<MegatronPiece> Pieces)
{
    /// <summary>Whether zero rows may follow: the embedding and the output matrix, whose vocabulary is padded.</summary>
    public bool IsPadded => Name is "embedding.word_embeddings.weight" or "output_layer.weight";
}
