using System.Text.Json;
using Glimmer.Formats;
using Glimmer.Kernels;
using Glimmer.Operations;
using Glimmer.Tensors;
using Glimmer.Training.Optimizers;
using Xunit.Abstractions;

namespace Glimmer.Tests.Training.Optimizers;

[Trait("Category", "Golden")]
public class OptimizerGoldenTests(ITestOutputHelper output)
{
    public static TheoryData<string> AdamWCases => TrainingCase.Rows("optimizers", "adamw_trajectory");

    public static TheoryData<string> MuonCases => TrainingCase.Rows("optimizers", "muon_trajectory");

    [SkippableTheory]
    [MemberData(nameof(AdamWCases))]
    public void AdamW_follows_the_recorded_trajectory(string name)
    {
        Fixtures.SkipIfAbsent(name);
        using TrainingCase golden = TrainingCase.Open(name);
        using var team = new ThreadTeam(2);
        JsonElement json = golden.Json;
        var options = new AdamWOptions
        {
            Beta1 = json.GetProperty("betas")[0].GetDouble(),
            Beta2 = json.GetProperty("betas")[1].GetDouble(),
            Epsilon = json.GetProperty("eps").GetDouble(),
        };
        int[] recorded = Integers(json.GetProperty("recorded_steps"));
        var worst = new Dictionary<string, double> { ["param"] = 0, ["exp_avg"] = 0, ["exp_avg_sq"] = 0 };
        foreach (JsonElement group in json.GetProperty("groups").EnumerateArray())
        {
            foreach (string parameter in group.GetProperty("params").EnumerateArray().Select(p => p.GetString()!))
            {
                using var p = new Parameter(parameter, Tensor.From(golden.F32("param0." + parameter), golden.Shape("param0." + parameter)));
                p.EnableGradient();
                using var state = Tensor.Allocate(DType.F32, p.Shape);
                using var square = Tensor.Allocate(DType.F32, p.Shape);
                var adam = new AdamWParameter(p, state, square, group.GetProperty("weight_decay").GetSingle());
                float[] gradients = golden.F32("grad." + parameter);
                int count = (int)p.Count, next = 0;
                for (int step = 1; step <= json.GetProperty("steps").GetInt32(); step++)
                {
                    Span<float> gradient = gradients.AsSpan((step - 1) * count, count);
                    gradient.CopyTo(p.Gradient!.F32);
                    // NaN stands for no gradient at all.
                    if (!float.IsNaN(gradient[0]))
                        AdamW.Step(team, [adam], json.GetProperty("lr_by_step")[step - 1].GetDouble(), options);
                    if (next == recorded.Length || recorded[next] != step)
                        continue;
                    foreach ((string key, Tensor value) in new[] { ("param", p.Value!), ("exp_avg", state), ("exp_avg_sq", square) })
                        worst[key] = Math.Max(worst[key], TrainingCase.Largest(golden.F32($"{key}.{parameter}").AsSpan(next * count, count), value.F32));
                    next++;
                }

                Assert.Equal(json.GetProperty("step_count_at_end").GetProperty(parameter).GetInt64(), adam.Steps);
            }
        }

        foreach ((string key, double difference) in worst)
        {
            double tolerance = json.GetProperty("tolerance_max_abs").GetProperty(key).GetDouble();
            output.WriteLine($"{key}: largest difference {difference:g3}, allowed {tolerance:g3}");
            Assert.True(difference <= tolerance, $"{key}: {difference:g3} > {tolerance:g3}");
        }
    }

