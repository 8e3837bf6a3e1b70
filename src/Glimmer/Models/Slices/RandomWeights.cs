using Glimmer.Quantization;
using Glimmer.Tensors;

namespace Glimmer.Models.Slices;

/// <summary>
/// Rows of random weights in any type that can be written, at the speed of copying: a row is a piece of a pool of normal numbers that was quantised once for its type and
/// spread. Deterministic in the seed.
/// </summary>
internal sealed class RandomWeights(ulong seed)
{
    private const int PoolElements = 1 << 21;

    private readonly float[] _normal = Normal(seed);
    private readonly Dictionary<(DType Type, float Spread, float Mean), byte[]> _pools = [];

    /// <summary>Fills rows of a tensor.</summary>
    /// <param name="type">Element type.</param>
    /// <param name="spread">Standard deviation.</param>
    /// <param name="mean">Mean.</param>
    /// <param name="rowLength">Elements of a row, at most a million.</param>
    /// <param name="tensor">Number of the tensor: part of the key of each row.</param>
    /// <param name="firstRow">First row.</param>
    /// <param name="rows">Number of rows.</param>
    /// <param name="bytes">Exactly the bytes of the rows.</param>
    public void Fill(DType type, float spread, float mean, int rowLength, int tensor, long firstRow, int rows, Memory<byte> bytes)
    {
        byte[] pool = Pool(type, spread, mean);
        int block = type.BlockBytes();
        int rowBytes = (int)type.ByteSize(rowLength);
        int starts = (pool.Length - rowBytes) / block;
        Parallel.For(0, Environment.ProcessorCount, part =>
        {
            int end = (int)((long)rows * (part + 1) / Environment.ProcessorCount);
            for (int row = (int)((long)rows * part / Environment.ProcessorCount); row < end; row++)
            {
                ulong key = Mix(seed ^ Mix(((ulong)tensor << 40) ^ (ulong)(firstRow + row)));
                int start = (int)(key % (ulong)starts) * block;
                pool.AsSpan(start, rowBytes).CopyTo(bytes.Span[(row * rowBytes)..]);
            }
        });
    }

    private byte[] Pool(DType type, float spread, float mean)
    {
        if (_pools.TryGetValue((type, spread, mean), out byte[]? pool))
            return pool;
        pool = new byte[type.ByteSize(PoolElements)];
        const int Parts = 64;
        int part = PoolElements / Parts, partBytes = pool.Length / Parts;
        Parallel.For(0, Parts, i =>
        {
            var values = new float[part];
            for (int j = 0; j < part; j++)
                values[j] = mean + (spread * _normal[(i * part) + j]);
            Quantizer.FromFloat32(type, values, pool.AsSpan(i * partBytes, partBytes));
        });
        return _pools[(type, spread, mean)] = pool;
    }

    // Box and Muller over a 64-bit mixer; the sign of a normal number comes with it.
    private static float[] Normal(ulong seed)
    {
        var values = new float[PoolElements];
        Parallel.For(0, PoolElements / 2, i =>
        {
            ulong bits = Mix(seed + (0x9E3779B97F4A7C15 * ((ulong)i + 1)));
            double radius = Math.Sqrt(-2 * Math.Log(((uint)bits + 0.5) / 4294967296.0));
            (double sin, double cos) = Math.SinCos((bits >> 32) * (2 * Math.PI / 4294967296.0));
            (values[2 * i], values[(2 * i) + 1]) = ((float)(radius * cos), (float)(radius * sin));
        });
        return values;
    }

    // The finaliser of SplitMix64 (Steele, Lea, Flood 2014).
    private static ulong Mix(ulong x)
    {
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
        x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
        return x ^ (x >> 31);
    }
}
