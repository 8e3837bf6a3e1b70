namespace Glimmer.Tests;

/// <summary>A folder for the files of one test, removed at its end.</summary>
internal sealed class TemporaryFolder : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("glimmer-test-");

    /// <summary>A path below the folder.</summary>
    public string this[string name] => Path.Combine(_folder.FullName, name);

    public override string ToString() => _folder.FullName;

    public void Dispose() => _folder.Delete(recursive: true);
}
