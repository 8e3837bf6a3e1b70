using Glimmer.Models;
using Glimmer.Operations;

namespace Glimmer.Training.Optimizers;

/// <summary>What an optimizer does with one parameter.</summary>
/// <param name="Parameter">The parameter.</param>
/// <param name="Rule">Muon or AdamW.</param>
/// <param name="WeightDecay">Decoupled decay.</param>
/// <param name="Split">Blocks that Muon orthogonalises each on its own.</param>
public sealed record ParameterRule(Parameter Parameter, MatrixRule Rule, float WeightDecay, MatrixSplit Split)
{
    /// <summary>Factor of the learning rate, for parts that learn faster or slower than the rest.</summary>
    public double RateFactor { get; init; } = 1;

    /// <summary>AdamW for every parameter of an adapter.</summary>
    /// <param name="adapter">The adapter.</param>
    /// <param name="weightDecay">Decay of all of them.</param>
    /// <param name="ratio">Factor of the learning rate of the factors B (LoRA+, Hayou et al. 2024, arXiv 2402.12354).</param>
    public static IReadOnlyList<ParameterRule> For(LoraAdapter adapter, float weightDecay, double ratio = 1)
    {
        ArgumentNullException.ThrowIfNull(adapter);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(ratio);
        HashSet<Parameter> right = [.. adapter.Factors.Select(item => item.Factor.B)];
        return [.. adapter.Parameters.Select(p => new ParameterRule(p, MatrixRule.AdamW, weightDecay, MatrixSplit.Whole) { RateFactor = right.Contains(p) ? ratio : 1 })];
    }

    /// <summary>The rules of GLM for some parameters of a model.</summary>
    public static IReadOnlyList<ParameterRule> For(IEnumerable<Parameter> parameters, ModelConfig config, OptimizerOptions options) =>
        [.. parameters.Select(p => For(p, config, options))];

    /// <summary>The rules of GLM for every trained parameter of a model.</summary>
    /// <remarks>
    /// Embedding and output matrix, those of the MTP layer too, and all vectors go to AdamW; every other matrix, the router among them, to Muon when the
    /// options say so. Buffers (the balance bias of the
    /// router) belong to no optimizer.
    /// </remarks>
    public static IReadOnlyList<ParameterRule> For(CausalLm model, OptimizerOptions options) =>
        [.. model.Parameters.Where(p => !p.IsBuffer).Select(p => For(p, model.Config, options))];

    private static ParameterRule For(Parameter parameter, ModelConfig config, OptimizerOptions options)
    {
        bool matrix = parameter.Shape.Length == 2;
        string name = parameter.Name;
        bool vocabulary = name.EndsWith("embed_tokens.weight", StringComparison.Ordinal) || name.EndsWith("head.weight", StringComparison.Ordinal);
        MatrixRule rule = matrix && !vocabulary ? options.Matrices : MatrixRule.AdamW;
        return new ParameterRule(parameter, rule, matrix ? options.WeightDecay : 0, options.SplitHeads ? HeadsOf(name, config) : MatrixSplit.Whole);
    }

    private static MatrixSplit HeadsOf(string name, ModelConfig config)
    {
        if (name.EndsWith(".q_b_proj.weight", StringComparison.Ordinal))
            return MatrixSplit.Rows(config.QkNopeHeadDim + config.QkRopeHeadDim);
        if (name.EndsWith(".kv_b_proj.weight", StringComparison.Ordinal))
            return MatrixSplit.Rows(config.QkNopeHeadDim, config.VHeadDim);
        return name.EndsWith(".indexer.wq_b.weight", StringComparison.Ordinal) ? MatrixSplit.Rows(config.IndexHeadDim) : MatrixSplit.Whole;
    }
}
