using System.Collections.Concurrent;
using System.Text;
using System.Text.Json;
using Glimmer.Tokenization;

namespace Glimmer.Tests.Tokenization;

/// <summary>Finds the recordings of the folder <c>tokenizer</c> and the tokenizers they are about.</summary>
internal static class TokenizerRecordings
{
    private static readonly ConcurrentDictionary<string, Dictionary<string, JsonElement>> s_rows = [];
    private static readonly ConcurrentDictionary<string, Tokenizer> s_tokenizers = [];

    /// <summary>The folder, or null.</summary>
    public static string? Folder { get; } = Fixtures.Folder("tokenizer");

    /// <summary>The folder of the texts that rows name by file, or null.</summary>
    public static string? Data { get; } = Fixtures.Root is string root && Directory.Exists(Path.Combine(root, "..", "data"))
        ? Path.GetFullPath(Path.Combine(root, "..", "data"))
        : null;

    /// <summary>Theory rows: the names of the rows of a file below the folder.</summary>
    public static TheoryData<string> Names(string file, Func<JsonElement, bool>? where = null) =>
        Fixtures.Rows(Folder is null ? null : Rows(Path.Combine(Folder, file)).Where(r => where is null || where(r.Value)).Select(r => r.Key));

    /// <summary>One row of a file below the folder.</summary>
    public static JsonElement Row(string file, string name) => Rows(Path.Combine(Folder!, file))[name];

    /// <summary>The rows of a file by <c>id</c>, <c>name</c> or <c>class</c>, else by number; none when there is no file.</summary>
    public static Dictionary<string, JsonElement> Rows(string path) => s_rows.GetOrAdd(path, Read);

    /// <summary>The tokenizer a row names by folder.</summary>
    public static Tokenizer Of(JsonElement row) => Load(row.GetProperty("tokenizer").GetString()!);

    /// <summary>A tokenizer below the folder, loaded once.</summary>
    public static Tokenizer Load(string path) => s_tokenizers.GetOrAdd(path, p => Tokenizer.Load(Path.Combine(Folder!, p)));

    /// <summary>A tokenizer of a GGUF file, loaded once.</summary>
    public static Tokenizer LoadGguf(string path) =>
        s_tokenizers.GetOrAdd(path, p => Tokenizer.FromGguf(GgufMetadataReader.Read(p), Path.GetFileName(p)));

    /// <summary>A list of numbers.</summary>
    public static int[] Ids(JsonElement row, string key) => [.. row.GetProperty(key).EnumerateArray().Select(v => v.GetInt32())];

    /// <summary>A list of numbers, or that of another key where it is absent.</summary>
    public static int[] Ids(JsonElement row, string key, string otherwise) => Ids(row, row.TryGetProperty(key, out _) ? key : otherwise);

    /// <summary>A string, or the given one where the key is absent.</summary>
    public static string Text(JsonElement row, string key, string otherwise) =>
        row.TryGetProperty(key, out JsonElement value) ? value.GetString()! : otherwise;

    /// <summary>Builds a text: a string, <c>{"repeat":[x,n]}</c> or <c>{"concat":[...]}</c>, nested.</summary>
    public static string Build(JsonElement recipe)
    {
        var text = new StringBuilder();
        if (recipe.ValueKind == JsonValueKind.String)
            return recipe.GetString()!;
        if (recipe.TryGetProperty("repeat", out JsonElement repeat))
        {
            string part = Build(repeat[0]);
            for (int i = 0; i < repeat[1].GetInt32(); i++)
                text.Append(part);
            return text.ToString();
        }

        foreach (JsonElement part in recipe.GetProperty("concat").EnumerateArray())
            text.Append(Build(part));
        return text.ToString();
    }

    /// <summary>Unrolls a list of <c>[block, times]</c>.</summary>
    public static int[] Unroll(JsonElement blocks)
    {
        var ids = new List<int>();
        foreach (JsonElement block in blocks.EnumerateArray())
        {
            int[] part = [.. block[0].EnumerateArray().Select(v => v.GetInt32())];
            for (int i = 0; i < block[1].GetInt32(); i++)
                ids.AddRange(part);
        }

        return [.. ids];
    }

    private static Dictionary<string, JsonElement> Read(string path)
    {
        var rows = new Dictionary<string, JsonElement>();
        if (!File.Exists(path))
            return rows;
        foreach (string line in File.ReadAllText(path).Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            JsonElement row = JsonDocument.Parse(line).RootElement;
            string name = rows.Count.ToString("D5");
            foreach (string key in (string[])["file", "class", "name", "id"])
            {
                if (row.TryGetProperty(key, out JsonElement value))
                    name = value.GetString()!;
            }

            rows.Add(name, row);
        }

        return rows;
    }
}
