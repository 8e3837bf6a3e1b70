using System.Text.Json;
using Glimmer.Formats;
using Glimmer.Models;
using Glimmer.Quantization;
using Glimmer.Tests.Formats;

namespace Glimmer.Tests.Models.Gguf;

[Trait("Category", "Golden")]
public class GgufGoldenTests
{
    public static TheoryData<string> Cases => RecordedTensors.Cases("gguf");

    [SkippableTheory]
    [MemberData(nameof(Cases))]
    public void Stored_tensors_dequantise_to_the_recorded_bits(string name)
    {
        Fixtures.SkipIfAbsent(name);
        (string folder, JsonElement reference) = RecordedTensors.Case("gguf", name);
        using GgufFile file = GgufFile.Open(Path.Combine(folder, reference.GetProperty("file").GetString()!));
        JsonElement recorded = reference.GetProperty("gguf_tensors");
        Assert.Equal(recorded.EnumerateObject().Count(), file.Tensors.Count);
        foreach (JsonProperty tensor in recorded.EnumerateObject())
        {
            TensorInfo info = file.Find(tensor.Name)!;
            Assert.Equal(tensor.Value.GetProperty("type").GetString(), info.Type.ToString(), ignoreCase: true);
            Assert.Equal(tensor.Value.GetProperty("ne").EnumerateArray().Select(n => n.GetInt32()), info.Shape.ToArray().Reverse());
            var values = new float[info.Count];
            Dequantizer.ToFloat32(info.Type, file.View(info.Name).Bytes, values);
            string expected = tensor.Value.GetProperty("sha256_f32").GetString()!;
            Assert.True(expected == RecordedTensors.Sha256(values), $"{info}: the values differ from the recorded ones");
        }
    }

    [SkippableTheory]
    [MemberData(nameof(Cases))]
    public void Weights_have_their_checkpoint_names_and_the_recorded_bits(string name)
    {
        Fixtures.SkipIfAbsent(name);
        (string folder, JsonElement reference) = RecordedTensors.Case("gguf", name);
        using Checkpoint checkpoint = Checkpoint.Open(Path.Combine(folder, reference.GetProperty("file").GetString()!));
        RecordedTensors.Compare(checkpoint.Weights, reference.GetProperty("hf_tensors"));
    }

    [SkippableTheory]
    [MemberData(nameof(Cases))]
    public void Metadata_give_the_recorded_configuration(string name)
    {
        Fixtures.SkipIfAbsent(name);
        (string folder, JsonElement reference) = RecordedTensors.Case("gguf", name);
        using Checkpoint checkpoint = Checkpoint.Open(Path.Combine(folder, reference.GetProperty("file").GetString()!));
        using JsonDocument config = JsonDocument.Parse(checkpoint.ConfigJson);
        foreach (JsonProperty expected in reference.GetProperty("config").EnumerateObject())
        {
            Assert.True(config.RootElement.TryGetProperty(expected.Name, out JsonElement actual), $"the configuration lacks '{expected.Name}'");
            Assert.True(Same(expected.Value, actual), $"'{expected.Name}' is {actual.GetRawText()}, recorded {expected.Value.GetRawText()}");
        }
    }

    [SkippableTheory]
    [MemberData(nameof(Cases))]
    public void Rows_read_one_by_one_equal_the_whole_tensor(string name)
    {
        Fixtures.SkipIfAbsent(name);
        (string folder, JsonElement reference) = RecordedTensors.Case("gguf", name);
        using Checkpoint checkpoint = Checkpoint.Open(Path.Combine(folder, reference.GetProperty("file").GetString()!));
        foreach (TensorInfo info in checkpoint.Weights.Tensors)
        {
            var whole = new float[info.Count];
            checkpoint.Weights.ReadFloat32(info.Name, whole);
            var row = new float[info.RowLength];
            for (int r = 0; r < info.Rows; r++)
            {
                checkpoint.Weights.ReadFloat32Rows(info.Name, r, 1, row);
                Assert.True(row.AsSpan().SequenceEqual(whole.AsSpan(r * info.RowLength, info.RowLength)), $"{info}: row {r}");
            }

            if (!info.IsComputed)
            {
                var stored = new byte[info.SizeBytes];
                checkpoint.Weights.ReadRows(info.Name, 0, (int)info.Rows, stored);
                var values = new float[info.Count];
                Dequantizer.ToFloat32(info.Type, stored, values);
                Assert.True(values.AsSpan().SequenceEqual(whole), $"{info}: stored rows");
            }
        }
    }

    private static bool Same(JsonElement expected, JsonElement actual) => expected.ValueKind switch
    {
        JsonValueKind.Number => actual.ValueKind == JsonValueKind.Number && expected.GetDouble() == actual.GetDouble(),
        JsonValueKind.Array => actual.ValueKind == JsonValueKind.Array && expected.GetArrayLength() == actual.GetArrayLength()
            && expected.EnumerateArray().Zip(actual.EnumerateArray()).All(p => Same(p.First, p.Second)),
        JsonValueKind.String => actual.ValueKind == JsonValueKind.String && expected.GetString() == actual.GetString(),
        _ => expected.ValueKind == actual.ValueKind,
    };
}
