using System.Runtime.InteropServices;
using System.Text.Json;
using Glimmer.Formats;
using Glimmer.Quantization;
using Glimmer.Tensors;

namespace Glimmer.Tests.Quantization;

[Trait("Category", "Golden")]
public class BlockGoldenTests
{
    private static string? Blocks => Fixtures.Folder(Path.Combine("formats", "blocks"));

    public static TheoryData<string> Types => Fixtures.Rows(Blocks is null ? null
        : Directory.EnumerateFiles(Blocks, "*.safetensors").Select(Path.GetFileName).OfType<string>());

    public static TheoryData<string> Grids => Fixtures.Rows(GridFolder is null ? null
        : Directory.EnumerateFiles(GridFolder, "*.json").Select(Path.GetFileName).OfType<string>());

    private static string? GridFolder => Fixtures.Folder(Path.Combine("formats", "blocks", "grids"));

    [SkippableTheory]
    [MemberData(nameof(Types))]
    public void Blocks_dequantise_to_the_recorded_bits(string file)
    {
        Fixtures.SkipIfAbsent(file);
        using SafetensorsFile recorded = SafetensorsFile.Open(Path.Combine(Blocks!, file));
        DType type = TypeOf(file);
        Compare(type, recorded, "bytes", "values");
        if (recorded.Find("nonfinite_bytes") is not null)
            Compare(type, recorded, "nonfinite_bytes", "nonfinite_values");
    }

    [SkippableTheory]
    [MemberData(nameof(Grids))]
    public void Code_books_equal_the_recorded_ones(string file)
    {
        Fixtures.SkipIfAbsent(file);
        using JsonDocument json = JsonDocument.Parse(File.ReadAllText(Path.Combine(GridFolder!, file)));
        byte[] expected = Convert.FromHexString(json.RootElement.GetProperty("hex").GetString()!);
        byte[] actual = Path.GetFileNameWithoutExtension(file) switch
        {
            "iq1_s" => MemoryMarshal.AsBytes(IqGrids.Iq1).ToArray(),
            "iq2_xxs" => MemoryMarshal.AsBytes(IqGrids.Iq2Xxs).ToArray(),
            "iq2_xs" => MemoryMarshal.AsBytes(IqGrids.Iq2Xs).ToArray(),
            "iq2_s" => MemoryMarshal.AsBytes(IqGrids.Iq2S).ToArray(),
            "iq3_xxs" => MemoryMarshal.AsBytes(IqGrids.Iq3Xxs).ToArray(),
            "iq3_s" => MemoryMarshal.AsBytes(IqGrids.Iq3S).ToArray(),
            "ksigns" => [.. Enumerable.Range(0, 128).Select(i => IqGrids.EvenSigns((uint)i))],
            string other => throw new InvalidOperationException($"No code book '{other}'."),
        };
        Assert.Equal(expected, actual);
    }

    /// <summary>The type a fixture file is named after (<c>q4_k.safetensors</c>).</summary>
    internal static DType TypeOf(string file)
    {
        string name = Path.GetFileNameWithoutExtension(file).Replace("f8_e", "f8e", StringComparison.Ordinal);
        return Enum.Parse<DType>(name, ignoreCase: true);
    }

    private static void Compare(DType type, SafetensorsFile recorded, string bytesName, string valuesName)
    {
        Tensor bytes = recorded.View(bytesName);
        Span<float> expected = recorded.View(valuesName).F32;
        var actual = new float[expected.Length];
        Dequantizer.ToFloat32(type, bytes.Bytes, actual);
        for (int i = 0; i < actual.Length; i++)
        {
            bool equal = BitConverter.SingleToInt32Bits(actual[i]) == BitConverter.SingleToInt32Bits(expected[i])
                || (float.IsNaN(actual[i]) && float.IsNaN(expected[i]));
            Assert.True(equal, $"{type} {bytesName}: element {i}: {actual[i]:R}, recorded {expected[i]:R}");
        }
    }
}
