using System.Text.Json;

namespace Glimmer.Tests.Environments;

/// <summary>Recorded verdicts of official graders (fixtures/evaluation) and the rows of data sets that they belong to.</summary>
internal static class EvaluationFixtures
{
    /// <summary>The rows of a recording; skips the test when it is absent.</summary>
    public static List<JsonElement> Rows(string name) => Read(Fixtures.Folder("evaluation") is { } folder ? Path.Combine(folder, name) : null);

    /// <summary>The rows of a data set beside the fixtures; skips the test when it is absent.</summary>
    public static List<JsonElement> Data(params string[] path) => Read(Fixtures.Root is { } root ? Path.Combine([root, "..", "data", .. path]) : null);

    private static List<JsonElement> Read(string? path)
    {
        Skip.If(path is null || !File.Exists(path), "no golden data: set GLIMMER_FIXTURES to the folder that holds it");
        return [.. File.ReadLines(path!).Select(line => JsonDocument.Parse(line).RootElement)];
    }
}
