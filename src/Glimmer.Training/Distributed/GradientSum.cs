using Glimmer.Kernels;
using Glimmer.Operations;
using Glimmer.Tensors;

namespace Glimmer.Training.Distributed;

/// <summary>The sum of the gradients of a step's micro-batches: <c>((g0 + g1) + g2) + ...</c>, each g computed from zero, in the order of the batch.</summary>
/// <remarks>
/// The sum is the same for any number of ranks (docs/adr/0005-order-of-distributed-sums.md). Micro-batches are dealt out in turns, i to rank i modulo ranks. After each round the owner of a parameter gets what
/// the ranks of the round computed and adds it in the order of the ranks, which is that of the micro-batches. A rank holds one gradient of each parameter and the running sums of what it
/// owns; it sends each micro-batch's gradients once. Experts that one rank holds alone have their sums there from the start (<see cref="ExpertParallel"/>). One process needs the sums only for steps of several micro-batches.
/// </remarks>
internal sealed unsafe class GradientSum : IDisposable
{
    private readonly Communicator _ranks;
    private readonly IReadOnlyList<Parameter> _all;
    private readonly IReadOnlyList<Parameter> _own;
    private readonly FlatTensors[] _gradients; // by owner
    private readonly ShardTransfer _transfer;
    private readonly List<Tensor> _sums = [];
    private readonly ExpertParallel? _experts;
    private FlatTensors? _flatSums;
    private int _microBatches;
    private int _added;

    /// <summary>Prepares the sums of parameters that have gradients.</summary>
    /// <param name="ranks">The ranks.</param>
    /// <param name="shards">Who owns what.</param>
    /// <param name="transfer">Moves a tensor for each parameter that all ranks hold.</param>
    /// <param name="experts">The routed experts that each rank holds alone; null when all ranks hold all of them.</param>
    public GradientSum(Communicator ranks, ParameterShards shards, ShardTransfer transfer, ExpertParallel? experts = null)
    {
        (_ranks, _transfer, _experts) = (ranks, transfer, experts);
        _own = [.. shards.SharedOf(ranks.Rank).Select(rule => rule.Parameter)];
        _all = [.. Enumerable.Range(0, ranks.Size).SelectMany(rank => shards.SharedOf(rank)).Select(rule => rule.Parameter)];
        _gradients = [.. Enumerable.Range(0, ranks.Size).Select(rank => new FlatTensors(shards.SharedOf(rank).Select(rule => rule.Parameter.Gradient!)))];
        experts?.Train(shards.Of(ranks.Rank).Select(rule => rule.Parameter));
    }

    /// <summary>Starts a step of so many micro-batches.</summary>
    public void Begin(int microBatches) => (_microBatches, _added) = (microBatches, 0);

    /// <summary>Sets the gradients to zero, for this rank's next micro-batch.</summary>
    public void Clear()
    {
        foreach (Parameter parameter in _all)
            parameter.ClearGradient();
        _experts?.ClearGradients();
    }

    /// <summary>Adds the gradients of a round: a micro-batch of each rank, or of the first ones when fewer are left. After the last round the gradients of what this rank owns are the sums.</summary>
    /// <param name="team">Threads.</param>
    public void AddRound(ThreadTeam team)
    {
        int contributors = Math.Min(_ranks.Size, _microBatches - _added);
        bool starts = _added == 0;
        _added += contributors;
        bool ends = _added == _microBatches;
        if (_ranks.Size == 1 && starts && ends)
            return;
        Allocate();
        if (_ranks.Size > 1)
        {
            _experts?.AddRound(team, contributors, starts);
            _transfer.AddInOrder(_gradients, contributors, _flatSums!, starts);
            for (int i = 0; i < _own.Count && ends; i++)
                _sums[i].CopyTo(_own[i].Gradient!);
            return;
        }

        for (int i = 0; i < _own.Count; i++)
        {
            Tensor gradient = _own[i].Gradient!;
            if (starts)
                gradient.CopyTo(_sums[i]);
            else
                Elementwise.Add(team, _sums[i].F32Pointer, gradient.F32Pointer, gradient.Count, ends ? gradient.F32Pointer : _sums[i].F32Pointer);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _sums.ForEach(sum => sum.Dispose());

    private void Allocate()
    {
        if (_flatSums is not null)
            return;
        _sums.AddRange(_own.Select(parameter => Tensor.Allocate(DType.F32, parameter.Shape)));
        _flatSums = new FlatTensors(_sums);
    }
}
