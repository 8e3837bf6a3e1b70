using System.Globalization;

namespace Glimmer.Benchmarks.TrainingSpeed;

/// <summary>A model to train and the batch of a step: the scaled-down GLM-4.5 configurations S1 to S3 and a dense model of 135M parameters.</summary>
/// <param name="Name">Name on the command line.</param>
/// <param name="Vocabulary">Tokens of the vocabulary, V.</param>
/// <param name="Width">Hidden size.</param>
/// <param name="Layers">Decoder layers; the first is dense in a sparse model.</param>
/// <param name="Heads">Query heads, key-value heads and their width.</param>
/// <param name="Inner">Inner width of the dense layers and of an expert (0: no experts).</param>
/// <param name="Experts">Routed experts; 8 are chosen, one is shared.</param>
/// <param name="Rows">Rows of a micro-batch, tokens of a row, micro-batches of a step.</param>
internal sealed record TrainingWork(
    string Name, int Vocabulary, int Width, int Layers, (int Query, int KeyValue, int Width) Heads, (int Dense, int Expert) Inner, int Experts,
    (int Count, int Length, int MicroBatches) Rows)
{
    private const int Chosen = 8;

    public static readonly TrainingWork[] All =
    [
        new("S1", 1024, 64, 5, (10, 2, 16), (160, 24), 32, (64, 128, 1)),
        new("S2", 4096, 128, 8, (10, 2, 32), (320, 48), 32, (32, 256, 1)),
        new("S3", 8192, 256, 10, (20, 4, 32), (640, 64), 24, (8, 512, 2)),
        new("dense135m", 49152, 576, 30, (9, 3, 64), (1536, 0), 0, (2, 512, 1)),
    ];

    public bool IsSparse => Experts > 0;

    /// <summary>Tokens of a step.</summary>
    public int Tokens => MicroBatchTokens * Rows.MicroBatches;

    /// <summary>Tokens of a micro-batch.</summary>
    public int MicroBatchTokens => Rows.Count * Rows.Length;

    public static TrainingWork Find(string name) => Array.Find(All, work => work.Name == name)
        ?? throw new ArgumentException($"'{name}' is no configuration; there are {string.Join(", ", All.Select(work => work.Name))}.");

    /// <summary>The configuration as <c>config.json</c>.</summary>
    /// <param name="nextTokenLayers">MTP layers, 0 or 1.</param>
    public string Config(int nextTokenLayers)
    {
        string common = string.Create(
            CultureInfo.InvariantCulture,
            $$"""
            "vocab_size":{{Vocabulary}},"hidden_size":{{Width}},"num_hidden_layers":{{Layers}},"num_attention_heads":{{Heads.Query}},"num_key_value_heads":{{Heads.KeyValue}},
            "head_dim":{{Heads.Width}},"intermediate_size":{{Inner.Dense}},"rms_norm_eps":1e-5,"hidden_act":"silu","initializer_range":0.02,"max_position_embeddings":2048
            """);
        if (!IsSparse)
            return $$"""{"architectures":["LlamaForCausalLM"],"model_type":"llama","attention_bias":false,"mlp_bias":false,"tie_word_embeddings":true,"rope_theta":100000.0,{{common}}}""";
        return string.Create(
            CultureInfo.InvariantCulture,
            $$"""
            {"architectures":["Glm4MoeForCausalLM"],"model_type":"glm4_moe","attention_bias":true,"use_qk_norm":true,"tie_word_embeddings":false,"partial_rotary_factor":0.5,"rope_theta":10000.0,
            "moe_intermediate_size":{{Inner.Expert}},"n_routed_experts":{{Experts}},"num_experts_per_tok":{{Chosen}},"n_shared_experts":1,"first_k_dense_replace":1,"norm_topk_prob":true,
            "routed_scaling_factor":1.0,"n_group":1,"topk_group":1,"num_nextn_predict_layers":{{nextTokenLayers}},{{common}}}
            """);
    }

    /// <summary>Rows from a Markov source: the next token is <c>7 x token + {0..3} mod 1024</c>, so that a loss can fall to ln 4.</summary>
    /// <returns>Rows of one token more than the length.</returns>
    public int[][] Data(int seed)
    {
        var random = new Random(seed);
        int vocabulary = Math.Min(Vocabulary, 1024);
        var rows = new int[Rows.Count][];
        for (int r = 0; r < rows.Length; r++)
        {
            rows[r] = new int[Rows.Length + 1];
            rows[r][0] = random.Next(vocabulary);
            for (int t = 0; t < Rows.Length; t++)
                rows[r][t + 1] = ((rows[r][t] * 7) + random.Next(4)) % vocabulary;
        }

        return rows;
    }
}
