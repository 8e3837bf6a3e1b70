using System.Diagnostics;
using Glimmer.Kernels;
using Glimmer.Models;
using Glimmer.Tensors;

namespace Glimmer.Training.Runs;

/// <summary>Floating-point operations of training.</summary>
public static class TrainingWork
{
    /// <summary>
    /// Operations of forward and backward pass on one token: <c>6 active + 6 H (h_qk + h_v) K L</c>, <c>active</c> the matrix weights that one token uses (the head with them, the embedding not),
    /// <c>K</c> the mean number of keys, (T + 1) / 2 or what the indexer leaves of it. Recomputation is not counted.
    /// </summary>
    /// <param name="config">The model.</param>
    /// <param name="length">Length T of the documents.</param>
    /// <param name="nextTokenDepths">Depths of the MTP loss; each runs its block and the head again.</param>
    /// <param name="isFrozen">Whether the matrices do not learn, as under an adapter: without weight gradients they cost 4 instead of 6. The adapter itself is not counted.</param>
    public static double PerToken(ModelConfig config, int length, int nextTokenDepths = 0, bool isFrozen = false)
    {
        int each = isFrozen ? 4 : 6;
        double head = (double)config.HiddenSize * config.VocabSize;
        double total = each * head;
        for (int layer = 0; layer < config.NumHiddenLayers; layer++)
            total += Layer(config, layer, length, each);
        double join = 2.0 * config.HiddenSize * config.HiddenSize;
        return total + (nextTokenDepths * (Layer(config, config.NumHiddenLayers, length, each) + (each * (join + head))));
    }

    /// <summary>What threads do at best: the fastest of four products of 1024 x 1024 matrices in fp32, in operations a second. Takes a few hundredths of a second.</summary>
    /// <param name="team">The threads.</param>
    public static unsafe double PeakPerSecond(ThreadTeam team)
    {
        const int Size = 1024;
        using Tensor a = Tensor.Allocate(DType.F32, Size, Size), b = Tensor.Allocate(DType.F32, Size, Size), y = Tensor.Allocate(DType.F32, Size, Size);
        a.F32.Fill(0.5f);
        b.F32.Fill(0.25f);
        double best = double.MaxValue;
        for (int i = 0; i < 4; i++)
        {
            long start = Stopwatch.GetTimestamp();
            MatMul.Gemm(team, Size, Size, Size, a.F32Pointer, b.F32Pointer, y.F32Pointer);
            best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalSeconds);
        }

        return 2.0 * Size * Size * Size / best;
    }

    private static double Layer(ModelConfig config, int layer, int length, int each)
    {
        double keys = (length + 1) / 2.0, d = config.HiddenSize, heads = config.NumAttentionHeads;
        bool latent = config.KvLoraRank > 0;
        double qk = latent ? config.QkNopeHeadDim + config.QkRopeHeadDim : config.HeadDim, v = latent ? config.VHeadDim : config.HeadDim;
        double weights = (heads * v * d) + (latent ? Latent(config, qk) : (heads * qk * d) + (config.NumKeyValueHeads * (qk + v) * d));
        double work = 0;
        if (config.HasIndexer(layer))
        {
            weights += ((config.QLoraRank ?? config.HiddenSize) * (double)config.IndexNHeads * config.IndexHeadDim) + (d * (config.IndexHeadDim + config.IndexNHeads));
            work += 6.0 * config.IndexNHeads * config.IndexHeadDim * keys;
        }

        if (config.IndexTopk > 0)
            keys = Math.Min(keys, config.IndexTopk);
        weights += config.IsSparse(layer)
            ? (d * config.NRoutedExperts) + (3 * d * config.MoeIntermediateSize * (config.NumExpertsPerTok + config.NSharedExperts))
            : 3 * d * config.IntermediateSize;
        return work + (each * weights) + (6 * heads * (qk + v) * keys);
    }

    private static double Latent(ModelConfig config, double qk)
    {
        double d = config.HiddenSize, heads = config.NumAttentionHeads;
        double query = config.QLoraRank is { } rank ? rank * (d + (heads * qk)) : d * heads * qk;
        return query + (d * (config.KvLoraRank + config.QkRopeHeadDim)) + (config.KvLoraRank * heads * (config.QkNopeHeadDim + config.VHeadDim));
    }
}
