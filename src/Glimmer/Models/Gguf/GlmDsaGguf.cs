using System.Text.Json;
using System.Text.Json.Nodes;
using Glimmer.Formats;

namespace Glimmer.Models.Gguf;

/// <summary>
/// GGUF architecture <c>glm-dsa</c>: GLM-5, 5.1 and 5.2, latent attention with the sparse indexer. A layer has an indexer of its own exactly if its tensors
/// are there.
/// </summary>
internal sealed class GlmDsaGguf : GgufArchitecture
{
    public override string Name => "glm-dsa";

    public override string ModelType => "glm_moe_dsa";

    public override string ModelClass => "GlmMoeDsaForCausalLM";

    public override IReadOnlyList<GgufName> Names { get; } =
        [.. GgufNames.Global, .. GgufNames.Norms("ffn_norm"), .. GgufNames.LatentAttention, .. GgufNames.Indexer, .. GgufNames.Dense, .. GgufNames.Experts,
            .. GgufNames.Nextn];

    protected override void AddConfig(GgufMetadata metadata, JsonObject config)
    {
        LatentKeys.Read(metadata, config);
        ExpertKeys.Read(metadata, config);
        config["scoring_func"] = "sigmoid";
        config["indexer_rope_interleave"] = true;
        config["index_n_heads"] = metadata.Integer("attention.indexer.head_count");
        config["index_head_dim"] = metadata.Integer("attention.indexer.key_length");
        config["index_topk"] = metadata.Integer("attention.indexer.top_k");
        bool[] full = [.. Enumerable.Range(0, (int)config["num_hidden_layers"]!)
            .Select(layer => metadata.File.Find($"blk.{layer}.indexer.attn_k.weight") is not null)];
        if (metadata.Flags("attention.indexer.types") is { } types && !types.SequenceEqual(full))
            throw new ModelFormatException($"'{metadata.File.Path}': {Name}.attention.indexer.types contradicts the layers that have indexer tensors.");
        if (!full[0])
            throw new ModelFormatException(
                $"'{metadata.File.Path}' has no indexer in its first layer ('blk.0.indexer.attn_k.weight'), so nothing could be shared.");
        if (full.Contains(false))
            config["indexer_types"] = new JsonArray([.. full.Select(f => (JsonNode)(f ? "full" : "shared"))]);
    }

    protected override void AddMetadata(JsonElement config, ModelSizes sizes, List<KeyValuePair<string, GgufValue>> keys)
    {
        LatentKeys.Write(Name, sizes, keys);
        ExpertKeys.Write(Name, config, sizes, keys);
        Add(keys, "attention.indexer.head_count", sizes.IndexHeads);
        Add(keys, "attention.indexer.key_length", sizes.IndexDim);
        Add(keys, "attention.indexer.top_k", HfConfig.Integer(config, "index_topk"));
        bool[] full = [.. Enumerable.Range(0, sizes.Layers).Select(sizes.IndexerLayers.Contains)];
        if (full.Contains(false))
            Add(keys, "attention.indexer.types", GgufValue.Of(full));
    }
}
