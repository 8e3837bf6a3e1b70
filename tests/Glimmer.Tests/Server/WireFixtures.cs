using System.Text.Json;
using Glimmer.Chat;
using Glimmer.Tests.Tokenization;
using Glimmer.Tokenization;
using Json.Schema;

namespace Glimmer.Tests.Server;

/// <summary>The recordings of the folder <c>wire</c>: requests, streams, and schemas made from the vendors' SDK types.</summary>
internal static class WireFixtures
{
    private static readonly Dictionary<string, JsonSchema> s_schemas = [];
    private static readonly Dictionary<string, List<JsonElement>> s_rows = [];

    /// <summary>The folder, or null.</summary>
    public static string? Folder { get; } = Fixtures.Folder("wire") is { } folder && Fixtures.Folder("chat") is not null && TokenizerRecordings.Folder is not null ? folder : null;

    /// <summary>The tokenizer of a GLM checkpoint's layout.</summary>
    public static Tokenizer Tokenizer => TokenizerRecordings.Load("glm-32k");

    /// <summary>The template of GLM-4.7.</summary>
    public static ChatTemplate Template { get; } = Fixtures.Folder("chat") is { } chat
        ? new ChatTemplate(File.ReadAllText(Path.Combine(chat, "templates", "glm-4.7.jinja")))
        : SmallVocabulary.Template;

    /// <summary>Ids of the rows of a file that a filter accepts.</summary>
    public static TheoryData<string> Names(string file, Func<JsonElement, bool> accepts) =>
        Fixtures.Rows(Folder is null ? null : Rows(file).Where(accepts).Select(row => row.GetProperty("id").GetString()!));

    /// <summary>The row with an id.</summary>
    public static JsonElement Row(string file, string id) => Rows(file).First(row => row.GetProperty("id").GetString() == id);

    /// <summary>The rows of a file.</summary>
    public static List<JsonElement> Rows(string file)
    {
        lock (s_rows)
        {
            if (!s_rows.TryGetValue(file, out List<JsonElement>? rows))
                s_rows[file] = rows = [.. File.ReadLines(Path.Combine(Folder!, file)).Where(line => line.Length > 0).Select(line => JsonDocument.Parse(line).RootElement)];
            return rows;
        }
    }

    /// <summary>Fails unless a value is valid under a schema.</summary>
    public static void AssertValid(string schema, JsonElement value) => Assert.True(IsValid(schema, value), $"not valid under {schema}: {value.GetRawText()}");

    /// <summary>Whether a value is valid under a schema.</summary>
    public static bool IsValid(string schema, JsonElement value)
    {
        lock (s_schemas)
        {
            if (!s_schemas.TryGetValue(schema, out JsonSchema? compiled))
                s_schemas[schema] = compiled = JsonSchema.FromText(File.ReadAllText(Path.Combine(Folder!, "schemas", schema + ".json")));
            return compiled.Evaluate(value).IsValid;
        }
    }
}
