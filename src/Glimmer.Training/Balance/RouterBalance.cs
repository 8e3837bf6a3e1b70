using Glimmer.Operations;
using Glimmer.Tensors;

namespace Glimmer.Training.Balance;

/// <summary>Counts what the routers choose during a training step and adds the gradients of the router losses.</summary>
/// <remarks>
/// A sequence of the balance loss is a row of the batch with all its documents. At the MTP layer every position of the row counts, document ends too, as in Megatron-core.
/// </remarks>
internal sealed class RouterBalance(int topK, double balanceWeight, double zWeight)
{
    private readonly List<Router> _routers = [];
    private readonly Dictionary<Parameter, Router> _byBias = [];
    private IReadOnlyList<int> _rowLengths = [];
    private double _rows = 1;
    private double _tokens = 1;

    /// <summary>The routers in the order in which they ran, the MTP layer last.</summary>
    public IReadOnlyList<Router> Routers => _routers;

    /// <summary>Starts a step.</summary>
    /// <param name="c">Context whose routers are heard.</param>
    /// <param name="rows">Rows of the global batch.</param>
    /// <param name="tokens">Tokens of the global batch.</param>
    public void Begin(Compute c, int rows, long tokens)
    {
        _routers.Clear();
        _byBias.Clear();
        (_rows, _tokens) = (Math.Max(rows, 1), Math.Max(tokens, 1));
        (c.RouterForward, c.RouterBackward) = (Count, AddGradient);
    }

    /// <summary>Says how the tokens of the next micro-batch are cut into rows.</summary>
    public void BeginMicroBatch(IReadOnlyList<int> rowLengths) => _rowLengths = rowLengths;

    /// <summary>Ends the step: routers are no longer heard.</summary>
    public static void End(Compute c) => (c.RouterForward, c.RouterBackward) = (null, null);

    private void Count(Parameter bias, Tensor logits, Tensor chosen)
    {
        if (!_byBias.TryGetValue(bias, out Router? router))
        {
            router = new Router(bias, new long[bias.Count]);
            _byBias.Add(bias, router);
            _routers.Add(router);
        }

        foreach (int expert in chosen.I32)
            router.Counts[expert]++;
        if (balanceWeight != 0)
            router.BalanceLoss += Losses(logits, default) / balanceWeight;
        if (zWeight != 0)
            router.ZLoss += RouterLosses.LogSumExp(logits.F32, (int)bias.Count, zWeight / _tokens) / zWeight;
    }

    private void AddGradient(Parameter bias, Tensor logits, Tensor gradient)
    {
        if (balanceWeight != 0)
            Losses(logits, gradient.F32);
        if (zWeight != 0)
            RouterLosses.LogSumExp(logits.F32, (int)bias.Count, zWeight / _tokens, gradient.F32);
    }

    private double Losses(Tensor logits, Span<float> gradient)
    {
        int experts = logits.Shape[1], first = 0;
        double loss = 0;
        foreach (int length in _rowLengths)
        {
            Span<float> part = gradient.IsEmpty ? default : gradient.Slice(first * experts, length * experts);
            if (length > 0)
                loss += RouterLosses.Balance(logits.F32.Slice(first * experts, length * experts), experts, topK, RouterScore.Sigmoid, balanceWeight / _rows, length, part);
            first += length;
        }

        return loss;
    }

    /// <summary>What one router did during a step.</summary>
    internal sealed class Router(Parameter bias, long[] counts)
    {
        /// <summary>Its <c>e_score_correction_bias</c>.</summary>
        public Parameter Bias { get; } = bias;

        /// <summary>Tokens of each expert.</summary>
        public long[] Counts { get; } = counts;

        /// <summary>Balance loss, unweighted: the mean over the rows.</summary>
        public double BalanceLoss { get; set; }

        /// <summary>z-loss, unweighted: the mean over the tokens.</summary>
        public double ZLoss { get; set; }
    }
}
