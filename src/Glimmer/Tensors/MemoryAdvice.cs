using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Glimmer.Tensors;

/// <summary>What Linux is told about memory: huge pages, which parts of a file come soon, which are no longer needed. Elsewhere nothing happens.</summary>
/// <remarks>All of it is advice: a refusal changes speed or the use of memory, never a value. Source: madvise(2), posix_fadvise(2), mmap(2).</remarks>
internal static unsafe class MemoryAdvice
{
    /// <summary>Size of a huge page.</summary>
    public const long HugePage = 2L << 20;

    private const nuint Page = 4096;
    private const string HugePageSetting = "/sys/kernel/mm/transparent_hugepage/enabled";

    /// <summary>The system's setting for huge pages of private memory: <c>always</c>, <c>madvise</c>, <c>never</c>, or null where it does not tell.</summary>
    public static string? HugePageMode()
    {
        if (!OperatingSystem.IsLinux() || !File.Exists(HugePageSetting))
            return null;
        string text = File.ReadAllText(HugePageSetting);
        int open = text.IndexOf('[', StringComparison.Ordinal), close = text.IndexOf(']', StringComparison.Ordinal);
        return open >= 0 && close > open ? text[(open + 1)..close] : null;
    }

    /// <summary>Bytes of mapped memory that are needed soon: reading ahead starts and the call returns.</summary>
    public static void WillNeed(void* address, long bytes) => Advise(address, bytes, 3, inside: false);

    /// <summary>Bytes of a read-only file mapping that are no longer needed: the process gives the pages back and reads them again if it touches them.</summary>
    /// <remarks>Never for private memory: its contents would be lost.</remarks>
    public static void DropMapped(void* address, long bytes) => Advise(address, bytes, 4, inside: true);

    /// <summary>Backs private memory with huge pages as it is touched.</summary>
    public static void UseHugePages(void* address, long bytes) => Advise(address, bytes, 14, inside: true);

    /// <summary>A part of a file that is read soon: the system starts to read it and the call returns.</summary>
    public static void WillNeed(SafeFileHandle file, long offset, long bytes) => Advise(file, offset, bytes, 3);

    /// <summary>A part of a file whose copy in the page cache is no longer needed.</summary>
    public static void DropCached(SafeFileHandle file, long offset, long bytes) => Advise(file, offset, bytes, 4);

    /// <summary>Zeroed private pages, or null where the system has no such call. Nothing is written: pages come zeroed when they are touched.</summary>
    public static void* MapPrivate(long bytes)
    {
        if (!OperatingSystem.IsLinux())
            return null;
        void* address = MMap(null, (nuint)bytes, 1 | 2, 2 | 0x20, -1, 0); // PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS
        return (nint)address == -1 ? null : address;
    }

    /// <summary>Gives pages of <see cref="MapPrivate"/> back.</summary>
    public static void Unmap(void* address, long bytes) => _ = MUnmap(address, (nuint)bytes);

    // Whole pages: those inside the range, or all that it touches.
    private static void Advise(void* address, long bytes, int advice, bool inside)
    {
        if (!OperatingSystem.IsLinux() || bytes <= 0)
            return;
        nuint first = (nuint)address, end = first + (nuint)bytes;
        first = inside ? (first + Page - 1) & ~(Page - 1) : first & ~(Page - 1);
        end = inside ? end & ~(Page - 1) : end;
        if (end > first)
            _ = MAdvise((void*)first, end - first, advice);
    }

    private static void Advise(SafeFileHandle file, long offset, long bytes, int advice)
    {
        if (!OperatingSystem.IsLinux() || bytes <= 0)
            return;
        bool held = false;
        try
        {
            file.DangerousAddRef(ref held);
            _ = FAdvise((int)file.DangerousGetHandle(), offset, bytes, advice);
        }
        finally
        {
            if (held)
                file.DangerousRelease();
        }
    }

    [DllImport("libc", EntryPoint = "madvise")]
    private static extern int MAdvise(void* address, nuint length, int advice);

    [DllImport("libc", EntryPoint = "posix_fadvise")]
    private static extern int FAdvise(int file, long offset, long length, int advice);

    [DllImport("libc", EntryPoint = "mmap")]
    private static extern void* MMap(void* address, nuint length, int protection, int flags, int file, long offset);

    [DllImport("libc", EntryPoint = "munmap")]
    private static extern int MUnmap(void* address, nuint length);
}
