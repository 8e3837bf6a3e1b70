using System.Diagnostics;
using System.Globalization;
using System.Runtime.Intrinsics;
using Glimmer.Kernels;
using Glimmer.Quantization;
using Glimmer.Tensors;

namespace Glimmer.Benchmarks;

/// <summary>
/// <c>packed [--rounds N] [--threads N]</c>: products of 1 to 4 tokens with packed weights of every type, larger than the caches, and how fast they are
/// packed. Prints gigabytes of
/// packed weights a second beside a plain read loop of the same bytes, in turns; a JSON line a type and token count.
/// </summary>
internal static unsafe class PackedBenchmark
{
    private const int Columns = 1536;
    private const long Bytes = 96L << 20;

    public static int Run(string[] args)
    {
        int rounds = int.Parse(GemmBenchmark.Option(args, "--rounds", "9"), CultureInfo.InvariantCulture);
        int threads = int.Parse(GemmBenchmark.Option(args, "--threads", "1"), CultureInfo.InvariantCulture);
        using var team = new ThreadTeam(threads);
        using Tensor x = Tensor.Allocate(DType.F32, 4, Columns);
        var random = new Random(1);
        foreach (ref float value in x.F32)
            value = random.NextSingle() - 0.5f;
        foreach (DType type in new[] { DType.F32, DType.BF16, DType.Q8_0, DType.Q4_1 })
            Measure(team, type, x, rounds);
        return 0;
    }

    private static void Measure(ThreadTeam team, DType type, Tensor x, int rounds)
    {
        int rows = (int)(Bytes / type.ByteSize(Columns)) / 32 * 32;
        using Tensor source = Tensor.Allocate(type, rows, Columns), y = Tensor.Allocate(DType.F32, 4, rows);
        // Halves of ones are a normal scale in every block type and a finite number in the plain ones.
        source.Bytes.Fill(0x11);
        using PackedMatrix w = type switch
        {
            DType.F32 => new PackedF32(rows, Columns),
            DType.BF16 => new PackedBF16(rows, Columns),
            DType.Q8_0 => new PackedQ8_0(rows, Columns),
            _ => new PackedQ4_1(rows, Columns),
        };
        long start = Stopwatch.GetTimestamp();
        MatrixPacker.Pack(team, w, [new RowSource(source)]);
        double pack = Stopwatch.GetElapsedTime(start).TotalSeconds;
        for (int tokens = 1; tokens <= 4; tokens++)
        {
            var products = new double[rounds];
            var reads = new double[rounds];
            for (int round = -1; round < rounds; round++)
            {
                start = Stopwatch.GetTimestamp();
                MatMul.Multiply(team, x.F32Pointer, Columns, tokens, w, null, y.F32Pointer, rows);
                double product = Stopwatch.GetElapsedTime(start).TotalSeconds;
                start = Stopwatch.GetTimestamp();
                var range = new Range { First = w.Data, Bytes = w.Bytes };
                team.Run(&Read, &range);
                double read = Stopwatch.GetElapsedTime(start).TotalSeconds;
                if (round >= 0)
                    (products[round], reads[round]) = (product, read);
            }

            Array.Sort(products);
            Array.Sort(reads);
            double gigabytes = w.Bytes / 1e9;
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $$"""{"bench":"packed","type":"{{type}}","tokens":{{tokens}},"threads":{{team.Threads}},"mib":{{w.Bytes >> 20}},"pack_ms":{{pack * 1e3:F0}},"gb_per_s":{{gigabytes / products[rounds / 2]:F1}},"best_gb_per_s":{{gigabytes / products[0]:F1}},"read_gb_per_s":{{gigabytes / reads[rounds / 2]:F1}},"best_read_gb_per_s":{{gigabytes / reads[0]:F1}}}"""));
        }
    }

    private static void Read(void* state, int thread, int threads)
    {
        var range = (Range*)state;
        byte* at = range->First + (range->Bytes * thread / threads & ~511L);
        byte* end = range->First + (range->Bytes * (thread + 1) / threads & ~511L);
        range->Sum = Sum(at, end);
    }

    [System.Runtime.CompilerServices.MethodImpl(System.Runtime.CompilerServices.MethodImplOptions.AggressiveOptimization)]
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

    private struct Range
    {
        public byte* First;
        public long Bytes;
        public long Sum;
    }
}
