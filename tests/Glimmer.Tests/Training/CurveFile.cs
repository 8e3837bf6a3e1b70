using System.Text;

namespace Glimmer.Tests.Training;

/// <summary>A recorded curve beside ours, kept where the variable GLIMMER_CURVES names a folder: <c>dotnet run --project bench/Glimmer.Benchmarks -- curves</c> draws the files.</summary>
/// <param name="name">Its name.</param>
internal sealed class CurveFile(string name) : IDisposable
{
    private readonly StringBuilder _lines = new("step,recorded,ours\n");

    /// <summary>Adds a step.</summary>
    public void Add(long step, double recorded, double ours) => _lines.Append(FormattableString.Invariant($"{step},{recorded:r},{ours:r}\n"));

    public void Dispose()
    {
        if (Environment.GetEnvironmentVariable("GLIMMER_CURVES") is { Length: > 0 } folder)
            File.WriteAllText(Path.Combine(Directory.CreateDirectory(folder).FullName, name + ".csv"), _lines.ToString());
    }
}
