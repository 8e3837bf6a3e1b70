using System.Globalization;
using System.Text.Json;
using Glimmer.Formats;
using Glimmer.Quantization;
using Glimmer.Tensors;

namespace Glimmer.Tests.Formats;

public class GgufContainerTests
{
    private static string? Folder => Fixtures.Folder(Path.Combine("formats", "container"));

    public static TheoryData<string> Cases =>
        Fixtures.Rows(Folder is null ? null : Directory.EnumerateFiles(Folder, "*.gguf").Select(Path.GetFileNameWithoutExtension).OfType<string>());

    [SkippableTheory]
    [Trait("Category", "Golden")]
    [MemberData(nameof(Cases))]
    public void Containers_give_the_recorded_metadata_and_tensors(string name)
    {
        Fixtures.SkipIfAbsent(name);
        JsonElement recorded = JsonDocument.Parse(File.ReadAllText(Path.Combine(Folder!, name + ".json"))).RootElement;
        string path = Path.Combine(Folder!, name + ".gguf");
        if (recorded.TryGetProperty("expect", out JsonElement expect) && expect.GetString() == "read_or_refuse")
        {
            Assert.Contains("nested", Assert.Throws<ModelFormatException>(() => GgufFile.Open(path)).Message, StringComparison.Ordinal);
            return;
        }

        using GgufFile file = GgufFile.Open(path);
        if (recorded.TryGetProperty("values", out JsonElement values))
            CompareMetadata(file, values);
        if (recorded.TryGetProperty("tensors", out JsonElement tensors))
            CompareTensors(file, tensors, recorded.GetProperty("tensor_values"));
        if (recorded.TryGetProperty("special_ids", out JsonElement special))
            CompareVocabulary(file, recorded, special);
    }

    [Theory]
    [InlineData(32)]
    [InlineData(64)]
    [InlineData(8)]
    public void What_the_writer_writes_the_reader_reads(int alignment)
    {
        using var temporary = new TemporaryFolder();
        KeyValuePair<string, GgufValue>[] metadata =
        [
            new("a.text", GgufValue.Of("GLM 智谱 \0 end")), new("a.u32", GgufValue.Of(uint.MaxValue)), new("a.f32", GgufValue.Of(1e-5f)),
            new("a.bool", GgufValue.Of(true)),
            new("a.strings", GgufValue.Of(["", "x", "中文"])), new("a.ints", GgufValue.Of([-1, 0, int.MaxValue])), new("a.bools", GgufValue.Of([true, false])),
            new("a.none", GgufValue.Of(Array.Empty<int>())),
        ];
        DType[] types = [.. Enum.GetValues<DType>().Where(t => GgufTensorType.IdOf(t) is not null)];
        TensorInfo[] tensors = [.. types.Select(t => new TensorInfo($"t.{t}", t, [3, 256]))];
        var random = new Random(alignment);
        var data = new Dictionary<string, byte[]>();
        using (GgufWriter writer = GgufWriter.Create(temporary["x.gguf"], metadata, tensors, alignment))
        {
            foreach (TensorInfo info in tensors)
            {
                byte[] bytes = data[info.Name] = new byte[info.SizeBytes];
                random.NextBytes(bytes);
                writer.BeginTensor(info.Name);
                writer.Write(bytes.AsSpan(0, 10));
                writer.Write(bytes.AsSpan(10));
            }

            writer.Complete();
        }

        using GgufFile file = GgufFile.Open(temporary["x.gguf"]);
        foreach ((string key, GgufValue value) in metadata)
        {
            Assert.Equal(value.Type, file.Metadata[key].Type);
            Assert.Equal(value.Value, file.Metadata[key].Value);
        }

        Assert.Equal(1e-5, file.Metadata["a.f32"].AsNumber());
        foreach (TensorInfo info in tensors)
        {
            Assert.Equal(info.Shape.ToArray(), file.Find(info.Name)!.Shape.ToArray());
            Assert.True(file.View(info.Name).Bytes.SequenceEqual(data[info.Name]), info.ToString());
        }
    }

