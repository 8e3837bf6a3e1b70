using System.Text.Json;
using Glimmer.Formats;
using Glimmer.Models;
using Glimmer.Quantization;
using Glimmer.Tensors;
using Glimmer.Tests.Formats;

namespace Glimmer.Tests.Models;

[Trait("Category", "Golden")]
public class CheckpointConverterTests
{
    public static TheoryData<string> GgufCases => RecordedTensors.Cases("gguf");

    public static TheoryData<string> FolderCases => RecordedTensors.Cases("safetensors");

    [SkippableTheory]
    [MemberData(nameof(GgufCases))]
    public void Gguf_becomes_a_folder_and_gguf_again_without_losing_a_bit(string name)
    {
        Fixtures.SkipIfAbsent(name);
        using var temporary = new TemporaryFolder();
        (string folder, JsonElement reference) = RecordedTensors.Case("gguf", name);
        string original = Path.Combine(folder, reference.GetProperty("file").GetString()!);
        CheckpointConverter.Convert(original, temporary["model"], DType.F32);
        using (Checkpoint converted = Checkpoint.Open(temporary["model"]))
            RecordedTensors.Compare(converted.Weights, reference.GetProperty("hf_tensors"));
        CheckpointConverter.Convert(temporary["model"], temporary["again.gguf"], DType.F32);
        using Checkpoint again = Checkpoint.Open(temporary["again.gguf"]);
        RecordedTensors.Compare(again.Weights, reference.GetProperty("hf_tensors"));
        using Checkpoint first = Checkpoint.Open(original);
        AssertSameConfig(first.ConfigJson, again.ConfigJson);
        AssertSameTokenizer(first.Gguf!, again.Gguf!);
        AssertSameLayout(first.Gguf!, again.Gguf!, reference.GetProperty("gguf_tensors"));
    }

    [SkippableTheory]
    [MemberData(nameof(FolderCases))]
    public void Folders_become_gguf_with_the_same_values(string name)
    {
        Fixtures.SkipIfAbsent(name);
        using var temporary = new TemporaryFolder();
        (string folder, JsonElement reference) = RecordedTensors.Case("safetensors", name);
        CheckpointConverter.Convert(folder, temporary["model.gguf"], DType.F32);
        using Checkpoint converted = Checkpoint.Open(temporary["model.gguf"]);
        RecordedTensors.Compare(converted.Weights, reference.GetProperty("tensors"));
        using Checkpoint original = Checkpoint.Open(folder);
        AssertConfigKeeps(original.ConfigJson, converted.ConfigJson);
    }

    [SkippableTheory]
    [MemberData(nameof(FolderCases))]
    public void Block_types_hold_the_quantised_rows_and_vectors_stay_exact(string name)
    {
        Fixtures.SkipIfAbsent(name);
        using var temporary = new TemporaryFolder();
        (string folder, _) = RecordedTensors.Case("safetensors", name);
        foreach (DType type in new[] { DType.Q8_0, DType.Q4_0, DType.Q4_K, DType.Nvfp4, DType.BF16 })
        {
            string path = temporary[$"{type}.gguf"];
            CheckpointConverter.Convert(folder, path, type);
            using Checkpoint original = Checkpoint.Open(folder);
            using Checkpoint converted = Checkpoint.Open(path);
            foreach (TensorInfo info in converted.Weights.Tensors.Where(t => !t.IsComputed))
            {
                var exact = new float[info.Count];
                var actual = new float[info.Count];
                original.Weights.ReadFloat32(info.Name, exact);
                converted.Weights.ReadFloat32(info.Name, actual);
                bool sensitive = info.Shape.Length < 2 || info.Name.EndsWith(".mlp.gate.weight", StringComparison.Ordinal);
                Assert.Equal(sensitive ? DType.F32 : StorageTypes.ForRows(type, info.RowLength), info.Type);
                var bytes = new byte[info.SizeBytes];
                Quantizer.FromFloat32(info.Type, exact, bytes);
                Dequantizer.ToFloat32(info.Type, bytes, exact);
                Assert.True(exact.AsSpan().SequenceEqual(actual), $"{info}");
            }
        }
    }

    [SkippableTheory]
    [MemberData(nameof(FolderCases))]
    public void Folders_are_sharded_by_size_and_read_back(string name)
    {
        Fixtures.SkipIfAbsent(name);
        using var temporary = new TemporaryFolder();
        (string folder, JsonElement reference) = RecordedTensors.Case("safetensors", name);
        using WeightSource original = SafetensorsWeights.Open(folder);
        var plan = original.Tensors.Select(t => new TensorInfo(t.Name, DType.F32, t.Shape)).ToList();
        using (SafetensorsWriter writer = SafetensorsWriter.Create(temporary.ToString(), plan, maxShardBytes: 20_000))
        {
            foreach (TensorInfo info in plan)
            {
                var values = new float[info.Count];
                original.ReadFloat32(info.Name, values);
                writer.BeginTensor(info.Name);
                writer.Write(System.Runtime.InteropServices.MemoryMarshal.AsBytes<float>(values));
            }

            writer.Complete();
        }

        Assert.True(Directory.GetFiles(temporary.ToString(), "*.safetensors").Length > 1);
        using WeightSource read = SafetensorsWeights.Open(temporary.ToString());
        RecordedTensors.Compare(read, reference.GetProperty("tensors"));
    }

