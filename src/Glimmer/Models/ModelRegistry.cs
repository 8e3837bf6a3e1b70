namespace Glimmer.Models;

/// <summary>The architectures that exist: one line each.</summary>
public static class ModelRegistry
{
    /// <summary>What a checkpoint may name, for messages.</summary>
    public const string Names = "Glm4MoeForCausalLM (glm4_moe), Glm4MoeLiteForCausalLM (glm4_moe_lite), GlmMoeDsaForCausalLM (glm_moe_dsa) or LlamaForCausalLM (llama)";

    internal static CausalLm Build(ModelConfig config, ParameterLoader load) => config.Architecture switch
    {
        ModelArchitecture.Glm4Moe => new Glm4Moe(config, load),
        ModelArchitecture.Glm4MoeLite => new Glm4MoeLite(config, load),
        ModelArchitecture.GlmMoeDsa => new GlmMoeDsa(config, load),
        _ => throw new UnsupportedModelException($"Architecture {config.Architecture} has no forward pass; expected {Names}."),
    };
}
