using System.Text.Json;
using Glimmer.Formats;
using Glimmer.Tensors;

namespace Glimmer.Inference.Verification;

/// <summary>The recorded values beside a checkpoint (<c>reference.json</c>, <c>reference.safetensors</c>) and which of them were compared.</summary>
internal sealed class Recording : IDisposable
{
    private const string Format = "glimmer-model-reference";

    private readonly SafetensorsFile _values;
    private readonly JsonDocument _json;
    private readonly HashSet<string> _compared = new(StringComparer.Ordinal);
    private readonly List<ReferenceDifference> _differences = [];

    private Recording(JsonDocument json, SafetensorsFile values) => (_json, _values) = (json, values);

    /// <summary><c>reference.json</c>.</summary>
    public JsonElement Json => _json.RootElement;

    /// <summary>What was compared so far.</summary>
    public IReadOnlyList<ReferenceDifference> Differences => _differences;

    /// <summary>Recorded names that nothing was compared with.</summary>
    public IEnumerable<string> NotCompared => _values.Tensors.Select(t => t.Name).Where(name => !_compared.Contains(name));

    /// <summary>Opens the recording in a folder.</summary>
    /// <exception cref="ModelFormatException">There is none, or it has another format.</exception>
    public static Recording Open(string folder)
    {
        string path = Path.Combine(folder, "reference.json");
        if (!File.Exists(path))
            throw new ModelFormatException($"'{folder}' has no reference.json: there are no recorded values to compare with.");
        JsonDocument json;
        try
        {
            json = JsonDocument.Parse(File.ReadAllBytes(path));
        }
        catch (JsonException error)
        {
            throw new ModelFormatException($"'{path}' is not valid JSON: {error.Message}", error);
        }

        try
        {
            if (json.RootElement.ValueKind != JsonValueKind.Object || !json.RootElement.TryGetProperty("format", out JsonElement format)
                || format.ValueKind != JsonValueKind.String || format.GetString() != Format)
                throw new ModelFormatException($"'{path}' is not of format '{Format}'.");
            return new Recording(json, SafetensorsFile.Open(Path.Combine(folder, "reference.safetensors")));
        }
        catch
        {
            json.Dispose();
            throw;
        }
    }

    public bool Has(string key) => _values.Find(key) is not null;

    public IEnumerable<string> KeysWithPrefix(string prefix) =>
        _values.Tensors.Select(t => t.Name).Where(name => name.StartsWith(prefix, StringComparison.Ordinal)).ToArray();

    public ReadOnlySpan<float> Values(string key) => _values.View(key).F32;

    public ReadOnlySpan<int> Shape(string key) => _values.Find(key)!.Shape;

    public double Tolerance(string quantity) =>
        Json.GetProperty("tolerance").TryGetProperty(quantity, out JsonElement value)
            ? value.GetDouble()
            : throw new ModelFormatException($"reference.json states no tolerance for '{quantity}'.");

    /// <summary>Compares fp32 values by largest absolute difference; does nothing when the key was not recorded.</summary>
    public void Compare(string key, string quantity, ReadOnlySpan<float> ours)
    {
        if (!Has(key))
            return;
        _compared.Add(key);
        ReadOnlySpan<float> recorded = Values(key);
        double largest = recorded.Length == ours.Length ? LargestDifference(recorded, ours) : double.NaN;
        _differences.Add(new ReferenceDifference(key, quantity, largest, Tolerance(quantity), recorded.Length));
    }

    /// <summary>Compares a gradient, relative to the largest entry of the recorded one.</summary>
    public void CompareGradient(string key, ReadOnlySpan<float> ours)
    {
        _compared.Add(key);
        ReadOnlySpan<float> recorded = Values(key);
        double scale = 0;
        foreach (float value in recorded)
            scale = Math.Max(scale, Math.Abs(value));
        double largest = recorded.Length == ours.Length ? LargestDifference(recorded, ours) : double.NaN;
        _differences.Add(new ReferenceDifference(key, "grad", scale == 0 ? largest : largest / scale, scale == 0 ? 0 : Tolerance("grad"), recorded.Length));
    }

    /// <summary>Compares bits of fp32 values.</summary>
    public void CompareBits(string key, string quantity, ReadOnlySpan<float> ours)
    {
        if (!Has(key))
            return;
        _compared.Add(key);
        ReadOnlySpan<float> recorded = Values(key);
        int wrong = Math.Abs(recorded.Length - ours.Length);
        for (int i = 0; i < Math.Min(recorded.Length, ours.Length); i++)
            wrong += BitConverter.SingleToInt32Bits(recorded[i]) == BitConverter.SingleToInt32Bits(ours[i]) ? 0 : 1;
        _differences.Add(new ReferenceDifference(key, quantity, wrong, 0, recorded.Length));
    }

    /// <summary>Compares integers exactly; the recorded rows may be shorter than ours.</summary>
    public void CompareIntegers(string key, string quantity, ReadOnlySpan<int> ours, int ourRowLength)
    {
        if (!Has(key))
            return;
        _compared.Add(key);
        ReadOnlySpan<int> recorded = _values.View(key).I32;
        int rowLength = Math.Max(1, Shape(key)[^1]);
        int rows = recorded.Length / rowLength, ourRows = ours.Length / ourRowLength;
        int wrong = Math.Abs(rows - ourRows) * rowLength;
        for (int i = 0; i < Math.Min(rows, ourRows) * rowLength; i++)
            wrong += recorded[i] == ours[(i / rowLength * ourRowLength) + (i % rowLength)] ? 0 : 1;
        _differences.Add(new ReferenceDifference(key, quantity, wrong, 0, recorded.Length));
    }

    /// <summary>Compares token lists exactly.</summary>
    public void CompareTokens(string key, IReadOnlyList<int> recorded, IReadOnlyList<int> ours)
    {
        int wrong = Math.Abs(recorded.Count - ours.Count);
        for (int i = 0; i < Math.Min(recorded.Count, ours.Count); i++)
            wrong += recorded[i] == ours[i] ? 0 : 1;
        _differences.Add(new ReferenceDifference(key, "tokens", wrong, 0, recorded.Count));
    }

    /// <summary>Compares one number relative to its size.</summary>
    public void CompareLoss(string key, double recorded, double ours) =>
        _differences.Add(new ReferenceDifference(key, "loss", Math.Abs(ours - recorded) / Math.Abs(recorded), Tolerance("loss"), 1));

    /// <summary>States that gradients must be exactly zero.</summary>
    public void RequireZero(string key, ReadOnlySpan<float> ours)
    {
        int wrong = 0;
        foreach (float value in ours)
            wrong += value == 0 ? 0 : 1;
        _differences.Add(new ReferenceDifference(key, "zero grad", wrong, 0, ours.Length));
    }

    public void Dispose()
    {
        _values.Dispose();
        _json.Dispose();
    }

    private static double LargestDifference(ReadOnlySpan<float> recorded, ReadOnlySpan<float> ours)
    {
        double largest = 0;
        for (int i = 0; i < recorded.Length; i++)
        {
            double difference = Math.Abs((double)recorded[i] - ours[i]);
            if (!(difference <= largest)) // NaN counts as the largest of all
                largest = double.IsNaN(difference) ? double.PositiveInfinity : difference;
        }

        return largest;
    }
}
