using Glimmer.Operations;
using Glimmer.Tensors;

namespace Glimmer.Models;

/// <summary>Pre-norm decoder layer: <c>x += Attention(RMSNorm(x)); x += FeedForward(RMSNorm(x))</c>.</summary>
internal abstract class DecoderLayer(ModelConfig config, ParameterLoader load, int index) : IDisposable
{
    private readonly Parameter _inputNorm = load.Vector($"model.layers.{index}.input_layernorm.weight", config.HiddenSize);
    private readonly Parameter _postAttentionNorm = load.Vector($"model.layers.{index}.post_attention_layernorm.weight", config.HiddenSize);
    private readonly FeedForward _feedForward = FeedForward.Load(config, load, index);

    /// <summary>Number of the layer; the MTP layer comes after the trunk's.</summary>
    public int Index { get; } = index;

    /// <summary>The experts of the layer, or null.</summary>
    public MixtureOfExperts? Sparse => _feedForward as MixtureOfExperts;

    /// <summary>Prefix of observed values.</summary>
    protected string Name { get; } = $"layer{index}.";

    /// <param name="c">Context.</param>
    /// <param name="x">Residual stream, [T, D].</param>
    /// <param name="pass">Batch and positions.</param>
    /// <returns>Residual stream after the layer.</returns>
    public Tensor Forward(Compute c, Tensor x, ForwardPass pass)
    {
        Tensor h = Normalisation.Forward(c, x, _inputNorm, config.RmsNormEps);
        Tensor attention = Attend(c, h, pass);
        c.Observe(Name, "attn_output", attention);
        x = Residual.Forward(c, x, attention);
        h = Normalisation.Forward(c, x, _postAttentionNorm, config.RmsNormEps);
        x = Residual.Forward(c, x, _feedForward.Forward(c, h, Name));
        return x;
    }

    /// <inheritdoc/>
    public virtual void Dispose()
    {
    }

    /// <summary>The attention of the architecture.</summary>
    /// <param name="c">Context.</param>
    /// <param name="h">Normalised hidden states, [T, D].</param>
    /// <param name="pass">Batch and positions.</param>
    /// <returns>[T, D].</returns>
    protected abstract Tensor Attend(Compute c, Tensor h, ForwardPass pass);
}
