using System.Text.Json;
using Glimmer.Formats;
using Glimmer.Quantization;
using Glimmer.Tensors;
using Xunit.Abstractions;

namespace Glimmer.Tests.Formats;

[Trait("Category", "Golden")]
public class SafetensorsGoldenTests(ITestOutputHelper output)
{
    public static TheoryData<string> Cases => RecordedTensors.Cases("safetensors");

    public static TheoryData<string> Products =>
        Fixtures.Rows(ProductFolder is null ? null : Directory.EnumerateFiles(ProductFolder, "*.json").Select(Path.GetFileNameWithoutExtension)
            .OfType<string>());

    private static string? ProductFolder => Fixtures.Folder(Path.Combine("formats", "w4a8"));

    [SkippableTheory]
    [MemberData(nameof(Cases))]
    public void Checkpoints_give_the_recorded_tensors(string name)
    {
        Fixtures.SkipIfAbsent(name);
        (string folder, JsonElement reference) = RecordedTensors.Case("safetensors", name);
        using WeightSource weights = SafetensorsWeights.Open(folder);
        RecordedTensors.Compare(weights, reference.GetProperty("tensors"));
    }

    [SkippableTheory]
    [MemberData(nameof(Cases))]
    public void Fully_recorded_tensors_are_equal_row_by_row(string name)
    {
        Fixtures.SkipIfAbsent(name);
        (string folder, JsonElement reference) = RecordedTensors.Case("safetensors", name);
        using WeightSource weights = SafetensorsWeights.Open(folder);
        using SafetensorsFile recorded = SafetensorsFile.Open(Path.Combine(folder, "reference.safetensors"));
        foreach (JsonElement tensor in reference.GetProperty("full_tensors").EnumerateArray())
        {
            TensorInfo info = weights.Get(tensor.GetString()!);
            Span<float> expected = recorded.View("weight." + info.Name).F32;
            var row = new float[info.RowLength];
            for (int r = 0; r < info.Rows; r++)
            {
                weights.ReadFloat32Rows(info.Name, r, 1, row);
                Assert.True(expected.Slice(r * info.RowLength, info.RowLength).SequenceEqual(row), $"{info}: row {r}");
            }
        }
    }

    [SkippableTheory]
    [MemberData(nameof(Cases))]
    public void Computed_weights_that_come_as_blocks_have_the_same_values(string name)
    {
        Fixtures.SkipIfAbsent(name);
        (string folder, _) = RecordedTensors.Case("safetensors", name);
        using WeightSource weights = SafetensorsWeights.Open(folder);
        int blocks = 0, computed = 0;
        foreach (TensorInfo info in weights.Tensors.Where(t => t.IsComputed))
        {
            computed++;
            if (info.RowType == DType.F32)
                continue;
            blocks++;
            var bytes = new byte[info.RowType.ByteSize(info.Count)];
            float[] expected = new float[info.Count], actual = new float[info.Count];
            weights.ReadRows(info.Name, 0, (int)info.Rows, bytes);
            Dequantizer.ToFloat32(info.RowType, bytes, actual);
            weights.ReadFloat32(info.Name, expected);
            Kernels.MatMulTests.AssertSameBits(expected, actual, info.ToString());
        }

        output.WriteLine($"{blocks} of {computed} computed tensors come as blocks");
        Assert.Equal(name == "glm4moe-int4-packed", blocks > 0);
    }

    [SkippableTheory]
    [MemberData(nameof(Products))]
    public void Packed_int4_products_equal_the_recorded_ones(string name)
    {
        Fixtures.SkipIfAbsent(name);
        JsonElement about = JsonDocument.Parse(File.ReadAllText(Path.Combine(ProductFolder!, name + ".json"))).RootElement;
        using SafetensorsFile recorded = SafetensorsFile.Open(Path.Combine(ProductFolder!, name + ".safetensors"));
        int n = about.GetProperty("n").GetInt32();
        int k = about.GetProperty("k").GetInt32();
        int m = about.GetProperty("m").GetInt32();
        int groupSize = about.GetProperty("group_size").GetInt32();
        int groups = k / groupSize;
        double tolerance = about.GetProperty("tolerance").GetDouble();
        Span<byte> packed = recorded.View("weight_packed").Bytes;
        Span<float> scales = recorded.View("weight_scale").F32;
        Span<float> x = recorded.View("x").F32;
        Span<byte> codes = recorded.View("x_int8").Bytes;
        Span<float> xScale = recorded.View("x_scale").F32;
        Span<int> sums = recorded.View("group_sums").I32;
        Span<float> y = recorded.View("y").F32;
        Span<float> yFloat = recorded.View("y_dequantised_weight_f32_activations").F32;
        var weights = new float[k];
        double worst = 0;
        for (int o = 0; o < n; o++)
        {
            Span<byte> row = packed.Slice(o * PackedInt4.RowBytes(k), PackedInt4.RowBytes(k));
            PackedInt4.Dequantize(row, scales.Slice(o * groups, groups), [], groupSize, weights);
            for (int t = 0; t < m; t++)
            {
                double product = 0;
                double integer = 0;
                for (int g = 0; g < groups; g++)
                {
                    int sum = 0;
                    for (int c = g * groupSize; c < (g + 1) * groupSize; c++)
                        sum += PackedInt4.Code(row, c) * (sbyte)codes[t * k + c];
                    Assert.Equal(sums[(t * n + o) * groups + g], sum);
                    integer += (double)scales[o * groups + g] * sum;
                }

                for (int c = 0; c < k; c++)
                    product += (double)weights[c] * x[t * k + c];
                worst = Math.Max(worst, Math.Max(Math.Abs(product - yFloat[t * n + o]), Math.Abs(integer * xScale[t] - y[t * n + o])));
            }
        }

        output.WriteLine($"{name}: largest difference {worst:E2}, allowed {tolerance:E2}");
        Assert.True(worst <= tolerance);
    }
}
