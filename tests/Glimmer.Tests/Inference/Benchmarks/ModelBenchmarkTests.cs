using Glimmer.Inference.Benchmarks;
using Glimmer.Kernels;
using Glimmer.Models;
using Glimmer.Models.Slices;
using Glimmer.Operations;
using Glimmer.Tensors;

namespace Glimmer.Tests.Inference.Benchmarks;

public class ModelBenchmarkTests
{
    [Theory]
    [InlineData("pp512", BenchmarkKind.Prompt, 512, 1, 0)]
    [InlineData("tg32", BenchmarkKind.Decode, 32, 1, 0)]
    [InlineData("tg32b8", BenchmarkKind.Decode, 32, 8, 0)]
    [InlineData("gen16b2", BenchmarkKind.Generate, 16, 2, 0)]
    [InlineData("hit16384+64", BenchmarkKind.PrefixHit, 16384, 1, 64)]
    [InlineData("mix8+4096", BenchmarkKind.Arrival, 4096, 8, 0)]
    public void A_test_is_read_from_its_name(string name, BenchmarkKind kind, int tokens, int sequences, int added) =>
        Assert.Equal(new BenchmarkTest(name, kind, tokens, sequences, added), BenchmarkTest.Parse(name));

    [Fact]
    public void The_acceptance_is_part_of_the_name() => Assert.Equal(0.85, BenchmarkTest.Parse("mtp64@0.85").Acceptance);

    [Theory]
    [InlineData("")]
    [InlineData("pp")]
    [InlineData("pp0")]
    [InlineData("pp12b2")]
    [InlineData("mtp64")]
    [InlineData("mtp64@1.5")]
    [InlineData("hit16")]
    [InlineData("tg99999999999")]
    public void A_wrong_name_is_refused(string name) => Assert.Throws<FormatException>(() => BenchmarkTest.Parse(name));

    [Fact]
    public void Forced_acceptance_is_what_the_engine_sees_and_its_bytes_are_predicted()
    {
        IReadOnlyList<BenchmarkResult> results = Run("tiny-mtp", 1, [0], "mtp120@0", "mtp120@0.7", "mtp120@1");
        SpeculationFigures none = results[0].Speculation!, most = results[1].Speculation!, all = results[2].Speculation!;
        Assert.Equal(0, none.Acceptance);
        Assert.Equal(1, none.TokensPerStep, 0.001);
        Assert.InRange(most.Acceptance, 0.5, 0.85);
        Assert.Equal(1, all.Acceptance);
        Assert.InRange(all.TokensPerStep, 3.5, 4);
        Assert.Equal((1.0, 0), (none.BestPredicted, none.BestDrafts));
        Assert.True(all.BestPredicted > none.BestPredicted);
        Assert.True(none.AsRunPredicted < 1 && all.AsRunPredicted > none.AsRunPredicted);
        // 4 of 16 experts a token: a layer reads more of them in a pass over more tokens.
        Assert.Equal(4, all.Unions[0]);
        Assert.True(all.Unions[1] > 4 && all.Unions[2] > all.Unions[1] && all.Unions[3] > all.Unions[2] && all.Unions[3] <= 16);
        Assert.InRange(all.Unions[3], 9, 13); // uniform routing: 16 (1 - (1 - 4/16)^4) = 10.9
    }

    [Fact]
    public void Tests_give_medians_between_least_and_most_at_every_depth_and_kind_of_activations()
    {
        IReadOnlyList<BenchmarkResult> results = Run("tiny-dsa", 3, [0, 100], "pp40", "tg5");
        Assert.Equal(8, results.Count);
        Assert.All(results, result => Assert.InRange(result.TokensPerSecond, result.Least, result.Most));
        Assert.All(results, result => Assert.True(result.ReadGigabytesPerSecond > 0));
        Assert.Equal([0, 0, 100, 100, 0, 0, 100, 100], results.Select(result => result.Depth));
        Assert.Equal(["f32", "q8", "f32", "q8"], results.Take(4).Select(result => result.Activations));
        Assert.All(results.Take(4), result => Assert.True(result.FirstTokenMilliseconds > 0 && result.ReadShare is null));
        Assert.All(results.Skip(4), result => Assert.True(result.ReadShare > 0));
    }

    [Fact]
    public void A_step_of_the_engine_allocates_nothing_and_a_prefix_is_hit()
    {
        IReadOnlyList<BenchmarkResult> results = Run("tiny-mtp", 1, [0], "gen64b2", "hit128+10", "mix2+64");
        Assert.Equal(0, results[0].AllocatedBytesPerToken);
        Assert.InRange(results[1].HitShare!.Value, 0.0001, 10);
        Assert.True(results[2].Gap!.Value.P99 > 0);
    }

    [Fact]
    public void Options_that_make_no_sense_are_refused()
    {
        Assert.Contains("MTP layer", Assert.Throws<ArgumentException>(() => Run("tiny-dsa", 1, [0], "mtp8@0.5")).Message, StringComparison.Ordinal);
        Assert.Contains("one sequence", Assert.Throws<ArgumentException>(() => Run("tiny-dsa", 1, [5], "tg8b2")).Message, StringComparison.Ordinal);
    }

    private static List<BenchmarkResult> Run(string slice, int repetitions, int[] depths, params string[] tests)
    {
        using var folder = new TemporaryFolder();
        string path = folder["slice.gguf"];
        SliceWriter.Write(ModelSlice.Find(slice), DType.Q8_0, path);
        using Checkpoint checkpoint = Checkpoint.Open(path);
        using var team = new ThreadTeam(2);
        using CausalLm model = checkpoint.LoadModel(team);
        using var c = new Compute(team);
        using var benchmark = new ModelBenchmark(model, c, new BenchmarkOptions
        {
            Tests = [.. tests.Select(BenchmarkTest.Parse)],
            Repetitions = repetitions,
            Depths = depths,
            Activations = depths.Length > 1 ? [ActivationType.F32, ActivationType.Q8] : [ActivationType.F32],
        });
        List<BenchmarkResult> results = [.. benchmark.Run()];
        ProcessMemory memory = benchmark.ReadMemory();
        Assert.True(memory.Weights > 0 && memory.Cache > 0 && memory.Peak > memory.Weights);
        return results;
    }
}
