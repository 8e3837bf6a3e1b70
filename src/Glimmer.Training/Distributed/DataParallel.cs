using Glimmer.Kernels;
using Glimmer.Operations;
using Glimmer.Tensors;
using Glimmer.Training.Checkpoints;
using Glimmer.Training.Optimizers;

namespace Glimmer.Training.Distributed;

/// <summary>Data parallelism: ranks with the same weights compute gradients of different micro-batches; each updates what it owns and gives the new weights to the others.</summary>
/// <remarks>Optimizer state lies on its owner alone (ZeRO stage 1). One process is a single rank that owns everything. The bits of a step are the same for any number of ranks.</remarks>
internal sealed class DataParallel : IDisposable
{
    private readonly IReadOnlyList<ParameterRule> _rules;
    private readonly ParameterShards _shards;
    private readonly Parameter[] _own;
    private readonly ShardTransfer _transfer;

    /// <summary>Shares out the parameters and prepares their gradients and this rank's optimizer.</summary>
    /// <param name="rules">What is trained, the same on every rank.</param>
    /// <param name="options">Constants of the optimizer.</param>
    /// <param name="ranks">The ranks.</param>
    /// <param name="pieceFloats">As for <see cref="ShardTransfer"/>.</param>
    /// <param name="experts">The routed experts that each rank holds alone; null when all ranks hold all of them.</param>
    public DataParallel(IReadOnlyList<ParameterRule> rules, OptimizerOptions options, Communicator ranks, int? pieceFloats = null, ExpertParallel? experts = null)
    {
        (_rules, Ranks, _shards) = (rules, ranks, new ParameterShards(rules, ranks.Size, experts is null ? null : experts.HolderOf));
        foreach (ParameterRule rule in rules.Where(rule => !rule.Parameter.IsElsewhere))
            rule.Parameter.EnableGradient();
        Optimizer = new Optimizer(_shards.Of(ranks.Rank), options);
        _own = [.. Optimizer.Parameters];
        _transfer = new ShardTransfer(ranks, [.. PerRank(rank => _shards.SharedOf(rank).Sum(rule => rule.Parameter.Count))], pieceFloats);
        Gradients = new GradientSum(ranks, _shards, _transfer, experts);
    }

    /// <summary>The ranks.</summary>
    public Communicator Ranks { get; }

    /// <summary>The optimizer of what this rank owns.</summary>
    public Optimizer Optimizer { get; }

    /// <summary>The sum of the gradients over the micro-batches of a step.</summary>
    public GradientSum Gradients { get; }

    /// <summary>Norm over all gradients, as <see cref="GradientClipping.Norm"/> has it: squares within a tensor on its owner, over the tensors in the order of their names on every rank.</summary>
    public double GradientNorm()
    {
        if (Ranks.Size == 1)
            return GradientClipping.Norm(_own);
        double[][] squares = Ranks.AllGather(Ordered(Ranks.Rank).Select(SquaredNorm.Of).ToArray().AsSpan());
        double sum = 0;
        foreach ((_, double square) in PerRank(rank => Ordered(rank).Zip(squares[rank])).SelectMany(items => items).OrderBy(item => item.First.Name, StringComparer.Ordinal))
            sum += square;
        return Math.Sqrt(sum);
    }

    /// <summary>The first parameter, by name, whose gradient is not finite; null when all are.</summary>
    public string? FirstNotFinite()
    {
        string own = GradientClipping.FirstNotFinite(_own)?.Name ?? "";
        return Ranks.Size == 1 ? own.Length > 0 ? own : null : Ranks.AllGather(own).Where(name => name.Length > 0).Order(StringComparer.Ordinal).FirstOrDefault();
    }

    /// <summary>Updates what this rank owns, then exchanges the weights.</summary>
    /// <param name="team">Threads.</param>
    /// <param name="learningRate">Rate of this step.</param>
    /// <param name="clip">Factor of the gradients.</param>
    public void Step(ThreadTeam team, double learningRate, float clip)
    {
        GradientClipping.Scale(_own, clip);
        Optimizer.Step(team, learningRate);
        if (Ranks.Size == 1)
            return;
        _transfer.Share([.. PerRank(rank => new FlatTensors(_shards.SharedOf(rank).Select(rule => rule.Parameter.EnsureValue())))]);
        foreach (ParameterRule rule in _rules.Where(rule => !rule.Parameter.IsElsewhere))
        {
            if (_shards.OwnerOf(rule.Parameter) != Ranks.Rank)
                rule.Parameter.Touch();
        }
    }

    /// <summary>The state of the whole optimizer, in the order of one that owns everything: on the root the tensors themselves, or copies of those of all ranks; elsewhere nothing.</summary>
    /// <param name="staging">Memory of the copies.</param>
    /// <param name="copy">Whether copies are wanted in any case.</param>
    public IReadOnlyList<KeyValuePair<string, Tensor>> CollectState(StagedTensors staging, bool copy)
    {
        if (Ranks.Size == 1)
            return copy ? staging.Copy(Optimizer.State) : [.. Optimizer.State];
        var whole = new Dictionary<string, Tensor>();
        FlatTensors[]? copies = !Ranks.IsRoot ? null : [.. PerRank(rank => new FlatTensors(Optimizer.StateOf(_shards.Of(rank)).Select(state => whole[state.Name] = staging.Take(state.Name, state.Parameter.Shape))))];
        var transfer = new ShardTransfer(Ranks, [.. PerRank(rank => Optimizer.StateOf(_shards.Of(rank)).Sum(state => state.Parameter.Count))]);
        transfer.Collect(new FlatTensors(Optimizer.State.Select(state => state.Value)), copies);
        return copies is null ? [] : [.. Optimizer.StateOf(_rules).Select(state => KeyValuePair.Create(state.Name, whole[state.Name]))];
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Gradients.Dispose();
        Optimizer.Dispose();
    }

    private IEnumerable<Parameter> Ordered(int rank) => _shards.Of(rank).Select(rule => rule.Parameter);

    private IEnumerable<T> PerRank<T>(Func<int, T> of) => Enumerable.Range(0, Ranks.Size).Select(of);
}
