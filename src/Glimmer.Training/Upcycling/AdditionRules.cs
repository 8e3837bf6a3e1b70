using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Training.Optimizers;

namespace Glimmer.Training.Upcycling;

/// <summary>What is trained of an upcycled model.</summary>
public enum AdditionParts
{
    /// <summary>Everything that was added: factors, experts, rows of control tokens, MTP layer.</summary>
    All,

    /// <summary>The same without the routed experts, which stay zero.</summary>
    WithoutExperts,

    /// <summary>Every weight, the trunk's too: full fine-tuning, for comparison.</summary>
    Whole,
}

/// <summary>Learning rates of the parts of an addition, as factors of the run's.</summary>
public sealed record AdditionRates
{
    /// <summary>Low-rank factors.</summary>
    public double Factors { get; init; } = 1;

    /// <summary>Routed experts and routers.</summary>
    public double Experts { get; init; } = 0.5;

    /// <summary>Rows of control tokens.</summary>
    public double Rows { get; init; } = 0.5;

    /// <summary>The MTP layer's projection and norms.</summary>
    public double NextToken { get; init; } = 1;

    /// <summary>Weights of the trunk, when they are trained.</summary>
    public double Trunk { get; init; } = 0.02;

    /// <summary>Rule of experts and of the MTP projection; factors, rows and vectors always go to AdamW.</summary>
    public MatrixRule Matrices { get; init; } = MatrixRule.AdamW;
}

/// <summary>Which rule updates which part of an addition.</summary>
public static class AdditionRules
{
    /// <summary>The rules.</summary>
    /// <param name="model">The model, with its adapter.</param>
    /// <param name="weights">Its addition.</param>
    /// <param name="rates">Rates.</param>
    /// <param name="parts">What is trained.</param>
    public static IReadOnlyList<ParameterRule> For(CausalLm model, AdditionWeights weights, AdditionRates rates, AdditionParts parts = AdditionParts.All)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(weights);
        ArgumentNullException.ThrowIfNull(rates);
        var own = weights.Parameters.ToHashSet();
        string mtp = string.Create(System.Globalization.CultureInfo.InvariantCulture, $"model.layers.{model.Config.NumHiddenLayers}.");
        var rules = new List<ParameterRule>();
        foreach (Parameter parameter in model.Parameters.Where(parameter => !parameter.IsBuffer))
        {
            bool isExpert = parameter.Name.Contains(".mlp.experts.", StringComparison.Ordinal) || parameter.Name.EndsWith(".mlp.gate.weight", StringComparison.Ordinal);
            bool isRows = parameter.Name.EndsWith("added_rows.weight", StringComparison.Ordinal);
            bool isNew = isExpert || isRows || parameter.Name.StartsWith(mtp, StringComparison.Ordinal);
            if (parts != AdditionParts.Whole && (!isNew || !own.Contains(parameter) || (isExpert && parts == AdditionParts.WithoutExperts)))
                continue;
            double rate = isExpert ? rates.Experts : isRows ? rates.Rows : isNew ? rates.NextToken : rates.Trunk;
            MatrixRule rule = isNew && !isRows && parameter.Shape.Length == 2 ? rates.Matrices : MatrixRule.AdamW;
            rules.Add(new ParameterRule(parameter, rule, 0, MatrixSplit.Whole) { RateFactor = rate });
        }

        foreach (Parameter factor in parts == AdditionParts.Whole ? [] : model.Adapter?.Parameters ?? [])
            rules.Add(new ParameterRule(factor, MatrixRule.AdamW, 0, MatrixSplit.Whole) { RateFactor = rates.Factors });
        return rules;
    }
}
