using System.Text.Json;
using System.Text.Json.Nodes;
using Glimmer.Formats;

namespace Glimmer.Models.Gguf;

/// <summary>
/// GGUF architecture <c>llama</c>: dense models that are glm4_moe with every layer dense and rotation over the whole head. The file interleaves the rows of
/// attn_q and attn_k, which reading and writing undo. Rope scaling, biases, experts and anything else are refused by name.
/// </summary>
internal sealed class LlamaGguf : GgufArchitecture
{
    public override string Name => "llama";

    public override string ModelType => "llama";

    public override string ModelClass => "LlamaForCausalLM";

    public override IReadOnlyList<GgufName> Names { get; } =
        [.. GgufNames.Global, .. GgufNames.Norms("ffn_norm"), .. GgufNames.GroupedQueryAttention(permuted: true), .. GgufNames.Dense];

    protected override void AddConfig(GgufMetadata metadata, JsonObject config)
    {
        int headDim = GroupedQueryKeys.Read(metadata, config);
        int rotary = metadata.IntegerOr("rope.dimension_count", headDim);
        if (rotary != headDim || rotary % 2 != 0)
            throw new UnsupportedModelException(
                $"'{metadata.File.Path}': llama.rope.dimension_count is {rotary}; only rotation over the whole, even head width ({headDim}) is supported.");
        metadata.Require("expert_count", 0, "a dense model");
        metadata.Require("expert_used_count", 0, "a dense model");
        metadata.Require("nextn_predict_layers", 0, "no MTP layer");
        config["attention_bias"] = false;
    }

    protected override void AddMetadata(JsonElement config, ModelSizes sizes, List<KeyValuePair<string, GgufValue>> keys)
    {
        foreach (string option in (string[])["attention_bias", "mlp_bias"])
        {
            if (HfConfig.Flag(config, option, false))
                throw new UnsupportedModelException($"The config's '{option}' is true; llama checkpoints with biases are not supported.");
        }

        Add(keys, "attention.head_count_kv", sizes.KvHeads);
        Add(keys, "attention.key_length", sizes.HeadDim);
        Add(keys, "attention.value_length", sizes.HeadDim);
        Add(keys, "rope.dimension_count", sizes.HeadDim);
    }
}
