using System.Text.Json.Nodes;
using Glimmer.Formats;

namespace Glimmer.Models.Gguf;

/// <summary>The metadata of multi-head latent attention that deepseek2 and glm-dsa share.</summary>
internal static class LatentKeys
{
    /// <summary>Adds ranks and head widths to the config.</summary>
    /// <remarks>
    /// Files with attn_k_b and attn_v_b describe the cached form (key_length = latent + rotated part) and the heads in <c>*_mla</c> keys; older ones with an
    /// unsplit attn_kv_b give the heads in key_length and value_length.
    /// </remarks>
    public static void Read(GgufMetadata metadata, JsonObject config)
    {
        if (!metadata.Has("attention.q_lora_rank") || metadata.File.Find("blk.0.attn_q.weight") is not null)
            throw new UnsupportedModelException(
                $"'{metadata.File.Path}' has no low-rank query projection (attention.q_lora_rank), so it is another '{metadata.Architecture}' model than GLM.");
        int heads = metadata.Integer("attention.head_count");
        int rope = metadata.Integer("rope.dimension_count");
        int latent = metadata.Integer("attention.kv_lora_rank");
        int keyLength;
        int valueLength;
        if (metadata.Has("attention.key_length_mla"))
        {
            metadata.Require("attention.head_count_kv", 1, "one shared key head");
            metadata.Require("attention.key_length", latent + rope, "latent and rotated part");
            metadata.Require("attention.value_length", latent, "the latent part");
            keyLength = metadata.Integer("attention.key_length_mla");
            valueLength = metadata.Integer("attention.value_length_mla");
        }
        else
        {
            metadata.Require("attention.head_count_kv", heads, "a key head for each query head");
            keyLength = metadata.Integer("attention.key_length");
            valueLength = metadata.Integer("attention.value_length");
        }

        if (rope % 2 != 0 || keyLength <= rope)
            throw new ModelFormatException($"'{metadata.File.Path}' rotates {rope} of {keyLength} key dimensions; an even number below is expected.");
        config["num_key_value_heads"] = heads;
        config["q_lora_rank"] = metadata.Integer("attention.q_lora_rank");
        config["kv_lora_rank"] = latent;
        config["qk_nope_head_dim"] = keyLength - rope;
        config["qk_rope_head_dim"] = rope;
        config["v_head_dim"] = valueLength;
        config["attention_bias"] = false;
        config["rope_interleave"] = true;
    }

    /// <summary>Adds the metadata of a config, in the split form.</summary>
    public static void Write(string architecture, ModelSizes sizes, List<KeyValuePair<string, GgufValue>> keys)
    {
        Add("attention.head_count_kv", 1);
        Add("attention.q_lora_rank", sizes.QLoraRank);
        Add("attention.kv_lora_rank", sizes.KvLoraRank);
        Add("attention.key_length", sizes.KvLoraRank + sizes.RopeDim);
        Add("attention.value_length", sizes.KvLoraRank);
        Add("attention.key_length_mla", sizes.NopeDim + sizes.RopeDim);
        Add("attention.value_length_mla", sizes.ValueDim);
        Add("rope.dimension_count", sizes.RopeDim);

        void Add(string key, long value) => keys.Add(new($"{architecture}.{key}", GgufValue.Of(checked((uint)value))));
    }
}
