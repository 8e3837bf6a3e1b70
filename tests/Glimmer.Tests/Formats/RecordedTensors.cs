using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text.Json;
using Glimmer.Formats;

namespace Glimmer.Tests.Formats;

/// <summary>Compares the tensors of a source with recorded shapes and SHA-256 values of their fp32 bytes.</summary>
internal static class RecordedTensors
{
    /// <summary>SHA-256 of a tensor as little-endian fp32, lower-case hex.</summary>
    public static string Sha256(WeightSource weights, string name)
    {
        var values = new float[weights.Get(name).Count];
        weights.ReadFloat32(name, values);
        return Sha256(values);
    }

    /// <summary>SHA-256 of fp32 values, lower-case hex.</summary>
    public static string Sha256(ReadOnlySpan<float> values) => Convert.ToHexStringLower(SHA256.HashData(MemoryMarshal.AsBytes(values)));

    /// <summary>Every recorded tensor is there with its shape and bits, and nothing else is.</summary>
    public static void Compare(WeightSource weights, JsonElement recorded)
    {
        foreach (JsonProperty tensor in recorded.EnumerateObject())
        {
            TensorInfo info = weights.Get(tensor.Name);
            Assert.Equal(tensor.Value.GetProperty("shape").EnumerateArray().Select(s => s.GetInt32()), info.Shape.ToArray());
            string expected = tensor.Value.GetProperty("sha256_f32").GetString()!;
            Assert.True(expected == Sha256(weights, tensor.Name), $"{info}: the values differ from the recorded ones");
        }

        string[] names = [.. recorded.EnumerateObject().Select(p => p.Name).Order(StringComparer.Ordinal)];
        Assert.Equal(names, weights.Tensors.Select(t => t.Name).Order(StringComparer.Ordinal));
    }

    /// <summary>Names of the folders below a fixture folder that hold a reference.json.</summary>
    public static TheoryData<string> Cases(string kind)
    {
        string? folder = Fixtures.Folder(Path.Combine("formats", kind));
        return Fixtures.Rows(folder is null ? null : Directory.EnumerateDirectories(folder).Where(d => File.Exists(Path.Combine(d, "reference.json")))
            .Select(Path.GetFileName).OfType<string>());
    }

    /// <summary>The folder of a case and its reference.json.</summary>
    public static (string Folder, JsonElement Reference) Case(string kind, string name)
    {
        string folder = Path.Combine(Fixtures.Folder(Path.Combine("formats", kind))!, name);
        return (folder, JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "reference.json"))).RootElement);
    }
}
