using System.Text.Json;
using Glimmer.Formats;
using Glimmer.Quantization;
using Glimmer.Tensors;
using Xunit.Abstractions;

namespace Glimmer.Tests.Quantization;

[Trait("Category", "Golden")]
public class QuantizeGoldenTests(ITestOutputHelper output)
{
    private static string? Folder => Fixtures.Folder(Path.Combine("formats", "quantize"));

    public static TheoryData<string> Types => Fixtures.Rows(Folder is null ? null
        : Index().GetProperty("types").EnumerateArray().Select(t => t.GetProperty("file").GetString()!));

    public static TheoryData<string> Float8Files => Fixtures.Rows(Folder is null ? null
        : Directory.EnumerateFiles(Folder, "f8*.safetensors").Select(Path.GetFileName).OfType<string>());

    [SkippableTheory]
    [MemberData(nameof(Types))]
    public void Rows_quantise_like_the_reference(string file)
    {
        Fixtures.SkipIfAbsent(file);
        JsonElement index = Index();
        JsonElement entry = index.GetProperty("types").EnumerateArray().First(t => t.GetProperty("file").GetString() == file);
        using SafetensorsFile inputs = SafetensorsFile.Open(Path.Combine(Folder!, "input.safetensors"));
        using SafetensorsFile recorded = SafetensorsFile.Open(Path.Combine(Folder!, file));
        DType type = BlockGoldenTests.TypeOf(file);
        Tensor input = inputs.View("input");
        Tensor bytes = recorded.View("bytes");
        int rows = input.Shape[0];
        int width = input.Shape[1];
        var ours = new byte[bytes.Count];
        Quantizer.FromFloat32(type, input.F32, ours);
        if (entry.GetProperty("simple").GetBoolean())
            CompareBytes(type, entry, bytes.Bytes, ours, bytes.Shape[1]);
        else
            CompareErrors(type, index, input.F32, ours, recorded.View("rms_error").F32, rows, width);
    }

    [SkippableTheory]
    [MemberData(nameof(Float8Files))]
    public void Eight_bit_floats_round_like_the_reference(string file)
    {
        Fixtures.SkipIfAbsent(file);
        using SafetensorsFile recorded = SafetensorsFile.Open(Path.Combine(Folder!, file));
        Span<float> input = recorded.View("input").F32;
        var codes = new byte[input.Length];
        Quantizer.FromFloat32(DType.F8E4M3, input, codes);
        Check(input, recorded.View("bytes").Bytes, codes);
        Quantizer.FromFloat32(DType.F8E5M2, input, codes);
        Check(input, recorded.View("bytes_e5m2").Bytes, codes);

        static void Check(Span<float> input, Span<byte> expected, byte[] actual)
        {
            for (int i = 0; i < actual.Length; i++)
                Assert.True(expected[i] == actual[i], $"{input[i]:R}: 0x{actual[i]:X2}, recorded 0x{expected[i]:X2}");
        }
    }

    private static void CompareBytes(DType type, JsonElement entry, Span<byte> expected, byte[] actual, int rowBytes)
    {
        var undefined = new HashSet<(int, int)>();
        if (entry.TryGetProperty("payload_undefined_in_reference", out JsonElement list))
            undefined = [.. list.EnumerateArray().Select(p => (p[0].GetInt32(), p[1].GetInt32()))];
        for (int i = 0; i < actual.Length; i++)
        {
            int row = i / rowBytes;
            int block = i % rowBytes / type.BlockBytes();
            int at = i % rowBytes % type.BlockBytes();
            bool free = undefined.Contains((row, block)) && at >= 2;
            Assert.True(free || expected[i] == actual[i], $"{type} row {row} block {block} byte {at}: 0x{actual[i]:X2}, recorded 0x{expected[i]:X2}");
        }
    }

    private void CompareErrors(DType type, JsonElement index, Span<float> input, byte[] blocks, Span<float> recorded, int rows, int width)
    {
        var values = new float[input.Length];
        Dequantizer.ToFloat32(type, blocks, values);
        string[] kinds = [.. index.GetProperty("rows").EnumerateArray().Select(k => k.GetString()!)];
        (double ours, double reference, double worst, string worstKind) = (0, 0, 0, "");
        for (int row = 0; row < rows; row++)
        {
            double squares = 0;
            for (int i = row * width; i < (row + 1) * width; i++)
                squares += ((double)values[i] - input[i]) * ((double)values[i] - input[i]);
            double error = Math.Sqrt(squares / width);
            if (kinds[row] == "gaussian")
                (ours, reference) = (ours + error, reference + recorded[row]);
            if (recorded[row] > 0 && error / recorded[row] > worst)
                (worst, worstKind) = (error / recorded[row], kinds[row]);
        }

        output.WriteLine(
            $"{type}: mean error on normal rows {ours / reference:F3} of the recorded one (allowed 1.1), worst row {worst:F3} ({worstKind}, allowed 2)");
        Assert.True(ours <= 1.1 * reference, $"{type}: mean error {ours / reference:F3} times the recorded one");
        Assert.True(worst <= 2, $"{type}: a row of kind {worstKind} has {worst:F3} times the recorded error");
    }

    private static JsonElement Index() => JsonDocument.Parse(File.ReadAllText(Path.Combine(Folder!, "index.json"))).RootElement;
}
