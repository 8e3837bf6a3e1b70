using Glimmer.Operations;
using Glimmer.Training.Optimizers;

namespace Glimmer.Training.Distributed;

/// <summary>Which rank owns which trained parameter: keeps its optimizer state, adds its gradients, takes its step. Parameters are never cut (Muon needs whole matrices).</summary>
/// <remarks>
/// What one rank alone holds (routed experts in expert parallelism) it owns. The rest is shared out greedily: the most expensive matrix first, each to the rank with the least work of Newton-Schulz so far; what AdamW updates likewise by size. Ties go to the name that sorts first and to the
/// lower rank. The bits of a step do not depend on who owns what. ZeRO stage 1 (Rajbhandari et al. 2020, arXiv 1910.02054) with whole tensors, as in Megatron-core's layer-wise optimizer.
/// </remarks>
internal sealed class ParameterShards
{
    private readonly Dictionary<Parameter, int> _owners = [];
    private readonly List<ParameterRule>[] _rules;
    private readonly List<ParameterRule>[] _shared;

    /// <summary>Shares out parameters.</summary>
    /// <param name="rules">All trained parameters, the same in the same order on every rank.</param>
    /// <param name="ranks">Number of ranks.</param>
    /// <param name="placed">The rank that alone holds a parameter; null for a parameter that all hold.</param>
    public ParameterShards(IReadOnlyList<ParameterRule> rules, int ranks, Func<Parameter, int?>? placed = null)
    {
        placed ??= _ => null;
        foreach (IGrouping<MatrixRule, ParameterRule> group in rules.GroupBy(rule => rule.Rule))
        {
            var work = new double[ranks];
            foreach ((ParameterRule rule, double cost) in group.Select(rule => (rule, CostOf(rule))).OrderBy(item => placed(item.rule.Parameter) is null).ThenByDescending(item => item.Item2).ThenBy(item => item.rule.Parameter.Name, StringComparer.Ordinal))
            {
                int owner = placed(rule.Parameter) ?? Array.IndexOf(work, work.Min());
                work[owner] += cost;
                _owners.Add(rule.Parameter, owner);
            }
        }

        _rules = [.. Enumerable.Range(0, ranks).Select(rank => rules.Where(rule => _owners[rule.Parameter] == rank).ToList())];
        _shared = [.. _rules.Select(own => own.Where(rule => placed(rule.Parameter) is null).ToList())];
    }

    /// <summary>The rules of what a rank owns, in the order of all rules.</summary>
    public IReadOnlyList<ParameterRule> Of(int rank) => _rules[rank];

    /// <summary>Of these, the rules of what all ranks hold.</summary>
    public IReadOnlyList<ParameterRule> SharedOf(int rank) => _shared[rank];

    /// <summary>The rank that owns a parameter.</summary>
    public int OwnerOf(Parameter parameter) => _owners[parameter];

    /// <summary>Operations of Newton-Schulz a step, <c>5 (4 m^2 n + 2 m^3)</c> a block with m its shorter side, or the number of values for AdamW.</summary>
    internal static double CostOf(ParameterRule rule)
    {
        if (rule.Rule == MatrixRule.AdamW)
            return rule.Parameter.Count;
        double cost = 0;
        foreach (MatrixBlock block in rule.Split.Cut(rule.Parameter.Shape[0], rule.Parameter.Shape[1]))
        {
            double m = Math.Min(block.Rows, block.Columns), n = Math.Max(block.Rows, block.Columns);
            cost += 5 * ((4 * m * m * n) + (2 * m * m * m));
        }

        return cost;
    }
}
