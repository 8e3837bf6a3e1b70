using System.Text;
using Glimmer.Formats;

namespace Glimmer.Data;

/// <summary>Writes files of JSON lines. A file appears under its name when it is complete.</summary>
public static class JsonLinesFile
{
    /// <summary>Writes lines.</summary>
    /// <param name="path">The file; an older one is replaced.</param>
    /// <param name="lines">JSON objects without line breaks, read once.</param>
    /// <param name="cancellation">Ends the work with an <see cref="OperationCanceledException"/>; the file does not appear.</param>
    /// <returns>How many lines there are.</returns>
    public static long Write(string path, IEnumerable<string> lines, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(lines);
        using var file = new AtomicFile(path);
        long count = 0;
        using (var writer = new StreamWriter(file.Stream, new UTF8Encoding(encoderShouldEmitUTF8Identifier: false), leaveOpen: true) { NewLine = "\n" })
        {
            foreach (string line in lines)
            {
                cancellation.ThrowIfCancellationRequested();
                writer.WriteLine(line);
                count++;
            }
        }

        file.Commit();
        return count;
    }
}
