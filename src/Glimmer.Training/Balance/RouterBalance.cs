using Glimmer.Operations;
using Glimmer.Tensors;

namespace Glimmer.Training.Balance;

/// <summary>Counts what the routers choose during a training step and adds the gradients of the router losses.</summary>
/// <remarks>
/// A sequence of the balance loss is a row of the batch with all its documents. At the MTP layer every position of the row counts, document ends too, as in
/// Megatron-core.
/// </remarks>
internal sealed class RouterBalance(int topK, double balanceWeight, double zWeight)
{
    private readonly Dictionary<Parameter, RouterLoad> _byBias = [];
    private List<RouterLoad> _routers = [];
    private IReadOnlyList<int> _rowLengths = [];
    private double _rows = 1;
    private double _tokens = 1;

    /// <summary>Starts a step.</summary>
    /// <param name="c">Context whose routers are heard.</param>
    /// <param name="rows">Rows of the global batch.</param>
    /// <param name="tokens">Tokens of the global batch.</param>
    public void Begin(Compute c, int rows, long tokens)
    {
        (_rows, _tokens) = (Math.Max(rows, 1), Math.Max(tokens, 1));
        (c.RouterForward, c.RouterBackward) = (Count, AddGradient);
    }

    /// <summary>Starts a micro-batch.</summary>
    /// <param name="rowLengths">How its tokens are cut into rows.</param>
    /// <param name="routers">Gets what the routers do, in the order in which they run, the MTP layer last.</param>
    public void BeginMicroBatch(IReadOnlyList<int> rowLengths, List<RouterLoad> routers)
    {
        (_rowLengths, _routers) = (rowLengths, routers);
        _byBias.Clear();
    }

    /// <summary>Ends the step: routers are no longer heard.</summary>
    public static void End(Compute c) => (c.RouterForward, c.RouterBackward) = (null, null);

    private void Count(Parameter bias, Tensor logits, Tensor chosen)
    {
        if (!_byBias.TryGetValue(bias, out RouterLoad? router))
        {
            router = new RouterLoad(bias);
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
}
