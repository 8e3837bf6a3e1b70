using System.Runtime.InteropServices;

namespace Glimmer.Tensors;

/// <summary>Zeroed native memory, aligned to 64 bytes (2 MiB when it is large, so that huge pages can back it).</summary>
internal sealed unsafe class NativeBuffer : IDisposable
{
    private const long HugePage = 2L << 20;

    private byte* _pointer;

    public NativeBuffer(long bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        Bytes = bytes;
        bool large = bytes >= 2 * HugePage;
        nuint alignment = large ? (nuint)HugePage : 64;
        nuint size = (nuint)Math.Max(bytes, 64);
        _pointer = (byte*)NativeMemory.AlignedAlloc(size, alignment);
        if (large && OperatingSystem.IsLinux())
            _ = MAdvise(_pointer, size & ~(nuint)(HugePage - 1), 14); // MADV_HUGEPAGE: advice, so a refusal changes nothing.
        NativeMemory.Clear(_pointer, size);
        GC.AddMemoryPressure(Math.Max(bytes, 64));
    }

    ~NativeBuffer() => Free();

    public long Bytes { get; }

    public byte* Pointer
    {
        get
        {
            ObjectDisposedException.ThrowIf(_pointer == null, this);
            return _pointer;
        }
    }

    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private void Free()
    {
        if (_pointer == null)
            return;
        NativeMemory.AlignedFree(_pointer);
        _pointer = null;
        GC.RemoveMemoryPressure(Math.Max(Bytes, 64));
    }

    [DllImport("libc", EntryPoint = "madvise")]
    private static extern int MAdvise(void* address, nuint length, int advice);
}
