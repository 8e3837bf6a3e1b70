using System.Globalization;

namespace Glimmer.Models;

/// <summary>What a tensor does to a token, which decides whether it counts as active.</summary>
internal enum TensorRole
{
    /// <summary>Rows are looked up, not multiplied.</summary>
    Embedding,
    /// <summary>The output matrix.</summary>
    Head,
    /// <summary>A matrix that every token is multiplied with.</summary>
    Matrix,
    /// <summary>A matrix of one routed expert.</summary>
    RoutedExpert,
    /// <summary>Scales, biases.</summary>
    Vector,
}

/// <summary>One line of a layout: a tensor, or the same tensor of every routed expert.</summary>
/// <param name="Name">Checkpoint name; <c>{0}</c> stands for the expert.</param>
/// <param name="Role">What it does to a token.</param>
/// <param name="Rows">Rows of a matrix, entries of a vector.</param>
/// <param name="Columns">Columns of a matrix, 0 for a vector.</param>
/// <param name="Copies">Number of experts, else 1.</param>
/// <param name="IsOptional">The checkpoint may leave it out: then the trunk's matrix takes its place.</param>
internal readonly record struct LayoutTensor(string Name, TensorRole Role, int Rows, int Columns = 0, int Copies = 1, bool IsOptional = false)
{
    /// <summary>Sizes, slowest dimension first.</summary>
    public int[] Shape => Columns == 0 ? [Rows] : [Rows, Columns];

    /// <summary>Elements of one copy.</summary>
    public long Count => (long)Rows * Math.Max(1, Columns);
}

/// <summary>The tensors that a configuration asks for, as published checkpoints name and shape them.</summary>
/// <remarks>Names and shapes: transformers <c>modeling_glm4_moe.py</c>, <c>modeling_glm4_moe_lite.py</c>, <c>modeling_glm_moe_dsa.py</c>.</remarks>
internal static class CheckpointLayout
{
    /// <summary>Embedding, final norm, output matrix.</summary>
    public static IEnumerable<LayoutTensor> Globals(ModelConfig config)
    {
        yield return new("model.embed_tokens.weight", TensorRole.Embedding, config.VocabSize, config.HiddenSize);
        yield return new("model.norm.weight", TensorRole.Vector, config.HiddenSize);
        // Whether a llama checkpoint is tied is decided by its tensors.
        if (!config.TieWordEmbeddings)
            yield return new("lm_head.weight", TensorRole.Head, config.VocabSize, config.HiddenSize, IsOptional: config.ModelType == "llama");
    }

    /// <summary>A decoder layer; number <c>NumHiddenLayers</c> is the one inside the MTP layer.</summary>
    public static IEnumerable<LayoutTensor> Layer(ModelConfig config, int layer)
    {
        string prefix = string.Create(CultureInfo.InvariantCulture, $"model.layers.{layer}.");
        yield return new(prefix + "input_layernorm.weight", TensorRole.Vector, config.HiddenSize);
        yield return new(prefix + "post_attention_layernorm.weight", TensorRole.Vector, config.HiddenSize);
        IEnumerable<LayoutTensor> attention = config.Architecture switch
        {
            ModelArchitecture.Glm4Moe => GroupedQuery(config, prefix + "self_attn."),
            ModelArchitecture.Glm4MoeLite or ModelArchitecture.GlmMoeDsa => Latent(config, prefix + "self_attn."),
            _ => throw new UnsupportedModelException($"The tensors of architecture {config.Architecture} are not listed in CheckpointLayout."),
        };
        foreach (LayoutTensor tensor in attention)
            yield return tensor;
        if (config.HasIndexer(layer))
        {
            foreach (LayoutTensor tensor in Indexer(config, prefix + "self_attn.indexer."))
                yield return tensor;
        }

        foreach (LayoutTensor tensor in config.IsSparse(layer) ? Sparse(config, prefix + "mlp.") : Gated(config.HiddenSize, prefix + "mlp.", config.IntermediateSize))
            yield return tensor;
    }

    /// <summary>What the MTP layer has beside its decoder layer.</summary>
    public static IEnumerable<LayoutTensor> NextToken(ModelConfig config)
    {
        string prefix = string.Create(CultureInfo.InvariantCulture, $"model.layers.{config.NumHiddenLayers}.");
        yield return new(prefix + "enorm.weight", TensorRole.Vector, config.HiddenSize);
        yield return new(prefix + "hnorm.weight", TensorRole.Vector, config.HiddenSize);
        yield return new(prefix + "eh_proj.weight", TensorRole.Matrix, config.HiddenSize, 2 * config.HiddenSize);
        yield return new(prefix + "shared_head.norm.weight", TensorRole.Vector, config.HiddenSize);
        yield return new(prefix + "embed_tokens.weight", TensorRole.Embedding, config.VocabSize, config.HiddenSize, IsOptional: true);
        yield return new(prefix + "shared_head.head.weight", TensorRole.Head, config.VocabSize, config.HiddenSize, IsOptional: true);
    }

    /// <summary>Every tensor, experts one by one.</summary>
    /// <param name="config">The configuration.</param>
    /// <param name="withNextToken">Whether the checkpoint has its MTP layer.</param>
    public static IEnumerable<LayoutTensor> All(ModelConfig config, bool withNextToken)
    {
        IEnumerable<LayoutTensor> lines = Globals(config);
        int layers = config.NumHiddenLayers + (withNextToken ? 1 : 0);
        lines = lines.Concat(Enumerable.Range(0, layers).SelectMany(layer => Layer(config, layer)));
        if (withNextToken)
            lines = lines.Concat(NextToken(config));
        foreach (LayoutTensor line in lines)
        {
            for (int copy = 0; copy < line.Copies; copy++)
                yield return line.Copies == 1 ? line : line with { Name = string.Format(CultureInfo.InvariantCulture, line.Name, copy), Copies = 1 };
        }
    }

