using System.Text.Json;
using System.Text.Json.Nodes;
using Glimmer.Formats;

namespace Glimmer.Models.Gguf;

/// <summary>GGUF architecture <c>glm4moe</c>: GLM-4.5, 4.5-Air, 4.6 and 4.7. Nothing is permuted; rotation is half-split over part of the head.</summary>
internal sealed class Glm4MoeGguf : GgufArchitecture
{
    public override string Name => "glm4moe";

    public override string ModelType => "glm4_moe";

    public override string ModelClass => "Glm4MoeForCausalLM";

    public override IReadOnlyList<GgufName> Names { get; } =
    [
        .. GgufNames.Global, .. GgufNames.Norms("post_attention_norm"), .. GgufNames.GroupedQueryAttention(permuted: false), .. GgufNames.AttentionExtras,
        .. GgufNames.Dense, .. GgufNames.Experts, .. GgufNames.Nextn,
    ];

    protected override void AddConfig(GgufMetadata metadata, JsonObject config)
    {
        int headDim = GroupedQueryKeys.Read(metadata, config);
        int rotary = metadata.IntegerOr("rope.dimension_count", headDim);
        if (rotary > headDim || rotary % 2 != 0)
            throw new ModelFormatException(
                $"'{metadata.File.Path}': {Name}.rope.dimension_count is {rotary}; an even number up to the head width {headDim} is expected.");
        config["partial_rotary_factor"] = (double)rotary / headDim;
        config["attention_bias"] = metadata.File.Find("blk.0.attn_q.bias") is not null;
        config["use_qk_norm"] = metadata.File.Find("blk.0.attn_q_norm.weight") is not null;
        ExpertKeys.Read(metadata, config);
    }

    protected override void AddMetadata(JsonElement config, ModelSizes sizes, List<KeyValuePair<string, GgufValue>> keys)
    {
        Add(keys, "attention.head_count_kv", sizes.KvHeads);
        Add(keys, "attention.key_length", sizes.HeadDim);
        Add(keys, "attention.value_length", sizes.HeadDim);
        Add(keys, "rope.dimension_count", (long)Math.Round(sizes.HeadDim * HfConfig.Rope(config, "partial_rotary_factor", 0.5)));
        ExpertKeys.Write(Name, config, sizes, keys);
    }
}
