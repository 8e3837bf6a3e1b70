using System.Text;
using Glimmer.Models;

namespace Glimmer.Tests.Models;

public class ModelConfigTests
{
    private const string Sizes =
        """
        "vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 8, "intermediate_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2,
        "moe_intermediate_size": 8, "n_routed_experts": 4, "num_experts_per_tok": 2
        """;

    [Fact]
    public void Rope_parameters_win_over_top_level_keys()
    {
        ModelConfig config = Parse("glm4_moe", "\"head_dim\": 16, \"rope_theta\": 5, \"partial_rotary_factor\": 1.0, \"rope_parameters\": {\"rope_theta\": 1e6, \"partial_rotary_factor\": 0.25}");
        Assert.Equal(1e6f, config.RopeTheta);
        Assert.Equal(4, config.RotaryDim);
    }

    [Fact]
    public void Defaults_are_those_of_the_class()
    {
        ModelConfig config = Parse("glm4_moe", "\"head_dim\": 16");
        Assert.Equal(10000f, config.RopeTheta);
        Assert.Equal(8, config.RotaryDim);
        Assert.Equal(1e-5f, config.RmsNormEps);
        Assert.Equal([false, true, true, true, true, true, true, true], config.SparseLayers);
        Assert.True(config.NormTopkProb);
        Assert.Equal(1f, config.RoutedScalingFactor);
        Assert.False(config.UseQkNorm);
    }

    [Fact]
    public void Lite_ignores_first_k_dense_replace()
    {
        ModelConfig config = Parse("glm4_moe_lite", "\"q_lora_rank\": null, \"kv_lora_rank\": 8, \"first_k_dense_replace\": 3");
        Assert.Equal(1, config.SparseLayers.Count(sparse => !sparse));
        Assert.Null(config.QLoraRank);
        Assert.Equal(1.8f, config.RoutedScalingFactor);
    }

    [Theory]
    [InlineData("\"index_topk_freq\": 4, \"index_skip_topk_offset\": 3", new[] { 0, 1, 2, 6 })]
    [InlineData("\"index_topk_pattern\": \"FSSFSSFS\", \"index_topk_freq\": 4", new[] { 0, 3, 6 })]
    [InlineData("\"indexer_types\": [\"full\", \"shared\", \"full\", \"shared\", \"shared\", \"shared\", \"shared\", \"shared\"], \"index_topk_pattern\": \"FSSFSSFS\"", new[] { 0, 2 })]
    [InlineData("\"index_topk_freq\": 0", new[] { 0, 1, 2, 3, 4, 5, 6, 7 })]
    public void Indexer_layers_come_from_the_list_then_the_pattern_then_the_frequency(string keys, int[] full)
    {
        ModelConfig config = Parse("glm_moe_dsa", "\"kv_lora_rank\": 8, \"q_lora_rank\": 8, " + keys);
        Assert.Equal(full, Enumerable.Range(0, 8).Where(config.HasIndexer));
        Assert.True(config.HasIndexer(8), "the MTP layer always has one");
    }

    [Fact]
    public void The_pattern_of_GLM_5_2_has_21_full_layers()
    {
        ModelConfig config = Parse("glm_moe_dsa", "\"num_hidden_layers\": 78, \"index_topk_freq\": 4, \"index_skip_topk_offset\": 3", Sizes.Replace("\"num_hidden_layers\": 8,", "", StringComparison.Ordinal));
        Assert.Equal([0, 1, 2, .. Enumerable.Range(0, 18).Select(i => 6 + (4 * i))], Enumerable.Range(0, 78).Where(config.HasIndexer));
    }

    [Fact]
    public void Latent_norms_use_rms_norm_eps_unless_the_file_says_otherwise()
    {
        Assert.Equal(1e-4f, Parse("glm4_moe_lite", "\"rms_norm_eps\": 1e-4").MlaLatentNormEps);
        Assert.Equal(1e-6f, Parse("glm4_moe_lite", "\"rms_norm_eps\": 1e-4, \"mla_latent_norm_eps\": 1e-6").MlaLatentNormEps);
    }

    [Fact]
    public void The_expert_alias_wins_for_glm_moe_dsa_only()
    {
        Assert.Equal(8, Parse("glm_moe_dsa", "\"num_experts\": 8").NRoutedExperts);
        Assert.Equal(4, Parse("glm4_moe", "\"num_experts\": 8").NRoutedExperts);
    }

    [Fact]
    public void Errors_name_the_key_the_value_and_the_file()
    {
        string message = Assert.Throws<ModelFormatException>(() => Parse("glm4_moe", "\"head_dim\": \"16\"")).Message;
        Assert.Contains("config.json", message, StringComparison.Ordinal);
        Assert.Contains("'head_dim' is \"16\"", message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("\"num_attention_heads\": 1610612742, \"num_key_value_heads\": 3, \"head_dim\": 8", "num_attention_heads x head_dim")]
    [InlineData("\"num_hidden_layers\": 2000000000, \"head_dim\": 8", "num_hidden_layers")]
    [InlineData("\"n_routed_experts\": 2000000000, \"head_dim\": 8", "n_routed_experts")]
    [InlineData("\"moe_intermediate_size\": 2000000, \"n_shared_experts\": 2000, \"head_dim\": 8", "moe_intermediate_size x n_shared_experts")]
    [InlineData("\"rms_norm_eps\": 1e-60, \"head_dim\": 8", "rms_norm_eps")]
    [InlineData("\"routed_scaling_factor\": 1e300, \"head_dim\": 8", "routed_scaling_factor")]
    public void Sizes_whose_products_wrap_around_and_numbers_out_of_range_are_refused(string keys, string named)
    {
        string last = Sizes;
        foreach (string key in keys.Split(", ").Select(pair => pair.Split(':')[0]))
            last = System.Text.RegularExpressions.Regex.Replace(last, key + @": \d+,?", "");
        Assert.Contains(named, Assert.Throws<ModelFormatException>(() => Parse("glm4_moe", keys, last.Trim().TrimEnd(','))).Message, StringComparison.Ordinal);
    }

    private static ModelConfig Parse(string modelType, string keys, string sizes = Sizes) =>
        ModelConfig.Parse(Encoding.UTF8.GetBytes($"{{\"model_type\": \"{modelType}\", {sizes}, {keys}}}"));
}
