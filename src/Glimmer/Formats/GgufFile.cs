using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using Glimmer.Tensors;

namespace Glimmer.Formats;

/// <summary>A GGUF file, version 2 or 3, in one part or several (<c>NAME-00001-of-00003.gguf</c>), mapped into memory.</summary>
/// <remarks>
/// Names and shapes are those of the file; shapes are given slowest dimension first, the reverse of GGUF's <c>ne</c>. Split files keep the metadata in the
/// first part.
/// </remarks>
public sealed class GgufFile : IMappedWeights
{
    private readonly List<GgufPart> _parts;
    private readonly Dictionary<string, (GgufPart Part, TensorInfo Info)> _tensors = new(StringComparer.Ordinal);

    private GgufFile(List<GgufPart> parts)
    {
        _parts = parts;
        foreach (GgufPart part in parts)
        {
            foreach (TensorInfo info in part.Tensors)
            {
                if (!_tensors.TryAdd(info.Name, (part, info)))
                    throw new ModelFormatException($"'{part.Path}' and another part both hold the tensor '{info.Name}'.");
            }
        }

        Tensors = [.. parts.SelectMany(p => p.Tensors)];
    }

    /// <summary>Path of the first part.</summary>
    public string Path => _parts[0].Path;

    /// <summary>Version of the format.</summary>
    public int Version => (int)_parts[0].Version;

    /// <summary>Number of parts.</summary>
    public int Parts => _parts.Count;

    /// <summary>Metadata of the first part, in file order.</summary>
    public IReadOnlyDictionary<string, GgufValue> Metadata => _parts[0].Metadata;

    /// <summary>Tensors of all parts, in file order, under their GGUF names.</summary>
    public IReadOnlyList<TensorInfo> Tensors { get; }

    /// <summary>Opens a file, and the other parts when it is split; any part may be named.</summary>
    /// <exception cref="ModelFormatException">A part is missing, truncated or contradicts itself or the others.</exception>
    public static GgufFile Open(string path)
    {
        GgufPart opened = GgufPart.Open(path);
        var parts = new List<GgufPart> { opened };
        try
        {
            long count = SplitKey(opened, "split.count") ?? 1;
            if (count > 1)
                OpenOthers(opened, count, parts);
            return new GgufFile(parts);
        }
        catch
        {
            opened.Dispose();
            foreach (GgufPart part in parts)
                part.Dispose();
            throw;
        }
    }

    IEnumerable<(MappedFile File, long HeaderBytes)> IMappedWeights.Files => _parts.Select(part => (part.File, part.HeaderBytes));

    /// <summary>The tensor of that GGUF name, or null.</summary>
    public TensorInfo? Find(string name) => _tensors.TryGetValue(name, out (GgufPart Part, TensorInfo Info) found) ? found.Info : null;

    /// <summary>A view of the mapped bytes; valid until this file is disposed.</summary>
    /// <exception cref="ModelFormatException">The file has no such tensor.</exception>
    public unsafe Tensor View(string name)
    {
        (GgufPart part, TensorInfo info) = Get(name);
        return new Tensor(info.Type, info.Shape, part.Data(name), part.File);
    }

    /// <summary>The metadata value of a key, or false.</summary>
    public bool TryGetValue(string key, [NotNullWhen(true)] out GgufValue? value) => Metadata.TryGetValue(key, out value);

    /// <summary>Unmaps all parts. Views of them must no longer be used.</summary>
    public void Dispose()
    {
        foreach (GgufPart part in _parts)
            part.Dispose();
    }

    /// <summary>First byte of a tensor.</summary>
    internal unsafe byte* Data(string name) => Get(name).Part.Data(name);

    private (GgufPart Part, TensorInfo Info) Get(string name) =>
        _tensors.TryGetValue(name, out (GgufPart Part, TensorInfo Info) found) ? found : throw new ModelFormatException($"'{Path}' has no tensor '{name}'.");

    private static void OpenOthers(GgufPart opened, long count, List<GgufPart> parts)
    {
        long number = SplitKey(opened, "split.no") ?? throw new ModelFormatException($"'{opened.Path}' has split.count {count} but no split.no.");
        string suffix = string.Create(CultureInfo.InvariantCulture, $"-{number + 1:00000}-of-{count:00000}.gguf");
        if (number >= count || !opened.Path.EndsWith(suffix, StringComparison.Ordinal))
            throw new ModelFormatException(
                $"'{opened.Path}' is part {number + 1} of {count}, so its name must end in '{suffix}' for the other parts to be found.");
        string prefix = opened.Path[..^suffix.Length];
        parts.Clear();
        for (long i = 0; i < count; i++)
        {
            string path = string.Create(CultureInfo.InvariantCulture, $"{prefix}-{i + 1:00000}-of-{count:00000}.gguf");
            GgufPart part = i == number ? opened : GgufPart.Open(path);
            parts.Add(part);
            if (SplitKey(part, "split.no") != i || SplitKey(part, "split.count") != count)
                throw new ModelFormatException(
                    $"'{path}' says it is part {SplitKey(part, "split.no") + 1} of {SplitKey(part, "split.count")}; part {i + 1} of {count} is expected.");
        }

        long found = parts.Sum(p => (long)p.Tensors.Count);
        long? announced = SplitKey(parts[0], "split.tensors.count");
        if (announced is not null && announced != found)
            throw new ModelFormatException($"'{parts[0].Path}' announces {announced} tensors in all parts, but {found} are there.");
    }

    private static long? SplitKey(GgufPart part, string key) => part.Metadata.TryGetValue(key, out GgufValue? value) ? value.AsInteger() : null;
}
