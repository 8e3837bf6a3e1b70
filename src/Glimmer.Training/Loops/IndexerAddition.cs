using System.Text.Json;
using System.Text.Json.Nodes;
using Glimmer.Models;
using Glimmer.Training.Recipes;

namespace Glimmer.Training.Loops;

/// <summary>Gives a model with latent attention indexers: <c>glm4_moe_lite</c> becomes <c>glm_moe_dsa</c>, every other weight and, with attention over all keys, every number as before.</summary>
internal static class IndexerAddition
{
    /// <summary>Writes the model with new, random indexers.</summary>
    /// <param name="dense">The model.</param>
    /// <param name="recipe">Sizes of the indexers, seed.</param>
    /// <param name="folder">Folder to write to.</param>
    /// <exception cref="RecipeException">The model has no latent attention, or no query latent that an indexer could read.</exception>
    public static void Write(Checkpoint dense, AdaptationRecipe recipe, string folder) =>
        ModelInitializer.Write(ConfigOf(dense, recipe).ToJsonString(new JsonSerializerOptions { WriteIndented = true }), folder, recipe.Seed, dense.Weights);

    // What the two classes read differently, or have other defaults for, is spelled out.
    private static JsonObject ConfigOf(Checkpoint dense, AdaptationRecipe recipe)
    {
        ModelConfig config = dense.Config;
        Pretrain.Require(config.Architecture == ModelArchitecture.Glm4MoeLite, $"model: '{dense.Folder}' is a {config.ModelType} model; DSA needs latent attention (glm4_moe_lite or glm_moe_dsa).");
        Pretrain.Require(config.QLoraRank is not null, $"model: '{dense.Folder}' has no query latent (q_lora_rank is null), which an indexer reads.");
        JsonObject json = JsonNode.Parse(dense.ConfigJson)!.AsObject();
        foreach (string key in (ReadOnlySpan<string>)["head_dim", "partial_rotary_factor", "num_experts", "num_local_experts", "first_k_dense_replace"])
            json.Remove(key);
        json["model_type"] = "glm_moe_dsa";
        json["architectures"] = new JsonArray("GlmMoeDsaForCausalLM");
        json["q_lora_rank"] = config.QLoraRank;
        json["qk_nope_head_dim"] = config.QkNopeHeadDim;
        json["qk_rope_head_dim"] = config.QkRopeHeadDim;
        json["v_head_dim"] = config.VHeadDim;
        json["kv_lora_rank"] = config.KvLoraRank;
        json["mlp_layer_types"] = new JsonArray([.. config.SparseLayers.Select(isSparse => (JsonNode)(isSparse ? "sparse" : "dense"))]);
        json["n_routed_experts"] = config.NRoutedExperts;
        json["routed_scaling_factor"] = config.RoutedScalingFactor;
        json["index_n_heads"] = recipe.IndexNHeads;
        json["index_head_dim"] = recipe.IndexHeadDim;
        json["index_topk"] = recipe.IndexTopk ?? throw new RecipeException($"index_topk: say how many keys each token attends to in the end; '{dense.Folder}' has no indexers that say so.");
        return json;
    }
}
