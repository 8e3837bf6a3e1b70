using System.IO.Compression;
using System.Text;

namespace Glimmer.Environments.Text;

/// <summary>The data files inside the assembly (Resources/README.md): lines of fields separated by tabs.</summary>
internal static class GraderData
{
    /// <summary>The lines of a file.</summary>
    /// <param name="name">Its name, such as <c>punkt-english.txt.gz</c>.</param>
    public static IEnumerable<string[]> Lines(string name)
    {
        using Stream stream = typeof(GraderData).Assembly.GetManifestResourceStream(name)
            ?? throw new InvalidOperationException($"The assembly does not contain '{name}'.");
        using var reader = new StreamReader(new GZipStream(stream, CompressionMode.Decompress), Encoding.UTF8);
        // Not ReadLine: n-grams may hold other characters that end a line.
        foreach (string line in reader.ReadToEnd().Split('\n'))
        {
            if (line.Length > 0)
                yield return line.Split('\t');
        }
    }
}
