using Glimmer.Inference;
using Glimmer.Inference.Quality;
using Glimmer.Models;
using Glimmer.Models.Slices;
using Glimmer.Tensors;
using Glimmer.Tests.Cli;

namespace Glimmer.Tests.Inference.Quality;

public class QualityTests
{
    [Fact]
    public void Divergence_is_that_of_the_definition_and_zero_for_equal_rows()
    {
        float[] p = [1, 2, 3], q = [3, 2, 1];
        double[] a = Softmax(p), b = Softmax(q);
        double expected = a.Zip(b, (x, y) => x * Math.Log(x / y)).Sum();
        Assert.Equal(expected, QualityComparison.Divergence(p, q), 1e-12);
        Assert.Equal(0, QualityComparison.Divergence(p, p));
        // A constant on all logits changes nothing.
        Assert.Equal(expected, QualityComparison.Divergence(p, [.. q.Select(value => value + 100)]), 1e-9);
    }

    [Fact]
    public void A_copy_has_no_divergence_and_fewer_bits_have_more()
    {
        using var folder = new TemporaryFolder();
        SliceWriter.Write(ModelSlice.Find("tiny-mtp"), DType.F32, folder["source.gguf"]);
        int[] tokens = [.. Enumerable.Range(0, 60).Select(i => i * 31 % 512)];
        QualityReport Converted(DType type)
        {
            string path = folder[$"{type}.gguf"];
            CheckpointConverter.Convert(folder["source.gguf"], path, type);
            return QualityComparison.Measure(folder["source.gguf"], path, tokens, threads: 1);
        }

        QualityReport copy = Converted(DType.F32), eight = Converted(DType.Q8_0), four = Converted(DType.Q4_0);
        Assert.Equal(59, copy.Tokens);
        Assert.Equal(0, copy.F32.MeanDivergence);
        Assert.Equal(1, copy.F32.SameTop);
        Assert.Equal(copy.SourcePerplexity, copy.F32.Perplexity);
        Assert.True(eight.F32.MeanDivergence > 0 && four.F32.MeanDivergence > 4 * eight.F32.MeanDivergence);
        Assert.True(four.F32.P99Divergence >= four.F32.MeanDivergence);
        Assert.True(eight.Q8.MeanDivergence > eight.F32.MeanDivergence);
    }

    [Fact]
    public void The_default_of_a_file_is_q8_only_where_it_costs_next_to_nothing()
    {
        var exact = new QualityFigures(10, 0.01, 0.1, 0.95);
        Assert.True(new QualityReport(100, 9.9, exact, exact with { Perplexity = 10.04, SameTop = 0.945 }).PrefersQ8);
        Assert.False(new QualityReport(100, 9.9, exact, exact with { Perplexity = 10.06 }).PrefersQ8);
        Assert.False(new QualityReport(100, 9.9, exact, exact with { SameTop = 0.93 }).PrefersQ8);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_file_says_which_activations_it_prefers(bool q8)
    {
        using var folder = new TemporaryFolder();
        SliceWriter.Write(ModelSlice.Find("tiny-mtp"), DType.F32, folder["source.gguf"]);
        CheckpointConverter.Convert(folder["source.gguf"], folder["model.gguf"], StorageRecipe.Of(DType.Q8_0), metadata: [PreferredActivations.Metadata(!q8)]);
        PreferredActivations.Write(folder["model.gguf"], q8);
        using (Checkpoint checkpoint = Checkpoint.Open(folder["model.gguf"]))
            Assert.Equal(q8, checkpoint.PrefersQ8Activations);
        using (Checkpoint silent = Checkpoint.Open(folder["source.gguf"]))
            Assert.False(silent.PrefersQ8Activations);
        Assert.Throws<ModelFormatException>(() => PreferredActivations.Write(folder["source.gguf"], q8));
    }

    [Fact]
    public void A_mixture_gives_more_bits_to_sensitive_matrices()
    {
        StorageRecipe recipe = StorageRecipe.Parse("Q4_K_M");
        Assert.Equal(DType.Q6_K, recipe.TypeOf("output.weight", 16));
        Assert.Equal(DType.Q6_K, recipe.TypeOf("blk.0.attn_v.weight", 16));
        Assert.Equal(DType.Q4_K, recipe.TypeOf("blk.2.attn_v.weight", 16));
        Assert.Equal(DType.Q6_K, recipe.TypeOf("blk.4.ffn_down_exps.weight", 16));
        Assert.Equal(DType.Q6_K, recipe.TypeOf("blk.15.ffn_down.weight", 16));
        Assert.Equal(DType.Q4_K, recipe.TypeOf("blk.15.ffn_gate.weight", 16));
        Assert.Equal(DType.Q4_0, StorageRecipe.Parse("q4_0").TypeOf("output.weight", 16));
        Assert.Contains("q5_k_m", Assert.Throws<UnsupportedModelException>(() => StorageRecipe.Parse("q9")).Message, StringComparison.Ordinal);
    }

    [SkippableFact]
    public void The_command_writes_a_file_that_runs_and_reports_its_quality()
    {
        string? source = Fixtures.Folder(Path.Combine("formats", "gguf", "glm4moe-q8_0-mtp")) is { } found ? Path.Combine(found, "model.gguf") : null;
        Skip.If(source is null, "no golden data: set GLIMMER_FIXTURES to the folder that holds it");
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["text.txt"], string.Concat(Enumerable.Repeat("The quick brown fox jumps over the lazy dog. ", 4)));
        string output = folder["model.gguf"];
        CommandRun run = CommandRun.Of("quantize", source, output, "--type", "q4_0", "--text", folder["text.txt"], "--threads", "1", "--json").Succeeded();
        Assert.True(run.Json.GetProperty("tokens").GetInt32() > 50);
        double divergence = run.Json.GetProperty("f32").GetProperty("kl_mean").GetDouble();
        Assert.InRange(divergence, 1e-6, 2);
        using LoadedModel model = LoadedModel.Open(output, 1);
        Assert.Equal(run.Json.GetProperty("default_activations").GetString() == "q8", model.PrefersQ8Activations);
        Assert.Contains("exists already", CommandRun.Of("quantize", source, output, "--type", "q4_0").Error, StringComparison.Ordinal);
        Assert.Equal(["model.gguf", "text.txt"], Directory.GetFiles(folder.ToString()).Select(Path.GetFileName).Order());
    }

    private static double[] Softmax(float[] logits)
    {
        double sum = logits.Sum(value => Math.Exp(value));
        return [.. logits.Select(value => Math.Exp(value) / sum)];
    }
}
