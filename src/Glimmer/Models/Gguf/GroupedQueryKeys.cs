using System.Text.Json.Nodes;

namespace Glimmer.Models.Gguf;

/// <summary>The metadata of grouped-query attention that glm4moe and llama share.</summary>
internal static class GroupedQueryKeys
{
    /// <summary>Adds key heads and head width to the config and gives the head width.</summary>
    public static int Read(GgufMetadata metadata, JsonObject config)
    {
        int heads = metadata.Integer("attention.head_count");
        int kvHeads = metadata.IntegerOr("attention.head_count_kv", heads);
        int hidden = metadata.Integer("embedding_length");
        if (heads % kvHeads != 0)
            throw new ModelFormatException(
                $"'{metadata.File.Path}' has {heads} query heads and {kvHeads} key heads; the key heads must divide the query heads.");
        if (!metadata.Has("attention.key_length") && hidden % heads != 0)
            throw new ModelFormatException($"'{metadata.File.Path}' has no head width, and {heads} heads do not divide the width {hidden}.");
        int headDim = metadata.IntegerOr("attention.key_length", hidden / heads);
        metadata.Require("attention.value_length", headDim, "as wide as the keys");
        config["num_key_value_heads"] = kvHeads;
        config["head_dim"] = headDim;
        return headDim;
    }
}