    [SkippableTheory]
    [MemberData(nameof(GgufCases))]
    public void Rows_that_have_the_wanted_type_are_copied(string name)
    {
        Fixtures.SkipIfAbsent(name);
        using var temporary = new TemporaryFolder();
        (string folder, JsonElement reference) = RecordedTensors.Case("gguf", name);
        string original = Path.Combine(folder, reference.GetProperty("file").GetString()!);
        using Checkpoint first = Checkpoint.Open(original);
        DType stored = first.Weights.Get("model.embed_tokens.weight").Type;
        DType type = Quantizer.Supports(stored) ? stored : DType.F16;
        CheckpointConverter.Convert(original, temporary["copy.gguf"], type);
        using Checkpoint copy = Checkpoint.Open(temporary["copy.gguf"]);
        foreach (TensorInfo info in first.Weights.Tensors)
        {
            TensorInfo other = copy.Weights.Get(info.Name);
            if (info.IsComputed || other.IsComputed || info.Type != other.Type)
                continue;
            var expected = new byte[info.SizeBytes];
            var actual = new byte[info.SizeBytes];
            first.Weights.ReadRows(info.Name, 0, (int)info.Rows, expected);
            copy.Weights.ReadRows(info.Name, 0, (int)info.Rows, actual);
            Assert.True(expected.AsSpan().SequenceEqual(actual), $"{info}");
        }
    }

    [SkippableTheory]
    [MemberData(nameof(FolderCases))]
    public void A_stopped_conversion_leaves_nothing_behind(string name)
    {
        Fixtures.SkipIfAbsent(name);
        using var temporary = new TemporaryFolder();
        (string folder, _) = RecordedTensors.Case("safetensors", name);
        foreach (string output in new[] { "model.gguf", "model" })
        {
            using var stop = new CancellationTokenSource();
            var progress = new StopAfter(3, stop);
            Assert.Throws<OperationCanceledException>(() => CheckpointConverter.Convert(folder, temporary[output], DType.F32, progress, stop.Token));
            Assert.Empty(Directory.GetFileSystemEntries(temporary.ToString()));
        }

        Assert.Throws<UnsupportedModelException>(() => CheckpointConverter.Convert(folder, temporary["model"], DType.Q8_0));
        File.WriteAllText(temporary["there.gguf"], "");
        Assert.Throws<IOException>(() => CheckpointConverter.Convert(folder, temporary["there.gguf"], DType.F32));
    }

    private static void AssertSameConfig(string expected, string actual)
    {
        using JsonDocument a = JsonDocument.Parse(expected);
        using JsonDocument b = JsonDocument.Parse(actual);
        Assert.True(JsonElement.DeepEquals(a.RootElement, b.RootElement), $"{expected}\n{actual}");
    }

    // Every key that the GGUF metadata give and the original config has must agree, but for what GGUF does not hold.
    private static void AssertConfigKeeps(string original, string converted)
    {
        using JsonDocument expected = JsonDocument.Parse(original);
        using JsonDocument actual = JsonDocument.Parse(converted);
        foreach (JsonProperty property in expected.RootElement.EnumerateObject().Where(p => p.Name is not ("dtype" or "quantization_config")))
        {
            bool absent = !actual.RootElement.TryGetProperty(property.Name, out JsonElement value);
            bool zero = property.Value.ValueKind == JsonValueKind.Number && property.Value.GetDouble() == 0;
            Assert.True(absent ? zero : JsonElement.DeepEquals(property.Value, value) || property.Value.GetRawText() == value.GetRawText(),
                $"'{property.Name}': {property.Value.GetRawText()} became {(absent ? "nothing" : value.GetRawText())}");
        }
    }

    private static void AssertSameTokenizer(GgufFile expected, GgufFile actual)
    {
        foreach ((string key, GgufValue value) in expected.Metadata.Where(k => k.Key.StartsWith("tokenizer.", StringComparison.Ordinal)))
        {
            Assert.True(actual.TryGetValue(key, out GgufValue? other), $"'{key}' is lost");
            Assert.Equal(value.Value, other!.Value);
        }
    }

    // Files that keep everything in F32 come back with the names, shapes and bits llama.cpp's converter wrote; the older unsplit form becomes the split one.
    private static void AssertSameLayout(GgufFile original, GgufFile again, JsonElement recorded)
    {
        if (original.Tensors.Any(t => t.Name.EndsWith("attn_kv_b.weight", StringComparison.Ordinal)))
            return;
        Assert.Equal(original.Tensors.Select(t => t.Name).Order(StringComparer.Ordinal), again.Tensors.Select(t => t.Name).Order(StringComparer.Ordinal));
        foreach (TensorInfo info in again.Tensors)
        {
            Assert.Equal(original.Find(info.Name)!.Shape.ToArray(), info.Shape.ToArray());
            var values = new float[info.Count];
            Dequantizer.ToFloat32(info.Type, again.View(info.Name).Bytes, values);
            Assert.True(recorded.GetProperty(info.Name).GetProperty("sha256_f32").GetString() == RecordedTensors.Sha256(values), $"{info}");
        }
    }

    private sealed class StopAfter(int reports, CancellationTokenSource stop) : IProgress<ConversionProgress>
    {
        private int _left = reports;

        public void Report(ConversionProgress value)
        {
            Assert.True(value.ElementsDone <= value.ElementsTotal);
            if (--_left == 0)
                stop.Cancel();
        }
    }
}
