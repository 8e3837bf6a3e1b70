using Glimmer.Data.Mixing;
using Glimmer.Data.Tokens;
using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Training;
using Glimmer.Training.Batching;
using Glimmer.Training.Optimizers;
using Glimmer.Training.Schedules;

namespace Glimmer.Tests.Training;

/// <summary>A model of a few thousand weights and random documents, to train for a few steps in a test.</summary>
internal static class TinyRun
{
    /// <summary>A glm4_moe with an MTP layer.</summary>
    public const string GroupedQuery = """
        {"architectures": ["Glm4MoeForCausalLM"], "model_type": "glm4_moe", "vocab_size": 40, "hidden_size": 16, "intermediate_size": 24, "moe_intermediate_size": 8, "num_hidden_layers": 2,
         "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8, "n_shared_experts": 1, "n_routed_experts": 4, "num_experts_per_tok": 2, "routed_scaling_factor": 1.5, "n_group": 1,
         "topk_group": 1, "norm_topk_prob": true, "first_k_dense_replace": 1, "attention_bias": true, "use_qk_norm": true, "partial_rotary_factor": 0.5, "rope_theta": 10000.0, "hidden_act": "silu",
         "max_position_embeddings": 64, "rms_norm_eps": 1e-05, "tie_word_embeddings": false, "initializer_range": 0.2, "num_nextn_predict_layers": 1}
        """;

    /// <summary>A glm4_moe_lite.</summary>
    public const string Latent = """
        {"architectures": ["Glm4MoeLiteForCausalLM"], "model_type": "glm4_moe_lite", "vocab_size": 40, "hidden_size": 16, "intermediate_size": 24, "moe_intermediate_size": 8, "num_hidden_layers": 2,
         "num_attention_heads": 2, "num_key_value_heads": 2, "q_lora_rank": 8, "kv_lora_rank": 8, "qk_nope_head_dim": 6, "qk_rope_head_dim": 4, "v_head_dim": 8, "n_shared_experts": 1, "n_routed_experts": 4,
         "num_experts_per_tok": 2, "routed_scaling_factor": 1.5, "n_group": 1, "topk_group": 1, "norm_topk_prob": true, "mlp_layer_types": ["dense", "sparse"], "attention_bias": false,
         "rope_parameters": {"rope_theta": 10000.0, "rope_type": "default"}, "rope_interleave": true, "hidden_act": "silu", "max_position_embeddings": 64, "rms_norm_eps": 1e-05,
         "tie_word_embeddings": false, "initializer_range": 0.2}
        """;

    /// <summary>A glm_moe_dsa with small indexers that choose 6 keys, and an MTP layer.</summary>
    public const string Sparse = """
        {"architectures": ["GlmMoeDsaForCausalLM"], "model_type": "glm_moe_dsa", "vocab_size": 40, "hidden_size": 16, "intermediate_size": 24, "moe_intermediate_size": 8, "num_hidden_layers": 2,
         "num_attention_heads": 2, "num_key_value_heads": 2, "q_lora_rank": 8, "kv_lora_rank": 8, "qk_nope_head_dim": 6, "qk_rope_head_dim": 4, "v_head_dim": 8, "n_shared_experts": 1, "n_routed_experts": 4,
         "num_experts_per_tok": 2, "routed_scaling_factor": 1.5, "n_group": 1, "topk_group": 1, "norm_topk_prob": true, "first_k_dense_replace": 1, "attention_bias": false,
         "index_n_heads": 2, "index_head_dim": 8, "index_topk": 6, "rope_parameters": {"rope_theta": 10000.0, "rope_type": "default"}, "hidden_act": "silu", "max_position_embeddings": 64,
         "rms_norm_eps": 1e-05, "tie_word_embeddings": false, "initializer_range": 0.2, "num_nextn_predict_layers": 1}
        """;

    /// <summary>Everything on; the MTP loss only where the model has the layer.</summary>
    public static TrainerOptions Options(CausalLm model, bool recompute = false) => new()
    {
        LearningRate = LearningRates.Cosine(2e-2, 2e-3, 3, 20),
        Unit = ScheduleUnit.Steps,
        NextTokenDepths = model.NextToken is null ? 0 : 2,
        BiasRate = Schedule.Constant(1e-2),
        BalanceWeight = 1e-2,
        RecomputeBlocks = recompute,
        Optimizer = new OptimizerOptions(),
    };

    /// <summary>Writes a random model and loads it.</summary>
    public static CausalLm Model(string config, string folder, Compute c, ulong seed = 1)
    {
        ModelInitializer.Write(config, folder, seed);
        using Checkpoint checkpoint = Checkpoint.Open(folder);
        return checkpoint.LoadModel(c.Team);
    }

    /// <summary>Documents of 1 to 30 tokens.</summary>
    public static CutRows Data(ulong seed, int rowLength = 24)
    {
        var random = new Random((int)seed);
        int[][] documents = [.. Enumerable.Range(0, 17).Select(_ => Enumerable.Range(0, random.Next(1, 30)).Select(_ => random.Next(40)).ToArray())];
        return new CutRows(new Mixture<int[]>([new MixtureSource<int[]>("documents", documents, 1)], seed, document => document.Length), rowLength);
    }

    /// <summary>Two micro-batches of two rows.</summary>
    public static MicroBatch[] Batch(CutRows data) => [new([data.Next()!, data.Next()!]), new([data.Next()!, data.Next()!])];

    /// <summary>Writes documents of up to 90 tokens in which a token is followed by the next one or the one after.</summary>
    public static void WriteShard(string path, int vocabulary, byte tokenizer = 0)
    {
        var random = new Random(7);
        using var writer = new TokenShardWriter(path, vocabulary, 0, [.. Enumerable.Repeat(tokenizer, 32)]);
        for (int i = 0; i < 60; i++)
        {
            var tokens = new int[random.Next(1, 90)];
            tokens[0] = random.Next(vocabulary);
            for (int t = 1; t < tokens.Length; t++)
                tokens[t] = (tokens[t - 1] + 1 + random.Next(2)) % vocabulary;
            writer.Add(tokens);
        }

        writer.Commit();
    }

    /// <summary>Every number of a training state, by name.</summary>
    public static Dictionary<string, float[]> State(Trainer trainer) =>
        trainer.Model.Parameters.ToDictionary(p => p.Name, p => p.EnsureValue().F32.ToArray())
            .Concat(trainer.Optimizer.State.Select(s => KeyValuePair.Create(s.Key, s.Value.F32.ToArray()))).ToDictionary();

    /// <summary>Fails with the first tensor whose bits differ.</summary>
    public static void AssertSame(Dictionary<string, float[]> expected, Dictionary<string, float[]> actual)
    {
        Assert.Equal(expected.Keys.Order(StringComparer.Ordinal), actual.Keys.Order(StringComparer.Ordinal));
        foreach ((string name, float[] values) in expected)
            Models.EqualBits.AssertSame(values, actual[name], name);
    }
}
