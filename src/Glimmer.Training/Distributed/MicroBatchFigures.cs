using Glimmer.Operations;
using Glimmer.Training.Balance;

namespace Glimmer.Training.Distributed;

/// <summary>What a micro-batch says beside its gradients: losses and expert counts. Added up in the order of the batch, whichever rank computed them.</summary>
internal sealed class MicroBatchFigures(int losses)
{
    /// <summary>Share of the step's loss, then of the loss of each MTP depth.</summary>
    public double[] Losses { get; } = new double[losses];

    /// <summary>The routers in the order in which they ran, the MTP layer last.</summary>
    public List<RouterLoad> Routers { get; } = [];

    /// <summary>Sum of each indexer's losses over the tokens, by layer.</summary>
    public SortedDictionary<int, double> Indexers { get; } = [];

    /// <summary>Adds those of the next micro-batch.</summary>
    public void Add(MicroBatchFigures next)
    {
        for (int i = 0; i < Losses.Length; i++)
            Losses[i] += next.Losses[i];
        for (int i = 0; i < next.Routers.Count; i++)
        {
            if (i == Routers.Count)
                Routers.Add(new RouterLoad(next.Routers[i].Bias));
            Routers[i].Add(next.Routers[i]);
        }

        foreach ((int layer, double loss) in next.Indexers)
            Indexers[layer] = Indexers.GetValueOrDefault(layer) + loss;
    }

    /// <summary>The figures of all micro-batches of a step on every rank, in the order of the batch.</summary>
    /// <param name="ranks">The ranks; micro-batch i ran on rank i modulo ranks.</param>
    /// <param name="own">Those that ran here, in order.</param>
    /// <param name="microBatches">Micro-batches of the step.</param>
    /// <param name="parameters">Parameters of the model, which name routers by their place.</param>
    public static IEnumerable<MicroBatchFigures> InOrder(Communicator ranks, IReadOnlyList<MicroBatchFigures> own, int microBatches, IReadOnlyList<Parameter> parameters)
    {
        if (ranks.Size == 1)
            return own;
        var numbers = new List<double>();
        foreach (MicroBatchFigures figures in own)
            figures.WriteTo(numbers, parameters);
        Queue<double>[] all = [.. ranks.AllGather(numbers.ToArray().AsSpan()).Select(part => new Queue<double>(part))];
        return [.. Enumerable.Range(0, microBatches).Select(i => ReadFrom(all[i % ranks.Size], parameters))];
    }

    private void WriteTo(List<double> numbers, IReadOnlyList<Parameter> parameters)
    {
        numbers.Add(Losses.Length);
        numbers.AddRange(Losses);
        numbers.Add(Routers.Count);
        foreach (RouterLoad router in Routers)
        {
            int place = Enumerable.Range(0, parameters.Count).First(i => parameters[i] == router.Bias);
            numbers.AddRange([place, router.BalanceLoss, router.ZLoss]);
            numbers.AddRange(router.Counts.Select(count => (double)count));
        }

        numbers.Add(Indexers.Count);
        foreach ((int layer, double loss) in Indexers)
            numbers.AddRange([layer, loss]);
    }

    private static MicroBatchFigures ReadFrom(Queue<double> numbers, IReadOnlyList<Parameter> parameters)
    {
        var figures = new MicroBatchFigures((int)numbers.Dequeue());
        for (int i = 0; i < figures.Losses.Length; i++)
            figures.Losses[i] = numbers.Dequeue();
        for (int left = (int)numbers.Dequeue(); left > 0; left--)
        {
            var router = new RouterLoad(parameters[(int)numbers.Dequeue()]) { BalanceLoss = numbers.Dequeue(), ZLoss = numbers.Dequeue() };
            for (int e = 0; e < router.Counts.Length; e++)
                router.Counts[e] = (long)numbers.Dequeue();
            figures.Routers.Add(router);
        }

        for (int left = (int)numbers.Dequeue(); left > 0; left--)
            figures.Indexers[(int)numbers.Dequeue()] = numbers.Dequeue();
        return figures;
    }
}
