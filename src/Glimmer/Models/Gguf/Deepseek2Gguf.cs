using System.Text.Json;
using System.Text.Json.Nodes;
using Glimmer.Formats;

namespace Glimmer.Models.Gguf;

/// <summary>
/// GGUF architecture <c>deepseek2</c>, as far as it is GLM-4.7-Flash: low-rank queries, a sigmoid router with a choice bias, no rope scaling. Other models of
/// the family are refused by name.
/// </summary>
internal sealed class Deepseek2Gguf : GgufArchitecture
{
    public override string Name => "deepseek2";

    public override string ModelType => "glm4_moe_lite";

    public override string ModelClass => "Glm4MoeLiteForCausalLM";

    public override IReadOnlyList<GgufName> Names { get; } =
        [.. GgufNames.Global, .. GgufNames.Norms("ffn_norm"), .. GgufNames.LatentAttention, .. GgufNames.Dense, .. GgufNames.Experts, .. GgufNames.Nextn];

    protected override void AddConfig(GgufMetadata metadata, JsonObject config)
    {
        LatentKeys.Read(metadata, config);
        ExpertKeys.Read(metadata, config);
        int dense = (int)config["first_k_dense_replace"]!;
        int layers = (int)config["num_hidden_layers"]!;

        // Real files of GLM-4.7-Flash lack the router function, because its config does. A choice bias exists only with the sigmoid router.
        if (!metadata.Has("expert_gating_func") && metadata.File.Find($"blk.{dense}.exp_probs_b.bias") is null)
            throw new UnsupportedModelException($"'{metadata.File.Path}' names no router function and has no choice bias (exp_probs_b), so it is another "
                + "'deepseek2' model than GLM-4.7-Flash.");
        config["topk_method"] = "noaux_tc";
        var kinds = new JsonArray();
        for (int i = 0; i < layers; i++)
            kinds.Add((JsonNode)(i < dense ? "dense" : "sparse"));
        config["mlp_layer_types"] = kinds;
    }

    protected override void AddMetadata(JsonElement config, ModelSizes sizes, List<KeyValuePair<string, GgufValue>> keys)
    {
        LatentKeys.Write(Name, sizes, keys);
        ExpertKeys.Write(Name, config, sizes, keys);
    }
}
