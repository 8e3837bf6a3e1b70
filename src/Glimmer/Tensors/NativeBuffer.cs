using System.Runtime.InteropServices;

namespace Glimmer.Tensors;

/// <summary>Zeroed native memory, aligned to 64 bytes (2 MiB when it is large, so that huge pages can back it).</summary>
/// <remarks>
/// Large memory comes from the system page by page as it is touched, and comes zeroed: nobody writes it twice, and the threads that fill it share the
/// work of bringing it in.
/// </remarks>
internal sealed unsafe class NativeBuffer : IDisposable
{
    private const long Large = MemoryAdvice.HugePage;

    private byte* _pointer;
    private void* _mapping;

    public NativeBuffer(long bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        Bytes = bytes;
        if (bytes >= Large && (_mapping = MemoryAdvice.MapPrivate(MappedBytes)) != null)
        {
            nuint mask = (nuint)MemoryAdvice.HugePage - 1;
            _pointer = (byte*)(((nuint)_mapping + mask) & ~mask);
            MemoryAdvice.UseHugePages(_pointer, bytes & ~(MemoryAdvice.HugePage - 1));
        }
        else
        {
            var size = (nuint)Math.Max(bytes, 64);
            _pointer = (byte*)NativeMemory.AlignedAlloc(size, 64);
            NativeMemory.Clear(_pointer, size);
        }

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

    // Room to begin at a huge page.
    private long MappedBytes => Bytes + MemoryAdvice.HugePage;

    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private void Free()
    {
        if (_pointer == null)
            return;
        if (_mapping != null)
            MemoryAdvice.Unmap(_mapping, MappedBytes);
        else
            NativeMemory.AlignedFree(_pointer);
        _pointer = null;
        GC.RemoveMemoryPressure(Math.Max(Bytes, 64));
    }
}
