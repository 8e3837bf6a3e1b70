using Glimmer.Kernels;
using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Tensors;

namespace Glimmer.Training.Optimizers;

/// <summary>Muon and AdamW over the parameters of a model, with their state.</summary>
/// <remarks>Weights, gradients and state are fp32. The bits of a step do not depend on the number of threads.</remarks>
public sealed class Optimizer : IDisposable
{
    private const string Momentum = "momentum:";
    private const string Mean = "exp_avg:";
    private const string Square = "exp_avg_sq:";

    private readonly List<MuonMatrix> _matrices = [];
    private readonly List<AdamWParameter> _others = [];
    private readonly AdamWOptions _adamW;
    private readonly Muon? _muon;
    private long _steps;

    /// <summary>Creates an optimizer with zero state; parameters get their gradients here if they have none.</summary>
    /// <param name="rules">What to do with each parameter.</param>
    /// <param name="options">Constants of the two rules.</param>
    /// <exception cref="ArgumentException">Muon is asked for something that is not a matrix, or a split does not fit.</exception>
    public Optimizer(IEnumerable<ParameterRule> rules, OptimizerOptions options)
    {
        _adamW = options.AdamW;
        foreach (ParameterRule rule in rules)
        {
            Parameter parameter = rule.Parameter;
            parameter.EnableGradient();
            if (rule.Rule == MatrixRule.Muon && parameter.Shape.Length != 2)
                throw new ArgumentException($"Muon updates matrices; {parameter} is none. Give it to AdamW.", nameof(rules));
            if (rule.Rule == MatrixRule.Muon)
                _matrices.Add(new MuonMatrix(parameter, Tensor.Allocate(DType.F32, parameter.Shape), rule.WeightDecay, rule.Split) { RateFactor = (float)rule.RateFactor });
            else
                _others.Add(new AdamWParameter(parameter, Tensor.Allocate(DType.F32, parameter.Shape), Tensor.Allocate(DType.F32, parameter.Shape), rule.WeightDecay) { RateFactor = rule.RateFactor });
        }

        if (_matrices.Count > 0)
            _muon = new Muon(_matrices, options.Muon);
    }

    /// <summary>Creates the optimizer that GLM trains with for every parameter of a model.</summary>
    public Optimizer(CausalLm model, OptimizerOptions options) : this(ParameterRule.For(model, options), options)
    {
    }

    /// <summary>The parameters that it updates.</summary>
    public IEnumerable<Parameter> Parameters => _matrices.Select(m => m.Parameter).Concat(_others.Select(p => p.Parameter));

    /// <summary>
    /// Its tensors by name, for checkpoints: <c>momentum:NAME</c> of Muon, <c>exp_avg:NAME</c> and <c>exp_avg_sq:NAME</c> of AdamW. Values may be
    /// overwritten between steps.
    /// </summary>
    public IEnumerable<KeyValuePair<string, Tensor>> State =>
        _matrices.Select(m => KeyValuePair.Create(Momentum + m.Parameter.Name, m.Momentum))
            .Concat(_others.Select(p => KeyValuePair.Create(Mean + p.Parameter.Name, p.Mean)))
            .Concat(_others.Select(p => KeyValuePair.Create(Square + p.Parameter.Name, p.Square)));

    /// <summary>Updates so far, which the bias corrections of AdamW depend on. Set it when state is restored.</summary>
    public long Steps
    {
        get => _steps;
        set
        {
            _steps = value;
            foreach (AdamWParameter parameter in _others)
                parameter.Steps = value;
        }
    }

    /// <summary>Updates every parameter from its gradient.</summary>
    /// <param name="team">Threads.</param>
    /// <param name="learningRate">Rate of this step, for both rules.</param>
    public void Step(ThreadTeam team, double learningRate)
    {
        _steps++;
        _muon?.Step(team, (float)learningRate);
        AdamW.Step(team, _others, learningRate, _adamW);
        foreach (Parameter parameter in Parameters)
            parameter.Touch();
    }

    /// <summary>The names of <see cref="State"/> of an optimizer with these rules, in its order, and the parameters whose shapes the tensors have.</summary>
    internal static IEnumerable<(string Name, Parameter Parameter)> StateOf(IReadOnlyList<ParameterRule> rules)
    {
        Parameter[] matrices = [.. rules.Where(rule => rule.Rule == MatrixRule.Muon).Select(rule => rule.Parameter)];
        Parameter[] others = [.. rules.Where(rule => rule.Rule != MatrixRule.Muon).Select(rule => rule.Parameter)];
        return matrices.Select(p => (Momentum + p.Name, p)).Concat(others.Select(p => (Mean + p.Name, p))).Concat(others.Select(p => (Square + p.Name, p)));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _muon?.Dispose();
        foreach ((_, Tensor state) in State)
            state.Dispose();
    }
}
