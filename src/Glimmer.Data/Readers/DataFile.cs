using System.IO.Compression;
using ZstdSharp;

namespace Glimmer.Data.Readers;

/// <summary>Opens files of training data, compressed or not.</summary>
internal static class DataFile
{
    private const int BufferBytes = 1 << 16;

    /// <summary>The name without the ending of its compression.</summary>
    public static string NameOf(string path) => IsCompressed(path) ? Path.GetFileNameWithoutExtension(path) : Path.GetFileName(path);

    /// <summary>The content of a file: decompressed when its name ends in <c>.gz</c> or <c>.zst</c>.</summary>
    /// <exception cref="ModelFormatException">There is no such file, or it cannot be read.</exception>
    public static Stream Open(string path)
    {
        FileStream file;
        try
        {
            file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, BufferBytes, FileOptions.SequentialScan);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new ModelFormatException($"'{path}' does not exist.", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ModelFormatException($"'{path}' cannot be read: {e.Message}", e);
        }

        return Has(path, ".gz") ? new GZipStream(file, CompressionMode.Decompress)
            : Has(path, ".zst") ? new DecompressionStream(file, leaveOpen: false)
            : file;
    }

    private static bool IsCompressed(string path) => Has(path, ".gz") || Has(path, ".zst");

    private static bool Has(string path, string ending) => path.EndsWith(ending, StringComparison.OrdinalIgnoreCase);
}
