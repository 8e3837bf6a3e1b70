using System.Runtime.InteropServices;
using System.Text.Json;
using Glimmer.Formats;
using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Tensors;

namespace Glimmer.Tests.Inference;

/// <summary>Recordings of the embedded model (<c>GLIMMER_MODELS</c>/smollm2) and how to compare with them.</summary>
internal static class SmolLm2Recordings
{
    public const double LogitTolerance = 5e-4;
    public const double HiddenTolerance = 5e-4;
    public const double LogprobTolerance = 2e-4;

    /// <summary>The folder, or null when it is absent.</summary>
    public static string? Folder { get; } =
        Fixtures.Models is { } root && Directory.Exists(Path.Combine(root, "smollm2")) ? Path.Combine(root, "smollm2") : null;

    public static string File(string name) => Path.Combine(Folder!, name);

    public static IEnumerable<JsonElement> Lines(string file) =>
        System.IO.File.ReadLines(File(file)).Where(line => line.Length > 0).Select(line => JsonDocument.Parse(line).RootElement);

    /// <summary>Names in a safetensors file that end with a suffix, without it.</summary>
    public static IEnumerable<string>? Names(string file, string suffix)
    {
        if (Folder is null)
            return null;
        using SafetensorsFile recorded = SafetensorsFile.Open(File(file));
        return [.. recorded.Tensors.Where(tensor => tensor.Name.EndsWith(suffix, StringComparison.Ordinal)).Select(tensor => tensor.Name[..^suffix.Length])];
    }

    public static int[] Integers(SafetensorsFile file, string key)
    {
        Tensor ids = file.View(key);
        return ids.Type == DType.I32 ? ids.I32.ToArray() : [.. MemoryMarshal.Cast<byte, long>(ids.Bytes).ToArray().Select(id => (int)id)];
    }

    public static int[] Integers(JsonElement list) => [.. list.EnumerateArray().Select(item => item.GetInt32())];

    public static float[] Reals(SafetensorsFile file, string key)
    {
        Tensor values = file.View(key);
        return values.Type == DType.F64 ? [.. MemoryMarshal.Cast<byte, double>(values.Bytes).ToArray().Select(value => (float)value)] : values.F32.ToArray();
    }

    public static double Largest(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual)
    {
        Assert.Equal(expected.Length, actual.Length);
        double largest = 0;
        for (int i = 0; i < expected.Length; i++)
            largest = Math.Max(largest, Math.Abs((double)expected[i] - actual[i]));
        return largest;
    }

    /// <summary>Everything that a <c>logits.safetensors</c> holds for one prompt; asserts and describes the largest differences.</summary>
    public static string CompareLogits(CausalLm model, Compute c, SafetensorsFile recorded, string name, Action<string, Tensor>? observer = null)
    {
        int[] ids = Integers(recorded, name + ".ids");
        var states = new List<float[]>();
        c.Begin();
        c.Observer = (key, value) =>
        {
            if (key.StartsWith("hidden.", StringComparison.Ordinal))
                states.Add(value.F32[^model.Config.HiddenSize..].ToArray());
            observer?.Invoke(key, value);
        };
        var batch = new Batch();
        batch.AddDocument(ids);
        Tensor logits = model.Logits(c, model.Forward(c, batch));
        c.Observer = null;
        double largest = LargestLogitDifference(model.Config.VocabSize, logits.F32, recorded, name);
        Assert.InRange(largest, 0, LogitTolerance);
        double hidden = recorded.Find(name + ".hidden") is null ? 0 : LargestHiddenDifference(states, recorded, name);
        Assert.InRange(hidden, 0, HiddenTolerance);
        return $"largest difference: logits {largest:g3} of {LogitTolerance:g3}, hidden states (relative) {hidden:g3} of {HiddenTolerance:g3}";
    }

    private static double LargestLogitDifference(int vocabulary, ReadOnlySpan<float> logits, SafetensorsFile recorded, string name)
    {
        double largest = 0;
        if (recorded.Find(name + ".stride64") is { } stride)
        {
            ReadOnlySpan<float> values = recorded.View(stride.Name).F32;
            int columns = stride.Shape[1];
            for (int i = 0; i < values.Length; i++)
                largest = Math.Max(largest, Math.Abs((double)values[i] - logits[(i / columns * vocabulary) + (i % columns * 64)]));
        }

        if (recorded.Find(name + ".top64") is { } top)
        {
            int[] positions = Integers(recorded, name + ".positions");
            int[] topIds = Integers(recorded, name + ".top64_ids");
            ReadOnlySpan<float> values = recorded.View(top.Name).F32;
            for (int i = 0; i < values.Length; i++)
                largest = Math.Max(largest, Math.Abs((double)values[i] - logits[(positions[i / 64] * vocabulary) + topIds[i]]));
        }

        if (recorded.Find(name + ".full") is not null)
            largest = Math.Max(largest, Largest(recorded.View(name + ".full").F32, logits[^vocabulary..]));
        return largest;
    }

    // Embedding, after each layer but the last, and the last after the final norm; at the last position.
    private static double LargestHiddenDifference(List<float[]> states, SafetensorsFile recorded, string name)
    {
        states.RemoveAt(states.Count - 2);
        Tensor hidden = recorded.View(name + ".hidden");
        Assert.Equal(hidden.Shape[0], states.Count);
        double worst = 0;
        for (int i = 0; i < states.Count; i++)
        {
            ReadOnlySpan<float> row = hidden.Row(i).F32;
            float scale = 0;
            foreach (float value in row)
                scale = Math.Max(scale, Math.Abs(value));
            worst = Math.Max(worst, Largest(row, states[i]) / scale);
        }

        return worst;
    }
}
