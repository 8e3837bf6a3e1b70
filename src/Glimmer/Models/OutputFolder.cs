namespace Glimmer.Models;

/// <summary>A folder that appears under its name only when it is complete.</summary>
internal static class OutputFolder
{
    /// <summary>Writes a folder.</summary>
    /// <param name="output">Its path; it does not exist yet, or is empty.</param>
    /// <param name="write">Fills the folder that it is given.</param>
    /// <exception cref="IOException">The output exists, or cannot be written. Nothing is left behind.</exception>
    public static void Write(string output, Action<string> write)
    {
        if (File.Exists(output) || (Directory.Exists(output) && Directory.EnumerateFileSystemEntries(output).Any()))
            throw new IOException($"'{output}' exists already. Delete it or choose another name.");
        string final = Path.TrimEndingDirectorySeparator(Path.GetFullPath(output)), temporary = $"{final}.{Guid.NewGuid():N}.partial";
        Directory.CreateDirectory(temporary);
        try
        {
            write(temporary);
            if (Directory.Exists(final))
                Directory.Delete(final);
            Directory.Move(temporary, final);
        }
        catch
        {
            Directory.Delete(temporary, recursive: true);
            throw;
        }
    }
}