    [Fact]
    public void An_unfinished_file_never_appears()
    {
        using var temporary = new TemporaryFolder();
        TensorInfo[] tensors = [new("a", DType.F32, [4]), new("b", DType.F32, [4])];
        using (GgufWriter writer = GgufWriter.Create(temporary["x.gguf"], [], tensors))
        {
            writer.BeginTensor("a");
            writer.Write(new byte[16]);
            Assert.Throws<InvalidOperationException>(() => writer.Write(new byte[1]));
            Assert.Throws<InvalidOperationException>(writer.Complete);
            Assert.Throws<InvalidOperationException>(() => writer.BeginTensor("c"));
        }

        Assert.Empty(Directory.GetFileSystemEntries(temporary.ToString()));
    }

    private static void CompareMetadata(GgufFile file, JsonElement values)
    {
        foreach (JsonProperty entry in values.EnumerateObject())
        {
            GgufValue actual = file.Metadata[entry.Name];
            string type = actual.Type == GgufValueType.Array ? $"array of {actual.ElementType}" : actual.Type.ToString();
            Assert.Equal(entry.Value.GetProperty("type").GetString(), type, ignoreCase: true);
            JsonElement value = entry.Value.GetProperty("value");
            if (actual.Value is Array array)
                Assert.Equal(value.EnumerateArray().Select(Text), array.Cast<object>().Select(Text));
            else
                Assert.Equal(value.ValueKind == JsonValueKind.Null ? entry.Value.GetProperty("text_value").GetString()! : Text(value), Text(actual.Value));
        }
    }

    private static void CompareTensors(GgufFile file, JsonElement tensors, JsonElement values)
    {
        Assert.Equal(tensors.EnumerateObject().Select(t => t.Name), file.Tensors.Select(t => t.Name));
        foreach (JsonProperty tensor in tensors.EnumerateObject())
        {
            TensorInfo info = file.Find(tensor.Name)!;
            Assert.Equal(tensor.Value.GetProperty("type").GetString(), info.Type.ToString());
            Assert.Equal(tensor.Value.GetProperty("ne").EnumerateArray().Select(n => n.GetInt32()), info.Shape.ToArray().Reverse());
            Assert.Equal(tensor.Value.GetProperty("bytes").GetInt64(), info.SizeBytes);
        }

        foreach (JsonProperty expected in values.EnumerateObject())
        {
            TensorInfo info = file.Find(expected.Name)!;
            var actual = new float[info.Count];
            Dequantizer.ToFloat32(info.Type, file.View(info.Name).Bytes, actual);
            Assert.Equal(Flat(expected.Value).Select(v => (float)double.Parse(Text(v), CultureInfo.InvariantCulture)), actual);
        }
    }

    private static void CompareVocabulary(GgufFile file, JsonElement recorded, JsonElement special)
    {
        IReadOnlyList<string> tokens = file.Metadata["tokenizer.ggml.tokens"].AsStrings();
        Assert.Equal(recorded.GetProperty("vocab_size").GetInt32(), tokens.Count);
        Assert.Equal(recorded.GetProperty("merges").GetInt32(), file.Metadata["tokenizer.ggml.merges"].AsStrings().Count);
        foreach (JsonProperty token in special.EnumerateObject())
            Assert.Equal(token.Name, tokens[token.Value.GetInt32()]);
    }

    private static IEnumerable<JsonElement> Flat(JsonElement value) =>
        value.ValueKind == JsonValueKind.Array ? value.EnumerateArray().SelectMany(Flat) : [value];

    // Numbers by value: fp32 values are recorded as the fp64 number they equal.
    private static string Text(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.String => value.GetString()!,
        JsonValueKind.Number => value.GetDouble().ToString("R", CultureInfo.InvariantCulture),
        _ => value.GetBoolean().ToString(),
    };

    private static string Text(object value) => value switch
    {
        string or bool => value.ToString()!,
        ulong or long when Convert.ToDecimal(value, CultureInfo.InvariantCulture) is > (1L << 53) or < -(1L << 53) =>
            Convert.ToString(value, CultureInfo.InvariantCulture)!,
        _ => Convert.ToDouble(value, CultureInfo.InvariantCulture).ToString("R", CultureInfo.InvariantCulture),
    };
}