    [SkippableTheory]
    [MemberData(nameof(MuonCases))]
    public void Muon_follows_the_recorded_trajectory(string name)
    {
        Fixtures.SkipIfAbsent(name);
        using TrainingCase golden = TrainingCase.Open(name);
        using var team = new ThreadTeam(2);
        JsonElement json = golden.Json;
        using SafetensorsFile data = golden.Beside(json.TryGetProperty("data_file", out JsonElement file) && file.ValueKind == JsonValueKind.String
            ? file.GetString()! : json.GetProperty("file").GetString()!);
        string[] guard = json.GetProperty("norm_eps").GetString()!.Split('_');
        string scale = json.GetProperty("scale").GetString()!.Replace(" ", "", StringComparison.Ordinal);
        int star = scale.IndexOf('*', StringComparison.Ordinal);
        var step = new NewtonSchulzStep(Number(json, 0), Number(json, 1), Number(json, 2));
        var options = new OptimizerOptions
        {
            Muon = new MuonOptions
            {
                Momentum = json.GetProperty("momentum").GetSingle(),
                Nesterov = json.GetProperty("nesterov").GetBoolean(),
                MomentumForm = json.GetProperty("momentum_form").GetString() == "sum" ? MomentumForm.Sum : MomentumForm.Average,
                Iterations = [.. Enumerable.Repeat(step, json.GetProperty("ns_steps").GetInt32())],
                NormGuard = guard[0] == "plus" ? NormGuard.Add : NormGuard.Maximum,
                NormEpsilon = float.Parse(guard[1], System.Globalization.CultureInfo.InvariantCulture),
                Scale = scale.Contains("max(rows,cols)", StringComparison.Ordinal) ? UpdateScale.LargerSide : UpdateScale.AspectRatio,
                ScaleFactor = star > 0 && float.TryParse(scale[..star], System.Globalization.CultureInfo.InvariantCulture, out float factor) ? factor : 1,
            },
        };
        string[] names = [.. json.GetProperty("shapes").EnumerateObject().Select(p => p.Name)];
        Parameter[] parameters = [.. names.Select(p => new Parameter(p, Tensor.From(data.View("param0." + p).F32, data.Find("param0." + p)!.Shape)))];
        using var optimizer = new Optimizer(parameters.Select(p => new ParameterRule(p, MatrixRule.Muon, json.GetProperty("weight_decay").GetSingle(), MatrixSplit.Whole)), options);
        Dictionary<string, Tensor> state = optimizer.State.ToDictionary();
        int[] recorded = Integers(json.GetProperty("recorded_steps"));
        (double worstParameter, double worstMomentum, int next) = (0, 0, 0);
        for (int t = 1; t <= json.GetProperty("steps").GetInt32(); t++)
        {
            foreach (Parameter p in parameters)
                data.View("grad." + p.Name).F32.Slice((t - 1) * (int)p.Count, (int)p.Count).CopyTo(p.Gradient!.F32);
            optimizer.Step(team, json.GetProperty("lr_by_step")[t - 1].GetDouble());
            if (next == recorded.Length || recorded[next] != t)
                continue;
            foreach (Parameter p in parameters)
            {
                worstParameter = Math.Max(worstParameter, TrainingCase.Largest(golden.F32("param." + p.Name).AsSpan(next * (int)p.Count, (int)p.Count), p.Value!.F32));
                worstMomentum = Math.Max(worstMomentum, TrainingCase.Largest(golden.F32("momentum." + p.Name).AsSpan(next * (int)p.Count, (int)p.Count), state["momentum:" + p.Name].F32));
            }

            next++;
        }

        foreach (Parameter p in parameters)
            p.Dispose();
        JsonElement tolerance = json.GetProperty("tolerance_max_abs");
        output.WriteLine($"parameters: largest difference {worstParameter:g3}, allowed {tolerance.GetProperty("param")}; momentum {worstMomentum:g3}, allowed {tolerance.GetProperty("momentum")}");
        Assert.True(worstParameter <= tolerance.GetProperty("param").GetDouble(), $"parameters: {worstParameter:g3}");
        Assert.True(worstMomentum <= tolerance.GetProperty("momentum").GetDouble(), $"momentum: {worstMomentum:g3}");
    }

    private static double Number(JsonElement json, int index) => json.GetProperty("ns_coefficients")[index].GetDouble();

    private static int[] Integers(JsonElement list) => [.. list.EnumerateArray().Select(item => item.GetInt32())];
}
