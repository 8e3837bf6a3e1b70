using System.Globalization;
using Glimmer.Operations;
using Glimmer.Tensors;

namespace Glimmer.Inference.Benchmarks;

/// <summary>Counts the different experts that each pass of each MoE layer reads, in the trunk and in the MTP layer.</summary>
internal sealed class ExpertReads : IDisposable
{
    private readonly Compute _compute;
    private readonly Dictionary<Parameter, bool> _isTrunk = [];
    private readonly int _layers;
    private readonly bool[] _seen;

    /// <summary>Starts counting.</summary>
    /// <param name="compute">Where the model runs.</param>
    /// <param name="layers">Layers of the trunk.</param>
    /// <param name="experts">E.</param>
    public ExpertReads(Compute compute, int layers, int experts)
    {
        (_compute, _layers, _seen) = (compute, layers, new bool[experts]);
        compute.RouterForward = Count;
    }

    /// <summary>Different experts, summed over passes and layers of the trunk.</summary>
    public long Trunk { get; private set; }

    /// <summary>Passes of layers of the trunk.</summary>
    public long TrunkPasses { get; private set; }

    /// <summary>Different experts, summed over passes of the MTP layer.</summary>
    public long Draft { get; private set; }

    /// <summary>Passes of the MTP layer.</summary>
    public long DraftPasses { get; private set; }

    /// <summary>Experts a pass of a trunk layer on average; null for a model without experts.</summary>
    public double? Union => TrunkPasses == 0 ? null : (double)Trunk / TrunkPasses;

    /// <summary>Starts again from 0.</summary>
    public void Clear() => (Trunk, TrunkPasses, Draft, DraftPasses) = (0, 0, 0, 0);

    public void Dispose() => _compute.RouterForward = null;

    private void Count(Parameter bias, Tensor logits, Tensor chosen)
    {
        if (!_isTrunk.TryGetValue(bias, out bool trunk))
            _isTrunk[bias] = trunk = LayerOf(bias.Name) < _layers;
        Array.Clear(_seen);
        int different = 0;
        foreach (int expert in chosen.I32)
        {
            different += _seen[expert] ? 0 : 1;
            _seen[expert] = true;
        }

        if (trunk)
            (Trunk, TrunkPasses) = (Trunk + different, TrunkPasses + 1);
        else
            (Draft, DraftPasses) = (Draft + different, DraftPasses + 1);
    }

    /// <summary>The layer of <c>model.layers.N.…</c>; -1 for tensors outside the layers.</summary>
    public static int LayerOf(string name)
    {
        const string Prefix = "model.layers.";
        if (!name.StartsWith(Prefix, StringComparison.Ordinal))
            return -1;
        int end = name.IndexOf('.', Prefix.Length);
        return int.Parse(name.AsSpan(Prefix.Length, end - Prefix.Length), CultureInfo.InvariantCulture);
    }
}
