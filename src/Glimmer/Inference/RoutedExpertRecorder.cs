using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Tensors;

namespace Glimmer.Inference;

/// <summary>Keeps which experts each row of a forward pass was routed to: [T, L, K], all L trunk layers counted, zeros in those without a router.</summary>
internal sealed class RoutedExpertRecorder
{
    private readonly Dictionary<Parameter, int> _layers = []; // a router is known by its bias
    private readonly int _perLayer;
    private int[] _ids = [];

    public RoutedExpertRecorder(CausalLm model)
    {
        _perLayer = model.Config.NumExpertsPerTok;
        for (int layer = 0; layer < model.Config.NumHiddenLayers; layer++)
        {
            string name = $"model.layers.{layer}.mlp.gate.e_score_correction_bias";
            if (model.Parameters.FirstOrDefault(p => p.Name == name) is { } bias)
                _layers.Add(bias, layer);
        }

        RowLength = _layers.Count == 0 ? 0 : model.Config.NumHiddenLayers * _perLayer;
    }

    /// <summary>Ids of a row, L * K; 0 when the model has no routers.</summary>
    public int RowLength { get; }

    /// <summary>Runs the trunk and records its choices.</summary>
    public Tensor Forward(CausalLm model, Compute compute, Batch batch)
    {
        int length = batch.TokenCount * RowLength;
        if (_ids.Length < length)
            _ids = new int[length];
        _ids.AsSpan(0, length).Clear();
        compute.RouterForward = Record;
        try
        {
            return model.Forward(compute, batch);
        }
        finally
        {
            compute.RouterForward = null;
        }
    }

    /// <summary>The ids of some rows of the last run, [rows, L, K].</summary>
    public ReadOnlySpan<int> Rows(int first, int count) => _ids.AsSpan(first * RowLength, count * RowLength);

    private void Record(Parameter bias, Tensor logits, Tensor chosen)
    {
        int at = _layers[bias] * _perLayer;
        for (int row = 0; row < chosen.Shape[0]; row++, at += RowLength)
            chosen.I32.Slice(row * _perLayer, _perLayer).CopyTo(_ids.AsSpan(at));
    }
}
