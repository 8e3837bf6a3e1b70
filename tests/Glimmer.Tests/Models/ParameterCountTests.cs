using System.Text;
using System.Text.Json;
using Glimmer.Formats;
using Glimmer.Models;

namespace Glimmer.Tests.Models;

public class ParameterCountTests
{
    private const string Large = """
        "architectures": ["Glm4MoeForCausalLM"], "vocab_size": 151552, "hidden_size": 5120, "num_hidden_layers": 92, "first_k_dense_replace": 3, "num_nextn_predict_layers": 1,
        "intermediate_size": 12288, "moe_intermediate_size": 1536, "n_routed_experts": 160, "num_experts_per_tok": 8, "num_attention_heads": 96, "num_key_value_heads": 8,
        "head_dim": 128, "attention_bias": true, "use_qk_norm": true
        """;

    private const string Air = """
        "architectures": ["Glm4MoeForCausalLM"], "vocab_size": 151552, "hidden_size": 4096, "num_hidden_layers": 46, "first_k_dense_replace": 1, "num_nextn_predict_layers": 1,
        "intermediate_size": 10944, "moe_intermediate_size": 1408, "n_routed_experts": 128, "num_experts_per_tok": 8, "num_attention_heads": 96, "num_key_value_heads": 8,
        "head_dim": 128, "attention_bias": true
        """;

    private const string Flash = """
        "architectures": ["Glm4MoeLiteForCausalLM"], "vocab_size": 154880, "hidden_size": 2048, "num_hidden_layers": 47, "num_nextn_predict_layers": 1,
        "intermediate_size": 10240, "moe_intermediate_size": 1536, "n_routed_experts": 64, "num_experts_per_tok": 4, "num_attention_heads": 20, "q_lora_rank": 768
        """;

    private const string Glm5 = """
        "architectures": ["GlmMoeDsaForCausalLM"], "vocab_size": 154880, "hidden_size": 6144, "num_hidden_layers": 78, "num_nextn_predict_layers": 1,
        "intermediate_size": 12288, "moe_intermediate_size": 2048, "n_routed_experts": 256, "num_experts_per_tok": 8, "num_attention_heads": 64
        """;

    private const string Glm52 = Glm5 + """, "index_topk_freq": 4, "index_skip_topk_offset": 3""";

    public static TheoryData<string, double, double, double, double> Published() => new()
    {
        { Large, 352.80, 3.99, 32.08, 32.85 },
        { Air, 106.85, 2.38, 12.18, 12.80 },
        { Flash, 29.94, 0.64, 3.26, 3.58 },
        { Glm5, 743.91, 9.95, 39.88, 40.83 },
        { Glm52, 743.38, 9.95, 39.35, 40.30 },
    };

    /// <summary>
    /// Published parameters of all tensors where they are known, repeated embedding and head included, and the number of tensors. The figure of the last one comes from
    /// an FP8 checkpoint and leaves out the F32 tensors, which are the scales and the 76 correction biases.
    /// </summary>
    public static TheoryData<string, bool, long?, long> Checkpoints() => new()
    {
        { Large, true, null, 44_691 },
        { Air, true, null, 18_329 },
        { Flash, true, 31_221_488_576, 9_703 },
        { Glm5, false, null, 59_870 },
        { Glm52, false, 753_329_921_024 + (76 * 256), 59_585 },
    };

    public static TheoryData<string> Folders() => Fixtures.Rows(
        Fixtures.Folder("models") is { } folder ? Directory.GetDirectories(folder).Where(d => File.Exists(Path.Combine(d, "reference.json"))).Select(d => Path.GetFileName(d)!) : null);

    [Theory]
    [MemberData(nameof(Published))]
    public void Published_models_have_their_published_sizes(string json, double trunk, double nextToken, double activeWithoutHead, double active)
    {
        ParameterCount count = ParameterCount.Of(Parse(json));
        Assert.Equal(trunk, count.Trunk / 1e9, 0.00501);
        Assert.Equal(nextToken, count.NextToken / 1e9, 0.00501);
        Assert.Equal(activeWithoutHead, (count.Active - count.ActiveHead) / 1e9, 0.00501);
        Assert.Equal(active, count.Active / 1e9, 0.00501);
    }

    [Theory]
    [MemberData(nameof(Checkpoints))]
    public void Published_checkpoints_have_as_many_tensors_and_parameters(string json, bool repeatsEnds, long? parameters, long tensors)
    {
        ModelConfig config = Parse(json);
        ParameterCount count = ParameterCount.Of(config);
        long repeated = repeatsEnds ? 2 * count.ActiveHead : 0;
        Assert.Equal(tensors, count.Tensors + (repeatsEnds ? 2 : 0));
        Assert.Equal(parameters ?? count.Total + repeated, count.Total + repeated);
        Assert.Equal(count.Tensors, CheckpointLayout.All(config, withNextToken: true).Count(tensor => !tensor.IsOptional));
    }

    [SkippableTheory]
    [Trait("Category", "Golden")]
    [MemberData(nameof(Folders))]
    public void The_layout_names_and_shapes_every_tensor_of_a_checkpoint(string name)
    {
        Fixtures.SkipIfAbsent(name);
        string folder = Path.Combine(Fixtures.Folder("models")!, name);
        using JsonDocument reference = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, "reference.json")));
        Skip.If(reference.RootElement.TryGetProperty("optional", out JsonElement optional) && optional.GetBoolean(), "optional architecture");
        using Checkpoint checkpoint = Checkpoint.Open(folder);
        bool hasNextToken = checkpoint.Weights.Find($"model.layers.{checkpoint.Config.NumHiddenLayers}.eh_proj.weight") is not null;
        var stored = checkpoint.Weights.Tensors.ToDictionary(tensor => tensor.Name);
        long total = 0;
        foreach (LayoutTensor expected in CheckpointLayout.All(checkpoint.Config, hasNextToken))
        {
            if (!stored.Remove(expected.Name, out TensorInfo? info))
            {
                Assert.True(expected.IsOptional, $"{expected.Name} is not in the checkpoint");
                continue;
            }

            Assert.Equal(expected.Shape, info.Shape.ToArray());
            total += expected.IsOptional && expected.Name != "lm_head.weight" ? 0 : info.Count;
        }

        Assert.Empty(stored.Keys);
        if (hasNextToken == checkpoint.Config.NumNextnPredictLayers > 0)
            Assert.Equal(total, ParameterCount.Of(checkpoint.Config).Total);
    }

    [Fact]
    public void Impossible_sizes_are_refused()
    {
        ModelConfig config = Parse(Air) with { NRoutedExperts = int.MaxValue, MoeIntermediateSize = int.MaxValue };
        Assert.Contains("64 bits", Assert.Throws<ModelFormatException>(() => ParameterCount.Of(config)).Message, StringComparison.Ordinal);
    }

    private static ModelConfig Parse(string json) => ModelConfig.Parse(Encoding.UTF8.GetBytes($"{{{json}}}"));
}
