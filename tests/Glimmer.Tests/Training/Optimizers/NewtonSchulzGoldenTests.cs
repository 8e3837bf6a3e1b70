using System.Text.Json;
using Glimmer.Kernels;
using Glimmer.Tensors;
using Glimmer.Training.Optimizers;
using Xunit.Abstractions;

namespace Glimmer.Tests.Training.Optimizers;

[Trait("Category", "Golden")]
public class NewtonSchulzGoldenTests(ITestOutputHelper output)
{
    private static readonly MuonOptions s_maximum = new() { NormGuard = NormGuard.Maximum, NormEpsilon = 1e-15f };

    public static TheoryData<string> Cases => TrainingCase.Rows("newton_schulz", "newton_schulz");

    public static TheoryData<string> BatchedCases => TrainingCase.Rows("newton_schulz", "newton_schulz_batched");

    public static TheoryData<string> MapCases => TrainingCase.Rows("newton_schulz", "newton_schulz_scalar_map");

    [SkippableTheory]
    [MemberData(nameof(Cases))]
    public void Newton_Schulz_gives_the_recorded_matrices(string name)
    {
        Fixtures.SkipIfAbsent(name);
        using TrainingCase golden = TrainingCase.Open(name);
        using var team = new ThreadTeam(2);
        foreach (JsonElement variant in golden.Json.GetProperty("variants").EnumerateArray())
        {
            string key = variant.GetProperty("key").GetString()!;
            NewtonSchulzStep[] steps = [.. variant.GetProperty("coefficients").EnumerateArray().Select(c => new NewtonSchulzStep(c[0].GetDouble(), c[1].GetDouble(), c[2].GetDouble()))];
            using Tensor x = Tensor.From(golden.F32("input"), golden.Shape("input"));
            Muon.Orthogonalise(team, x, s_maximum with { Iterations = steps });
            Check(key, golden.F32("out." + key), x, golden.Json.GetProperty("tolerance_max_abs").GetProperty(key).GetDouble());
        }

        // bfloat16 iterations of other packages: as far away as recorded, at most twice.
        if (!golden.Json.TryGetProperty("bf16_distance_to_fp64_max_abs", out JsonElement distances))
            return;
        foreach (JsonProperty distance in distances.EnumerateObject())
        {
            MuonOptions options = distance.Name.StartsWith("kj", StringComparison.Ordinal)
                ? new MuonOptions() : new MuonOptions { NormGuard = NormGuard.Maximum, NormEpsilon = 1e-7f };
            using Tensor x = Tensor.From(golden.F32("input"), golden.Shape("input"));
            Muon.Orthogonalise(team, x, options);
            if (golden.Has("out_bf16." + distance.Name))
                Check("bf16 " + distance.Name, golden.F32("out_bf16." + distance.Name), x, (2 * distance.Value.GetDouble()) + 1e-6);
        }
    }

    [SkippableTheory]
    [MemberData(nameof(BatchedCases))]
    public void Matrices_of_a_stack_are_orthogonalised_each_alone(string name)
    {
        Fixtures.SkipIfAbsent(name);
        using TrainingCase golden = TrainingCase.Open(name);
        using var team = new ThreadTeam(2);
        int[] shape = golden.Shape("input");
        int count = shape[1] * shape[2];
        string output5 = golden.Tensors.Tensors.Single(t => t.Name != "input" && t.Count == golden.F32("input").Length).Name;
        for (int i = 0; i < shape[0]; i++)
        {
            using Tensor x = Tensor.From(golden.F32("input").AsSpan(i * count, count), shape[1], shape[2]);
            Muon.Orthogonalise(team, x, s_maximum);
            Check($"matrix {i}", golden.F32(output5).AsSpan(i * count, count), x, golden.Json.GetProperty("tolerance_max_abs").GetDouble());
        }
    }

    [SkippableTheory]
    [MemberData(nameof(MapCases))]
    public void Singular_values_follow_the_polynomial(string name)
    {
        Fixtures.SkipIfAbsent(name);
        using TrainingCase golden = TrainingCase.Open(name);
        JsonElement[] starts = [.. golden.Json.GetProperty("singular_values").EnumerateArray()];
        foreach (JsonProperty map in golden.Json.GetProperty("maps").EnumerateObject())
        {
            NewtonSchulzStep[] list = [.. map.Value.GetProperty("coefficients").EnumerateArray().Select(c => new NewtonSchulzStep(c[0].GetDouble(), c[1].GetDouble(), c[2].GetDouble()))];
            if (map.Name == "simple")
                Assert.All(NewtonSchulz.Simple, step => Assert.Equal(list[0], step));
            if (map.Name == "quintic")
                Assert.Equal(list, NewtonSchulz.Quintic);
            bool repeatsLast = map.Value.GetProperty("after_the_list").GetString()!.Contains("last", StringComparison.Ordinal);
            double worst = 0;
            for (int i = 0; i < starts.Length; i++)
            {
                double s = starts[i].GetDouble();
                JsonElement[] iterates = [.. map.Value.GetProperty("iterates")[i].EnumerateArray()];
                for (int k = 0; k < iterates.Length; k++)
                {
                    s = list[k < list.Length ? k : repeatsLast ? list.Length - 1 : k % list.Length].Apply(s);
                    worst = Math.Max(worst, Math.Abs(s - iterates[k].GetDouble()) / Math.Max(Math.Abs(s), 0.1));
                }
            }

            output.WriteLine($"{map.Name}: largest relative difference {worst:g3}");
            Assert.True(worst < 1e-8, $"{map.Name}: {worst:g3}");
        }
    }

    private void Check(string what, ReadOnlySpan<float> expected, Tensor actual, double tolerance)
    {
        double difference = TrainingCase.Largest(expected, actual.F32);
        output.WriteLine($"{what}: largest difference {difference:g3}, allowed {tolerance:g3}");
        Assert.True(difference <= tolerance, $"{what}: {difference:g3} > {tolerance:g3}");
    }
}
