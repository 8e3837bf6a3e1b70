using System.Text.Json;
using Glimmer.Formats;
using Glimmer.Models;
using Glimmer.Tests.Formats;

namespace Glimmer.Tests.Models.Gguf;

[Trait("Category", "Golden")]
public class EmbeddedTrunkTests
{
    public static TheoryData<string> Recordings =>
        Fixtures.Rows(Fixtures.Models is null || TrunkFile() is null ? null
            : Directory.EnumerateFiles(Fixtures.Models, "tensors.json", SearchOption.AllDirectories).Select(f => Path.GetRelativePath(Fixtures.Models, f)));

    [SkippableTheory]
    [MemberData(nameof(Recordings))]
    public void Every_tensor_of_the_embedded_model_has_the_recorded_bits(string recording)
    {
        Fixtures.SkipIfAbsent(recording);
        using JsonDocument recorded = JsonDocument.Parse(File.ReadAllText(Path.Combine(Fixtures.Models!, recording)));
        using Checkpoint checkpoint = Checkpoint.Open(TrunkFile()!);
        Assert.Equal(recorded.RootElement.GetProperty("count").GetInt32(), checkpoint.Weights.Tensors.Count);
        Assert.Equal(recorded.RootElement.GetProperty("parameters").GetInt64(), checkpoint.Weights.Tensors.Sum(t => t.Count));
        foreach (JsonElement tensor in recorded.RootElement.GetProperty("tensors").EnumerateArray())
        {
            TensorInfo info = checkpoint.Weights.Get(tensor.GetProperty("name").GetString()!);
            Assert.Equal(tensor.GetProperty("shape").EnumerateArray().Select(s => s.GetInt32()), info.Shape.ToArray());
            Assert.Equal(tensor.GetProperty("gguf_type").GetString(), info.Type.ToString());
            var values = new float[info.Count];
            checkpoint.Weights.ReadFloat32(info.Name, values);
            foreach (JsonElement sample in tensor.GetProperty("samples").EnumerateArray())
                Assert.Equal(sample[1].GetSingle(), values[sample[0].GetInt32()]);
            Assert.True(tensor.GetProperty("sha256").GetString() == RecordedTensors.Sha256(values), $"{info}: the values differ from the recorded ones");
        }
    }

    // The model lies in the repository; beside the recordings it serves a clone that lacks it.
    private static string? TrunkFile() =>
        Find(Path.Combine(Fixtures.Repository, "models")) ?? (Fixtures.Models is null ? null : Find(Fixtures.Models));

    private static string? Find(string folder) =>
        Directory.Exists(folder) ? Directory.EnumerateFiles(folder, "*.gguf", SearchOption.AllDirectories).Order(StringComparer.Ordinal).FirstOrDefault()
            : null;
}
