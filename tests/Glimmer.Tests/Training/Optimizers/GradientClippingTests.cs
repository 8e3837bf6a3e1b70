using System.Globalization;
using System.Text.Json;
using Glimmer.Operations;
using Glimmer.Tensors;
using Glimmer.Training.Optimizers;
using Xunit.Abstractions;

namespace Glimmer.Tests.Training.Optimizers;

public class GradientClippingTests(ITestOutputHelper output)
{
    public static TheoryData<string> Cases => TrainingCase.Rows("", "gradient_clipping");

    [SkippableTheory]
    [MemberData(nameof(Cases))]
    [Trait("Category", "Golden")]
    public void Gradients_are_clipped_by_their_global_norm(string name)
    {
        Fixtures.SkipIfAbsent(name);
        using TrainingCase golden = TrainingCase.Open(name);
        JsonElement tolerance = golden.Json.GetProperty("tolerance");
        foreach (JsonElement json in golden.Json.GetProperty("cases").EnumerateArray())
        {
            string prefix = json.GetProperty("name").GetString()!;
            var parameters = new List<Parameter>();
            for (int i = 0; golden.Has($"{prefix}.grad{i}"); i++)
            {
                var parameter = new Parameter($"p{i}", Tensor.Allocate(DType.F32, golden.Shape($"{prefix}.grad{i}")));
                parameter.EnableGradient();
                golden.F32($"{prefix}.grad{i}").CopyTo(parameter.Gradient!.F32);
                parameters.Add(parameter);
            }

            string order = json.GetProperty("norm_type").GetString()!;
            double norm = GradientClipping.Norm(parameters, order == "inf" ? double.PositiveInfinity : double.Parse(order, CultureInfo.InvariantCulture));
            double recorded = Number(json.GetProperty("total_norm_fp64"));
            double factor = GradientClipping.Coefficient(norm, json.GetProperty("max_norm").GetDouble());
            output.WriteLine($"{prefix}: norm {norm:g9}, recorded {recorded:g9}");
            if (double.IsNaN(recorded))
            {
                Assert.True(double.IsNaN(norm) && double.IsNaN(factor));
                Assert.NotNull(GradientClipping.FirstNotFinite(parameters));
                continue;
            }

            Assert.Null(GradientClipping.FirstNotFinite(parameters));
            Assert.True(Math.Abs(norm - recorded) <= tolerance.GetProperty("norm_relative").GetDouble() * recorded, $"{prefix}: norm {norm:g9} instead of {recorded:g9}");
            GradientClipping.Scale(parameters, (float)factor);

            // Where the squares overflow in fp32 the recording has zeros; sums in fp64 clip to the norm asked for.
            bool overflows = double.IsInfinity(Number(json.GetProperty("total_norm")));
            for (int i = 0; i < parameters.Count; i++)
            {
                float[] expected = golden.F32($"{prefix}.{(overflows ? "grad" : "clipped")}{i}");
                for (int k = 0; k < expected.Length; k++)
                {
                    double target = overflows ? expected[k] * (json.GetProperty("max_norm").GetDouble() / recorded) : expected[k];
                    Assert.True(Math.Abs(parameters[i].Gradient!.F32[k] - target) <= tolerance.GetProperty("grad_relative").GetDouble() * Math.Abs(target), $"{prefix}: p{i}[{k}]");
                }
            }
        }
    }

    [Fact]
    public void The_first_parameter_that_is_not_finite_is_named()
    {
        using var good = new Parameter("a", Tensor.Allocate(DType.F32, 3));
        using var bad = new Parameter("b", Tensor.Allocate(DType.F32, 40));
        good.EnableGradient();
        bad.EnableGradient();
        Assert.Null(GradientClipping.FirstNotFinite([bad, good]));
        bad.Gradient!.F32[37] = float.PositiveInfinity;
        Assert.Same(bad, GradientClipping.FirstNotFinite([bad, good]));
    }

    private static double Number(JsonElement value) =>
        value.ValueKind == JsonValueKind.String
            ? value.GetString() switch { "inf" => double.PositiveInfinity, "nan" => double.NaN, string text => double.Parse(text, CultureInfo.InvariantCulture), _ => 0 }
            : value.GetDouble();
}
