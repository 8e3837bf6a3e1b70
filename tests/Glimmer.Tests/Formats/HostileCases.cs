using System.Diagnostics;
using System.Text;
using System.Text.Json;

namespace Glimmer.Tests.Formats;

/// <summary>The recorded hostile files: <c>hostile/cases.jsonl</c>, one case a line, and the files they are made from.</summary>
internal static class HostileCases
{
    private static readonly Lazy<Dictionary<string, JsonElement>> s_cases = new(Load);

    private static string? Folder => Fixtures.Folder(Path.Combine("formats", "hostile"));

    /// <summary>Theory rows: ids of the cases of these kinds.</summary>
    public static TheoryData<string> OfKinds(params string[] kinds) =>
        Fixtures.Rows(Folder is null ? null : s_cases.Value.Values.Where(c => kinds.Contains(c.GetProperty("kind").GetString()))
            .Select(c => c.GetProperty("id").GetString()!));

    /// <summary>The recorded line of a case.</summary>
    public static JsonElement Get(string id) => s_cases.Value[id];

    /// <summary>
    /// Writes the files of a case into an empty folder, opens <c>file</c> there and checks what is expected: <c>refuse</c> = a model exception with a
    /// message, <c>accept</c> = none, <c>either</c> = one or the other. In each case within a second and without allocating what the file claims.
    /// </summary>
    public static string Check(string id, Action<string> open, long allowedBytes = 16 << 20)
    {
        JsonElement recorded = Get(id);
        DirectoryInfo folder = Directory.CreateTempSubdirectory("glimmer-hostile-");
        try
        {
            long bytes = WriteFiles(recorded.GetProperty("content"), folder.FullName);
            string file = Path.Combine(folder.FullName, recorded.GetProperty("file").GetString()!);
            return Check(recorded.GetProperty("expect").GetString()!, $"{id} ({recorded.GetProperty("reason").GetString()})", bytes, allowedBytes, () => open(file));
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private static string Check(string expect, string what, long fileBytes, long allowedBytes, Action open)
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        (string? refusal, long elapsedMs) = Time(open);
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;

        // The first call compiles the code it runs, which on a busy machine may take a second by itself.
        if (elapsedMs >= 1000)
            (_, elapsedMs) = Time(open);
        Assert.True(elapsedMs < 1000, $"{what}: took {elapsedMs} ms");
        Assert.True(allocated < allowedBytes + 64 * fileBytes, $"{what}: allocated {allocated} bytes for a file of {fileBytes}");
        if (expect == "refuse")
            Assert.True(refusal is { Length: > 20 }, $"{what}: {(refusal is null ? "accepted" : $"refused with no more than '{refusal}'")}");
        if (expect == "accept")
            Assert.True(refusal is null, $"{what}: refused: {refusal}");
        return refusal ?? "accepted";
    }

    private static (string? Refusal, long ElapsedMs) Time(Action open)
    {
        var clock = Stopwatch.StartNew();
        try
        {
            open();
            return (null, clock.ElapsedMilliseconds);
        }
        catch (Exception e) when (e is ModelFormatException or UnsupportedModelException)
        {
            return (e.Message, clock.ElapsedMilliseconds);
        }
    }

    private static long WriteFiles(JsonElement content, string folder)
    {
        long total = 0;
        foreach (JsonProperty file in content.EnumerateObject())
        {
            byte[] bytes = Bytes(file.Value);
            string path = Path.Combine(folder, file.Name);
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            File.WriteAllBytes(path, bytes);
            total += bytes.Length;
        }

        return total;
    }

    private static byte[] Bytes(JsonElement content)
    {
        if (content.TryGetProperty("text", out JsonElement text))
            return Encoding.UTF8.GetBytes(text.GetString()!);
        if (content.TryGetProperty("base64", out JsonElement base64))
            return base64.GetBytesFromBase64();
        if (content.TryGetProperty("parts", out JsonElement parts))
            return [.. parts.EnumerateArray().SelectMany(Repeated)];
        byte[] bytes = File.ReadAllBytes(Path.Combine(Folder!, "base", content.GetProperty("base").GetString()!));
        if (content.TryGetProperty("patches", out JsonElement patches))
        {
            foreach (JsonElement patch in patches.EnumerateArray())
                Convert.FromHexString(patch[1].GetString()!).CopyTo(bytes, patch[0].GetInt32());
        }

        if (content.TryGetProperty("replace", out JsonElement replacements))
        {
            foreach (JsonElement replace in replacements.EnumerateArray())
            {
                int offset = replace[0].GetInt32();
                bytes = [.. bytes[..offset], .. Convert.FromHexString(replace[2].GetString()!), .. bytes[(offset + replace[1].GetInt32())..]];
            }
        }

        return content.TryGetProperty("truncate", out JsonElement length) ? bytes[..length.GetInt32()] : bytes;
    }

    private static IEnumerable<byte> Repeated(JsonElement part)
    {
        byte[] bytes = Bytes(part);
        int times = part.TryGetProperty("times", out JsonElement count) ? count.GetInt32() : 1;
        return Enumerable.Repeat(bytes, times).SelectMany(b => b);
    }

    private static Dictionary<string, JsonElement> Load() =>
        File.ReadLines(Path.Combine(Folder!, "cases.jsonl"))
            .Where(l => l.Length > 0)
            .Select(l => JsonDocument.Parse(l).RootElement)
            .ToDictionary(c => c.GetProperty("id").GetString()!);
}
