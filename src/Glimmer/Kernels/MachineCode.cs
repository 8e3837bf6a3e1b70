using System.Runtime.InteropServices;

namespace Glimmer.Kernels;

/// <summary>Memory that holds machine code, for the few instructions that .NET has no intrinsics for. It is written once, then only executed and read, and lives as long as the process.</summary>
internal static unsafe partial class MachineCode
{
    private const int ReadWrite = 1 | 2, ReadExecute = 1 | 4, PrivateAnonymous = 2 | 0x20; // Linux
    private const uint Commit = 0x3000, PageReadWrite = 4, PageExecuteRead = 0x20; // Windows

    /// <summary>Puts code into executable memory.</summary>
    /// <returns>Its address; null where the system does not allow it or is neither Linux nor Windows.</returns>
    public static byte* Place(ReadOnlySpan<byte> code)
    {
        if (OperatingSystem.IsLinux())
        {
            nint memory = Map(0, code.Length, ReadWrite, PrivateAnonymous, -1, 0);
            if (memory == -1)
                return null;
            code.CopyTo(new Span<byte>((void*)memory, code.Length));
            return Protect(memory, code.Length, ReadExecute) == 0 ? (byte*)memory : null;
        }

        if (OperatingSystem.IsWindows())
        {
            nint memory = VirtualAlloc(0, code.Length, Commit, PageReadWrite);
            if (memory == 0)
                return null;
            code.CopyTo(new Span<byte>((void*)memory, code.Length));
            return VirtualProtect(memory, code.Length, PageExecuteRead, out _) != 0 ? (byte*)memory : null;
        }

        return null;
    }

    [LibraryImport("libc", EntryPoint = "mmap")]
    private static partial nint Map(nint address, nint length, int protection, int flags, int file, nint offset);

    [LibraryImport("libc", EntryPoint = "mprotect")]
    private static partial int Protect(nint address, nint length, int protection);

    [LibraryImport("kernel32")]
    private static partial nint VirtualAlloc(nint address, nint length, uint type, uint protection);

    [LibraryImport("kernel32")]
    private static partial int VirtualProtect(nint address, nint length, uint protection, out uint before);
}