    private static IEnumerable<LayoutTensor> GroupedQuery(ModelConfig config, string prefix)
    {
        (int hidden, int queries, int keys) = (config.HiddenSize, checked(config.NumAttentionHeads * config.HeadDim), checked(config.NumKeyValueHeads * config.HeadDim));
        yield return new(prefix + "q_proj.weight", TensorRole.Matrix, queries, hidden);
        yield return new(prefix + "k_proj.weight", TensorRole.Matrix, keys, hidden);
        yield return new(prefix + "v_proj.weight", TensorRole.Matrix, keys, hidden);
        yield return new(prefix + "o_proj.weight", TensorRole.Matrix, hidden, queries);
        if (config.AttentionBias)
        {
            yield return new(prefix + "q_proj.bias", TensorRole.Vector, queries);
            yield return new(prefix + "k_proj.bias", TensorRole.Vector, keys);
            yield return new(prefix + "v_proj.bias", TensorRole.Vector, keys);
        }

        if (config.UseQkNorm)
        {
            yield return new(prefix + "q_norm.weight", TensorRole.Vector, config.HeadDim);
            yield return new(prefix + "k_norm.weight", TensorRole.Vector, config.HeadDim);
        }
    }

    private static IEnumerable<LayoutTensor> Latent(ModelConfig config, string prefix)
    {
        (int hidden, int heads, int rank) = (config.HiddenSize, config.NumAttentionHeads, config.KvLoraRank);
        int queries = checked(heads * (config.QkNopeHeadDim + config.QkRopeHeadDim));
        if (config.QLoraRank is { } queryRank)
        {
            yield return new(prefix + "q_a_proj.weight", TensorRole.Matrix, queryRank, hidden);
            yield return new(prefix + "q_a_layernorm.weight", TensorRole.Vector, queryRank);
            yield return new(prefix + "q_b_proj.weight", TensorRole.Matrix, queries, queryRank);
            if (config.AttentionBias)
                yield return new(prefix + "q_a_proj.bias", TensorRole.Vector, queryRank);
        }
        else
        {
            yield return new(prefix + "q_proj.weight", TensorRole.Matrix, queries, hidden);
        }

        yield return new(prefix + "kv_a_proj_with_mqa.weight", TensorRole.Matrix, rank + config.QkRopeHeadDim, hidden);
        yield return new(prefix + "kv_a_layernorm.weight", TensorRole.Vector, rank);
        yield return new(prefix + "kv_b_proj.weight", TensorRole.Matrix, checked(heads * (config.QkNopeHeadDim + config.VHeadDim)), rank);
        yield return new(prefix + "o_proj.weight", TensorRole.Matrix, hidden, checked(heads * config.VHeadDim));
        if (config.AttentionBias)
        {
            yield return new(prefix + "kv_a_proj_with_mqa.bias", TensorRole.Vector, rank + config.QkRopeHeadDim);
            yield return new(prefix + "o_proj.bias", TensorRole.Vector, hidden);
        }
    }

    private static IEnumerable<LayoutTensor> Indexer(ModelConfig config, string prefix)
    {
        (int heads, int dim) = (config.IndexNHeads, config.IndexHeadDim);
        yield return new(prefix + "wq_b.weight", TensorRole.Matrix, checked(heads * dim), config.QLoraRank!.Value);
        yield return new(prefix + "wk.weight", TensorRole.Matrix, dim, config.HiddenSize);
        yield return new(prefix + "k_norm.weight", TensorRole.Vector, dim);
        yield return new(prefix + "k_norm.bias", TensorRole.Vector, dim);
        yield return new(prefix + "weights_proj.weight", TensorRole.Matrix, heads, config.HiddenSize);
    }

    private static IEnumerable<LayoutTensor> Sparse(ModelConfig config, string prefix)
    {
        (int hidden, int experts, int width) = (config.HiddenSize, config.NRoutedExperts, config.MoeIntermediateSize);
        yield return new(prefix + "gate.weight", TensorRole.Matrix, experts, hidden);
        yield return new(prefix + "gate.e_score_correction_bias", TensorRole.Vector, experts);
        yield return new(prefix + "experts.{0}.gate_proj.weight", TensorRole.RoutedExpert, width, hidden, experts);
        yield return new(prefix + "experts.{0}.up_proj.weight", TensorRole.RoutedExpert, width, hidden, experts);
        yield return new(prefix + "experts.{0}.down_proj.weight", TensorRole.RoutedExpert, hidden, width, experts);
        if (config.NSharedExperts > 0)
        {
            foreach (LayoutTensor tensor in Gated(hidden, prefix + "shared_experts.", checked(width * config.NSharedExperts)))
                yield return tensor;
        }
    }

    private static IEnumerable<LayoutTensor> Gated(int hidden, string prefix, int width)
    {
        yield return new(prefix + "gate_proj.weight", TensorRole.Matrix, width, hidden);
        yield return new(prefix + "up_proj.weight", TensorRole.Matrix, width, hidden);
        yield return new(prefix + "down_proj.weight", TensorRole.Matrix, hidden, width);
    }
}
