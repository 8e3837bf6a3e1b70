using System.Buffers;

namespace Glimmer.Tokenization;

/// <summary>Growth of byte arrays rented from the shared pool.</summary>
internal static class PooledBytes
{
    /// <summary>Replaces <paramref name="buffer"/> by one of at least <paramref name="size"/> bytes that begins with the same bytes.</summary>
    /// <param name="buffer">A rented array.</param>
    /// <param name="used">How many of its bytes matter.</param>
    /// <param name="size">The size needed; the new array has at least one and a half times the old size.</param>
    public static void Grow(ref byte[] buffer, int used, int size)
    {
        byte[] larger = ArrayPool<byte>.Shared.Rent(Math.Max(size, buffer.Length + buffer.Length / 2));
        buffer.AsSpan(0, used).CopyTo(larger);
        ArrayPool<byte>.Shared.Return(buffer);
        buffer = larger;
    }
}
