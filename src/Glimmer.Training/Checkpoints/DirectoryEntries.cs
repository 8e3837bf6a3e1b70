using System.Runtime.InteropServices;

namespace Glimmer.Training.Checkpoints;

/// <summary>Makes the names in a folder durable: a file that is renamed keeps its new name when power fails.</summary>
/// <remarks>POSIX: fsync of the folder. Windows writes names with their files. A file system that cannot do it is let be: the manifest tells what is complete.</remarks>
internal static partial class DirectoryEntries
{
    /// <summary>Flushes the entries of a folder.</summary>
    public static void Flush(string folder)
    {
        if (OperatingSystem.IsWindows())
            return;
        int handle = Open(folder, 0);
        if (handle < 0)
            return;
        _ = FSync(handle);
        _ = Close(handle);
    }

    // Flags 0: read only.
    [LibraryImport("libc", EntryPoint = "open", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "fsync")]
    private static partial int FSync(int handle);

    [LibraryImport("libc", EntryPoint = "close")]
    private static partial int Close(int handle);
}
