using System.Text.Json;
using System.Text.Json.Nodes;
using Glimmer.Formats;

namespace Glimmer.Models.Gguf;

/// <summary>The metadata of the mixture of experts that glm4moe, deepseek2 and glm-dsa share.</summary>
internal static class ExpertKeys
{
    private const int Sigmoid = 2;

    /// <summary>Adds router and experts to the config.</summary>
    public static void Read(GgufMetadata metadata, JsonObject config)
    {
        int experts = metadata.Integer("expert_count");
        int used = metadata.Integer("expert_used_count");

        // 0 groups are written where a model has none, which is one group.
        int groups = Math.Max(1, metadata.IntegerOr("expert_group_count", 1, smallest: 0));
        int usedGroups = Math.Max(1, metadata.IntegerOr("expert_group_used_count", 1, smallest: 0));
        if (used > experts || experts % groups != 0 || usedGroups > groups)
            throw new ModelFormatException(
                $"'{metadata.File.Path}' chooses {used} of {experts} experts in {usedGroups} of {groups} groups, which is impossible.");
        metadata.Require("expert_gating_func", Sigmoid, "sigmoid router");
        config["n_routed_experts"] = experts;
        config["num_experts_per_tok"] = used;
        config["n_group"] = groups;
        config["topk_group"] = usedGroups;
        config["n_shared_experts"] = metadata.IntegerOr("expert_shared_count", 0, smallest: 0);
        config["moe_intermediate_size"] = metadata.Integer("expert_feed_forward_length");
        config["first_k_dense_replace"] = metadata.IntegerOr("leading_dense_block_count", 0, smallest: 0);
        config["routed_scaling_factor"] = metadata.Number("expert_weights_scale", 1, above: 0);
        config["norm_topk_prob"] = metadata.FlagOr("expert_weights_norm", true);
    }

    /// <summary>Adds the metadata of a config.</summary>
    public static void Write(string architecture, JsonElement config, ModelSizes sizes, List<KeyValuePair<string, GgufValue>> keys)
    {
        string scoring = HfConfig.Text(config, "scoring_func") ?? "sigmoid";
        if (scoring != "sigmoid")
            throw new UnsupportedModelException($"The config's scoring_func is '{scoring}'; only 'sigmoid' is supported.");
        Add("expert_used_count", HfConfig.Integer(config, "num_experts_per_tok"));
        Add("expert_group_count", HfConfig.Integer(config, "n_group", 1));
        Add("expert_group_used_count", HfConfig.Integer(config, "topk_group", 1));
        Add("expert_count", sizes.Experts);
        Add("expert_feed_forward_length", sizes.ExpertWidth);
        Add("expert_shared_count", sizes.SharedExperts);
        Add("leading_dense_block_count", sizes.DenseLayers);
        Add("expert_gating_func", Sigmoid);
        keys.Add(new($"{architecture}.expert_weights_scale", GgufValue.Of((float)HfConfig.Number(config, "routed_scaling_factor", 1))));
        keys.Add(new($"{architecture}.expert_weights_norm", GgufValue.Of(HfConfig.Flag(config, "norm_topk_prob", true))));

        void Add(string key, long value) => keys.Add(new($"{architecture}.{key}", GgufValue.Of(checked((uint)value))));
    }
}
