using System.Text.Json;
using Glimmer.Formats;

namespace Glimmer.Tests.Training;

/// <summary>One recorded case: NAME.json and the tensors of the file it names.</summary>
internal sealed class TrainingCase : IDisposable
{
    private readonly JsonDocument _document;
    private readonly SafetensorsFile? _tensors;

    private TrainingCase(string path)
    {
        Folder = Path.GetDirectoryName(path)!;
        Name = Path.GetFileNameWithoutExtension(path);
        _document = JsonDocument.Parse(File.ReadAllText(path));
        string? file = Json.TryGetProperty("file", out JsonElement name) ? name.GetString() : null;
        _tensors = file is null ? null : SafetensorsFile.Open(Path.Combine(Folder, file));
    }

    /// <summary>Folder of the file.</summary>
    public string Folder { get; }

    /// <summary>NAME.</summary>
    public string Name { get; }

    /// <summary>The content of NAME.json.</summary>
    public JsonElement Json => _document.RootElement;

    /// <summary>Rows of a theory: the JSON files below <c>training/FOLDER</c> whose kind is one of <paramref name="kinds"/>, as FOLDER/NAME.</summary>
    public static TheoryData<string> Rows(string folder, params string[] kinds)
    {
        string? root = Fixtures.Folder("training");
        string? path = root is null ? null : Path.Combine(root, folder);
        if (!Directory.Exists(path))
            return Fixtures.Rows(null);
        return Fixtures.Rows(Directory.EnumerateFiles(path, "*.json").Where(file => kinds.Contains(KindOf(file))).Select(file => Path.GetRelativePath(root!, file)));
    }

    public static TrainingCase Open(string name) => new(Path.Combine(Fixtures.Folder("training")!, name));

    /// <summary>Another case beside this one, or a file of tensors alone.</summary>
    public SafetensorsFile Beside(string file) => SafetensorsFile.Open(Path.Combine(Folder, file));

    public float[] F32(string name) => Tensors.View(name).F32.ToArray();

    public int[] I32(string name) => Tensors.View(name).I32.ToArray();

    public int[] Shape(string name) => Tensors.Find(name)!.Shape.ToArray();

    public bool Has(string name) => _tensors?.Find(name) is not null;

    public SafetensorsFile Tensors => _tensors ?? throw new InvalidOperationException("The case has no tensors.");

    public void Dispose()
    {
        _tensors?.Dispose();
        _document.Dispose();
    }

    /// <summary>Largest absolute difference; infinite when something is NaN on one side alone.</summary>
    public static double Largest(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual)
    {
        Assert.Equal(expected.Length, actual.Length);
        double largest = 0;
        for (int i = 0; i < expected.Length; i++)
        {
            if (expected[i] == actual[i] || (float.IsNaN(expected[i]) && float.IsNaN(actual[i])))
                continue;
            double difference = Math.Abs((double)expected[i] - actual[i]);
            largest = double.IsNaN(difference) ? double.PositiveInfinity : Math.Max(largest, difference);
        }

        return largest;
    }

    private static string? KindOf(string file)
    {
        using JsonDocument document = JsonDocument.Parse(File.ReadAllText(file));
        return document.RootElement.ValueKind == JsonValueKind.Object && document.RootElement.TryGetProperty("kind", out JsonElement kind) ? kind.GetString() : null;
    }
}
