using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Glimmer.Models.Upcycling;

/// <summary>
/// The model that an addition belongs to, as <c>glimmer_trunk</c> in the <c>config.json</c> of the addition's folder: a dense GGUF file, by name, size and SHA-256. The file stays as it is; the
/// folder holds only what is new (docs/adr/0004).
/// </summary>
/// <param name="File">Name of the file.</param>
/// <param name="Bytes">Its size.</param>
/// <param name="Sha256">Its SHA-256 in hexadecimal.</param>
/// <param name="NextTokenLayer">Layer of the trunk whose attention and feed-forward matrices the MTP layer starts from and adapts; negative when there is no MTP layer.</param>
public sealed record TrunkReference(string File, long Bytes, string Sha256, int NextTokenLayer)
{
    private const string Key = "glimmer_trunk";

    /// <summary>Describes a file.</summary>
    public static TrunkReference Of(string path, int nextTokenLayer)
    {
        using FileStream stream = System.IO.File.OpenRead(path);
        return new TrunkReference(Path.GetFileName(path), stream.Length, Convert.ToHexStringLower(SHA256.HashData(stream)), nextTokenLayer);
    }

    /// <summary>What a configuration says; null for an ordinary checkpoint.</summary>
    /// <param name="configJson">Text of <c>config.json</c>.</param>
    /// <param name="where">Its path, for messages.</param>
    /// <exception cref="ModelFormatException">The entry is malformed.</exception>
    public static TrunkReference? Read(string configJson, string where)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(configJson);
            if (document.RootElement.ValueKind != JsonValueKind.Object || !document.RootElement.TryGetProperty(Key, out JsonElement trunk))
                return null;
            string file = trunk.GetProperty("file").GetString()!;
            if (file.Length == 0 || Path.GetFileName(file) != file)
                throw new ModelFormatException($"'{where}': '{Key}.file' is '{file}'; the name of a file without folders is expected.");
            return new TrunkReference(file, trunk.GetProperty("bytes").GetInt64(), trunk.GetProperty("sha256").GetString()!, trunk.GetProperty("next_token_layer").GetInt32());
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            throw new ModelFormatException($"'{where}': '{Key}' does not name a trunk (file, bytes, sha256, next_token_layer): {e.Message}", e);
        }
    }

    /// <summary>Puts it into a configuration.</summary>
    public void WriteTo(JsonObject config) =>
        config[Key] = new JsonObject { ["file"] = File, ["bytes"] = Bytes, ["sha256"] = Sha256, ["next_token_layer"] = NextTokenLayer };

    /// <summary>Finds the file: in the addition's folder, in a folder above it, in <c>models</c> there, or the same way from the program's folder.</summary>
    /// <param name="folder">The addition's folder.</param>
    /// <exception cref="ModelFormatException">It is in none of them, or is another file.</exception>
    public string Find(string folder)
    {
        string? path = new[] { Path.GetFullPath(folder), AppContext.BaseDirectory }.SelectMany(Places).FirstOrDefault(System.IO.File.Exists);
        if (path is null)
            throw new ModelFormatException($"'{folder}' is an addition to '{File}', which is neither there, nor in a folder above it, nor in 'models' beside the program. Copy the file there.");
        long size = new FileInfo(path).Length;
        if (size != Bytes)
            throw new ModelFormatException($"'{folder}' is an addition to a '{File}' of {Bytes} bytes, but '{path}' has {size}. It is another file; put the right one beside the addition.");
        string hash = Of(path, NextTokenLayer).Sha256;
        return hash == Sha256
            ? path
            : throw new ModelFormatException($"'{folder}' is an addition to a '{File}' with the SHA-256 {Sha256}, but that of '{path}' is {hash}. It is another or a damaged file; put the right one beside the addition.");
    }

    /// <summary>The names under which the upcycled model uses a tensor of the trunk.</summary>
    /// <param name="name">Its name in the trunk, for example <c>model.layers.3.mlp.up_proj.weight</c>.</param>
    /// <param name="config">Configuration of the upcycled model.</param>
    internal IEnumerable<string> NamesOf(string name, ModelConfig config)
    {
        const string Prefix = "model.layers.";
        if (!name.StartsWith(Prefix, StringComparison.Ordinal))
        {
            yield return name;
            yield break;
        }

        int end = name.IndexOf('.', Prefix.Length);
        int layer = int.Parse(name.AsSpan(Prefix.Length, end - Prefix.Length), CultureInfo.InvariantCulture);
        yield return Prefix + name[Prefix.Length..end] + In(name[end..], config.IsSparse(layer));
        // Norms of the MTP layer are its own.
        if (layer == NextTokenLayer && config.NumNextnPredictLayers > 0 && !name.EndsWith("norm.weight", StringComparison.Ordinal))
            yield return string.Create(CultureInfo.InvariantCulture, $"{Prefix}{config.NumHiddenLayers}{In(name[end..], sparse: true)}");
    }

    // The dense feed-forward network becomes the shared expert.
    private static string In(string rest, bool sparse) => sparse ? rest.Replace(".mlp.", ".mlp.shared_experts.", StringComparison.Ordinal) : rest;

    private IEnumerable<string> Places(string start)
    {
        for (DirectoryInfo? at = new(start); at is not null; at = at.Parent)
        {
            yield return Path.Combine(at.FullName, File);
            yield return Path.Combine(at.FullName, "models", File);
        }
    }
}
