using System.Globalization;
using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Tensors;
using Glimmer.Training.Optimizers;
using Xunit.Abstractions;

namespace Glimmer.Tests.Training;

/// <summary>Bytes of a training step beside what the sizes of a model say.</summary>
public sealed class TrainingMemoryTests(ITestOutputHelper output)
{
    // The scaled-down GLM-4.5 configurations S1 and S2: vocabulary, width, layers, heads, key-value heads, head width, inner width, inner width of an expert.
    public static TheoryData<string, int[]> Sizes => new()
    {
        { "S1", [1024, 64, 5, 10, 2, 16, 160, 24] },
        { "S2", [4096, 128, 8, 10, 2, 32, 320, 48] },
    };

    private const int Experts = 32;
    private const int Chosen = 8;

    [Theory, MemberData(nameof(Sizes))]
    public void Activations_take_what_the_shapes_of_saved_values_say(string name, int[] size)
    {
        (double dense, double sparse) = SavedFloats(size);
        double stored = sizeof(float) * (dense + ((size[2] - 1) * sparse)), recomputed = sizeof(float) * ((size[2] * size[1]) + sparse);
        (double kept, double peak) = Run(size, recompute: false);
        (double inputs, double peakRecomputed) = Run(size, recompute: true);
        output.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{name}, KiB a token: stored {kept / 1024:f1} (formula {stored / 1024:f1}), at the most with gradients {peak / 1024:f1}; recomputed: inputs of layers {inputs / 1024:f1}, at the most with gradients {peakRecomputed / 1024:f1} (formula without gradients {recomputed / 1024:f1})"));
        Assert.InRange(kept, 0.9 * stored, 1.08 * stored);
        // Recomputation keeps the inputs of the layers and one layer's values; the gradients of a layer come on top of either.
        Assert.InRange(peakRecomputed - (peak - kept), 0.9 * recomputed, 1.1 * recomputed);
    }

    [Theory, MemberData(nameof(Sizes))]
    public void Weights_gradients_and_optimizer_take_12_bytes_a_parameter_of_Muon_and_16_of_AdamW(string name, int[] size)
    {
        using var folder = new TemporaryFolder();
        using var c = new Compute(1);
        using CausalLm model = TinyRun.Model(Config(size), folder["model"], c);
        using var optimizer = new Optimizer(model, new OptimizerOptions());
        long bytes = optimizer.Parameters.Sum(parameter => (parameter.Value!.Count + parameter.Gradient!.Count) * (long)sizeof(float)) + optimizer.State.Sum(pair => pair.Value.Count * (long)sizeof(float));
        long matrices = optimizer.State.Where(pair => pair.Key.StartsWith("momentum:", StringComparison.Ordinal)).Sum(pair => pair.Value.Count), all = optimizer.Parameters.Sum(parameter => parameter.Value!.Count);
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{name}: {all} parameters, {bytes / 1e6:f1} MB"));
        Assert.Equal((12 * matrices) + (16 * (all - matrices)), bytes);
        // What the reference implementation of these sizes counts: 0.90 and 6.25 million, of which AdamW has embedding, head and vectors.
        Assert.Equal(name == "S1" ? 903_104 : 6_250_624, all);
        Assert.InRange(all - matrices, 2L * size[0] * size[1], (2L * size[0] * size[1]) + (0.01 * all));
    }

    // Floats a token that the backward pass of a layer reads: hidden states and norms, projections before and after the norms of heads, heads and their log-sum-exp, gate, up and product,
    // outputs and scores of experts.
    private static (double Dense, double Sparse) SavedFloats(int[] size)
    {
        (int width, int heads, int kvHeads, int dim, int inner, int expert) = (size[1], size[3], size[4], size[5], size[6], size[7]);
        double attention = (4 * width) + (2 * (heads + (2 * kvHeads)) * dim) + (heads * dim) + heads;
        return (attention + (3 * inner), attention + (3 * (Chosen + 1) * expert) + (Chosen * width) + (2 * Experts));
    }

    // Bytes a token in the workspace behind the forward pass, and at the most in a whole step.
    private static (double Kept, double Peak) Run(int[] size, bool recompute)
    {
        const int length = 256, rows = 4;
        using var folder = new TemporaryFolder();
        using var c = new Compute(2) { RecomputeBlocks = recompute };
        using CausalLm model = TinyRun.Model(Config(size), folder["model"], c);
        using var optimizer = new Optimizer(model, new OptimizerOptions());
        var random = new Random(1);
        var batch = new Batch();
        int[] targets = [.. Enumerable.Range(0, rows * length).Select(_ => random.Next(size[0]))];
        for (int row = 0; row < rows; row++)
            batch.AddDocument(targets.AsSpan(row * length, length));
        var tape = new Tape();
        c.Begin(tape);
        Tensor hidden = model.Forward(c, batch);
        double kept = c.Workspace.UsedBytes;
        model.Loss(c, hidden, targets, [.. Enumerable.Repeat(1f / targets.Length, targets.Length)]);
        tape.Backward();
        return (kept / targets.Length, (double)c.Workspace.PeakBytes / targets.Length);
    }

    private static string Config(int[] size) => string.Create(
        CultureInfo.InvariantCulture,
        $$"""
        {"architectures": ["Glm4MoeForCausalLM"], "model_type": "glm4_moe", "vocab_size": {{size[0]}}, "hidden_size": {{size[1]}}, "num_hidden_layers": {{size[2]}}, "num_attention_heads": {{size[3]}},
         "num_key_value_heads": {{size[4]}}, "head_dim": {{size[5]}}, "intermediate_size": {{size[6]}}, "moe_intermediate_size": {{size[7]}}, "n_routed_experts": {{Experts}}, "num_experts_per_tok": {{Chosen}},
         "n_shared_experts": 1, "first_k_dense_replace": 1, "norm_topk_prob": true, "routed_scaling_factor": 1.0, "n_group": 1, "topk_group": 1, "attention_bias": true, "use_qk_norm": true,
         "partial_rotary_factor": 0.5, "rope_theta": 10000.0, "hidden_act": "silu", "max_position_embeddings": 512, "rms_norm_eps": 1e-05, "tie_word_embeddings": false, "initializer_range": 0.02,
         "num_nextn_predict_layers": 0}
        """);
}
