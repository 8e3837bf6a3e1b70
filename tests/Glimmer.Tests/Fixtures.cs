namespace Glimmer.Tests;

/// <summary>Finds recorded reference data: <c>GLIMMER_FIXTURES</c> and <c>GLIMMER_MODELS</c>, by default <c>../shared</c> beside the repository.</summary>
internal static class Fixtures
{
    /// <summary>Root of the repository: the nearest folder upwards that holds Glimmer.slnx.</summary>
    public static string Repository { get; } = FindRepository();

    /// <summary>Folder of the golden data, or null when there is none on this machine.</summary>
    public static string? Root { get; } = Existing("GLIMMER_FIXTURES", "fixtures");

    /// <summary>Folder of the recordings of real models, or null.</summary>
    public static string? Models { get; } = Existing("GLIMMER_MODELS", "models");

    /// <summary>A folder below <see cref="Root"/>, or null when it is absent.</summary>
    public static string? Folder(string kind)
    {
        string? path = Root is null ? null : Path.Combine(Root, kind);
        return Directory.Exists(path) ? path : null;
    }

    /// <summary>
    /// Theory rows for golden tests: one a name. Without data a single row with the empty string, which the test must pass to
    /// <see cref="SkipIfAbsent"/>, so that the run says it was skipped.
    /// </summary>
    public static TheoryData<string> Rows(IEnumerable<string>? names)
    {
        string[] found = [.. (names ?? []).Order(StringComparer.Ordinal)];
        var rows = new TheoryData<string>();
        foreach (string name in found.Length == 0 ? [""] : found)
            rows.Add(name);
        return rows;
    }

    /// <summary>Skips the test when its row stands for absent data.</summary>
    public static void SkipIfAbsent(string name) =>
        Skip.If(name.Length == 0, "no golden data: set GLIMMER_FIXTURES (and GLIMMER_MODELS) to the folder that holds it");

    private static string? Existing(string variable, string name)
    {
        string path = Environment.GetEnvironmentVariable(variable) ?? Path.Combine(Repository, "..", "shared", name);
        return Directory.Exists(path) ? Path.GetFullPath(path) : null;
    }

    private static string FindRepository()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "Glimmer.slnx")))
                return folder.FullName;
        }

        throw new InvalidOperationException($"Glimmer.slnx was not found above {AppContext.BaseDirectory}.");
    }
}
