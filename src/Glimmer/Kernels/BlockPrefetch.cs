using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace Glimmer.Kernels;

/// <summary>Fetches a block of weights ahead of its use, every line once, spelled out because the JIT does not unroll the loop.</summary>
internal static unsafe class BlockPrefetch
{
    private const int Distance = 8192;

    /// <summary>Fetches one line into the second-level cache.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Line(byte* at)
    {
        if (Sse.IsSupported)
            Sse.Prefetch1(at);
    }

    /// <summary>Fetches the lines of a block that lies 8 KiB ahead.</summary>
    /// <param name="panel">The block in use.</param>
    /// <param name="bytes">Its bytes, a constant of at most 1,088.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Ahead(byte* panel, int bytes)
    {
        if (!Sse.IsSupported)
            return;
        byte* at = panel + Distance;
        Sse.Prefetch0(at);
        if (bytes > 64)
            Sse.Prefetch0(at + 64);
        if (bytes > 128)
            Sse.Prefetch0(at + 128);
        if (bytes > 192)
            Sse.Prefetch0(at + 192);
        if (bytes > 256)
            Sse.Prefetch0(at + 256);
        if (bytes > 320)
            Sse.Prefetch0(at + 320);
        if (bytes > 384)
            Sse.Prefetch0(at + 384);
        if (bytes > 448)
            Sse.Prefetch0(at + 448);
        if (bytes > 512)
            Sse.Prefetch0(at + 512);
        if (bytes > 576)
            Sse.Prefetch0(at + 576);
        if (bytes > 640)
            Sse.Prefetch0(at + 640);
        if (bytes > 704)
            Sse.Prefetch0(at + 704);
        if (bytes > 768)
            Sse.Prefetch0(at + 768);
        if (bytes > 832)
            Sse.Prefetch0(at + 832);
        if (bytes > 896)
            Sse.Prefetch0(at + 896);
        if (bytes > 960)
            Sse.Prefetch0(at + 960);
        if (bytes > 1024)
            Sse.Prefetch0(at + 1024);
    }
}
