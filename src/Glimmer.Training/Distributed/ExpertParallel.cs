using System.Globalization;
using Glimmer.Kernels;
using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Tensors;
using Glimmer.Training.Checkpoints;

namespace Glimmer.Training.Distributed;

/// <summary>Expert parallelism beside data parallelism: each rank holds, computes and trains some of the routed experts of every layer; everything else is on all ranks.</summary>
/// <remarks>
/// The rows of a rank's tokens travel to the experts (<see cref="RankedExperts"/>). An expert's gradient of a micro-batch is computed where the expert is, apart for each rank that the tokens come from,
/// and the ranks' gradients add in their order, as in <see cref="GradientSum"/>: the bits are those of one process. Memory of a rank: its experts' weights, optimizer state, and a gradient for each rank.
/// </remarks>
internal sealed class ExpertParallel : IDisposable
{
    private readonly Communicator _ranks;
    private readonly ExpertRanks _places;
    private readonly int _experts;
    private readonly Parameter[] _matrices; // of all routed experts
    private readonly List<(Parameter Matrix, Tensor[] Gradients)> _trained = [];

    /// <summary>Prepares a model whose routed experts were loaded in shares.</summary>
    /// <param name="model">The model, loaded with <see cref="LoadOptions.ExpertShare"/> of these ranks.</param>
    /// <param name="ranks">The ranks.</param>
    /// <exception cref="ArgumentException">There are fewer experts than ranks, or other ranks' experts are here.</exception>
    public ExpertParallel(CausalLm model, Communicator ranks)
    {
        (_ranks, _experts) = (ranks, model.Config.NRoutedExperts);
        if (_experts < ranks.Size)
            throw new ArgumentException($"{ranks.Size} ranks cannot share {_experts} routed experts: start at most {_experts} ranks, or train without expert parallelism.", nameof(ranks));
        _places = new ExpertRanks(ranks.Rank, ranks.Size, ranks.AllToAll);
        _matrices = [.. model.Parameters.Where(parameter => ExpertOf(parameter) is not null)];
        if (_matrices.FirstOrDefault(matrix => matrix.IsElsewhere == (HolderOf(matrix) == ranks.Rank)) is { } wrong)
            throw new ArgumentException($"'{wrong.Name}' belongs to rank {HolderOf(wrong)}, and the model of rank {ranks.Rank} was loaded for other ranks. Load it with the share of this rank.", nameof(model));
    }

    /// <summary>What forward and backward passes need to know.</summary>
    public ExpertRanks Places => _places;

    /// <summary>The rank that holds a matrix of a routed expert; null for what all ranks hold.</summary>
    public int? HolderOf(Parameter parameter)
    {
        if (ExpertOf(parameter) is not { } expert)
            return null;
        int rank = 0;
        while (_places.First(rank + 1, _experts) <= expert)
            rank++;
        return rank;
    }

    /// <summary>Gives the matrices that this rank trains a gradient for each rank's tokens.</summary>
    public void Train(IEnumerable<Parameter> own)
    {
        foreach (Parameter matrix in own.Where(parameter => ExpertOf(parameter) is not null))
        {
            Tensor[] gradients = [.. Enumerable.Range(0, _ranks.Size).Select(_ => Tensor.Allocate(DType.F32, matrix.Shape))];
            _trained.Add((matrix, gradients));
            _places.Train(matrix, gradients);
        }
    }

    /// <summary>Sets the gradients to zero before a round.</summary>
    public void ClearGradients()
    {
        foreach ((_, Tensor[] gradients) in _trained)
        {
            foreach (Tensor gradient in gradients)
                gradient.Clear();
        }
    }

    /// <summary>Adds the gradients of a round to the sums, in the order of the ranks.</summary>
    /// <param name="team">Threads.</param>
    /// <param name="contributors">Ranks that had a micro-batch in it.</param>
    /// <param name="starts">Whether the sums start here: the first summand is stored.</param>
    public unsafe void AddRound(ThreadTeam team, int contributors, bool starts)
    {
        foreach ((Parameter matrix, Tensor[] gradients) in _trained)
        {
            Tensor sum = matrix.Gradient!;
            for (int rank = 0; rank < contributors; rank++)
            {
                if (starts && rank == 0)
                    gradients[0].CopyTo(sum);
                else
                    Elementwise.Add(team, sum.F32Pointer, gradients[rank].F32Pointer, sum.Count, sum.F32Pointer);
            }
        }
    }

    /// <summary>Gives the root the values of the experts that lie elsewhere, for a checkpoint. All ranks call.</summary>
    /// <param name="staging">Memory for them.</param>
    /// <returns>By name; empty on other ranks.</returns>
    public IReadOnlyDictionary<string, Tensor> Collect(StagedTensors staging)
    {
        ILookup<int, Parameter> held = _matrices.ToLookup(matrix => HolderOf(matrix)!.Value);
        var elsewhere = new Dictionary<string, Tensor>(StringComparer.Ordinal);
        FlatTensors[]? whole = null;
        if (_ranks.IsRoot)
        {
            foreach (Parameter matrix in _matrices.Where(matrix => matrix.IsElsewhere))
                elsewhere[matrix.Name] = staging.Take(matrix.Name, matrix.Shape);
            whole = [.. Enumerable.Range(0, _ranks.Size).Select(rank => new FlatTensors(held[rank].Select(matrix => elsewhere.GetValueOrDefault(matrix.Name) ?? matrix.EnsureValue())))];
        }

        var transfer = new ShardTransfer(_ranks, [.. Enumerable.Range(0, _ranks.Size).Select(rank => held[rank].Sum(matrix => matrix.Count))]);
        transfer.Collect(new FlatTensors(held[_ranks.Rank].Select(matrix => matrix.EnsureValue())), whole);
        return elsewhere;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach ((_, Tensor[] gradients) in _trained)
        {
            foreach (Tensor gradient in gradients)
                gradient.Dispose();
        }
    }

    // The number in "model.layers.3.mlp.experts.5.gate_proj.weight".
    private static int? ExpertOf(Parameter parameter)
    {
        const string Before = ".mlp.experts.";
        int at = parameter.Name.IndexOf(Before, StringComparison.Ordinal);
        if (at < 0)
            return null;
        ReadOnlySpan<char> rest = parameter.Name.AsSpan(at + Before.Length);
        return int.Parse(rest[..rest.IndexOf('.')], NumberStyles.None, CultureInfo.InvariantCulture);
    }
}
