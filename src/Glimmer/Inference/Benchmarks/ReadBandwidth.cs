using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Glimmer.Kernels;
using Glimmer.Tensors;

namespace Glimmer.Inference.Benchmarks;

/// <summary>How fast the team reads memory when it does nothing else: one sequential stream a thread over a buffer that no cache holds.</summary>
internal sealed unsafe class ReadBandwidth : IDisposable
{
    private const long Bytes = 256L << 20;

    private readonly NativeBuffer _buffer = new(Bytes);
    private readonly Job _job;

    public ReadBandwidth()
    {
        // Pages that were never written may all be the same page of zeros.
        for (long at = 0; at < Bytes; at += 4096)
            _buffer.Pointer[at] = 1;
        _job = new Job(_buffer.Pointer);
    }

    /// <summary>Reads the buffer once.</summary>
    /// <returns>10^9 bytes a second.</returns>
    public double Measure(ThreadTeam team)
    {
        long start = Stopwatch.GetTimestamp();
        team.Run(_job);
        return Bytes / 1e9 / Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    public void Dispose() => _buffer.Dispose();

    private sealed class Job(byte* first) : TeamJob
    {
        private long _sum;

        public override void Execute(int thread, int threads)
        {
            byte* at = first + (Bytes * thread / threads & ~511L);
            byte* end = first + (Bytes * (thread + 1) / threads & ~511L);
            Interlocked.Add(ref _sum, Sum(at, end));
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static long Sum(byte* at, byte* end)
        {
            Vector256<long> a = default, b = default, c = default, d = default;
            for (; at < end; at += 128)
            {
                a ^= Vector256.Load((long*)at);
                b ^= Vector256.Load((long*)at + 4);
                c ^= Vector256.Load((long*)at + 8);
                d ^= Vector256.Load((long*)at + 12);
            }

            return Vector256.Sum(a ^ b ^ c ^ d);
        }
    }
}
