using System.Diagnostics;
using System.Globalization;
using System.Runtime.Intrinsics;
using Glimmer.Kernels;
using Glimmer.Operations;
using Glimmer.Quantization;
using Glimmer.Tensors;

namespace Glimmer.Benchmarks;

/// <summary>
/// <c>packed [--rounds N] [--threads N] [--types Q8_0,Q4_K,...] [--tokens 1,2,4,8,512] [--activations F32,Q8]</c>: products with packed weights of every type,
/// larger than the caches, and how fast they are packed. Prints gigabytes of packed weights a second beside a plain read loop of the same bytes, in turns, and
/// thousands of millions of operations a second (two a weight and token); a JSON line a type, token count and kind of activations.
/// </summary>
internal static unsafe class PackedBenchmark
{
    private const int Columns = 1536;
    private const long Bytes = 96L << 20;

    public static int Run(string[] args)
    {
        int rounds = int.Parse(GemmBenchmark.Option(args, "--rounds", "9"), CultureInfo.InvariantCulture);
        int threads = int.Parse(GemmBenchmark.Option(args, "--threads", "1"), CultureInfo.InvariantCulture);
        DType[] types = [.. GemmBenchmark.Option(args, "--types", "F32,BF16,F16,F8Blocks,Q8_0,Q4_0,Q4_1,Q4_K,Q6_K,Q5_0,Q5_1,Q5_K,IQ4_NL,IQ4_XS,Mxfp4,Q2_K,Q3_K").Split(',').Select(Enum.Parse<DType>)];
        int[] tokens = [.. GemmBenchmark.Option(args, "--tokens", "1,2,4,8").Split(',').Select(t => int.Parse(t, CultureInfo.InvariantCulture))];
        ActivationType[] activations = [.. GemmBenchmark.Option(args, "--activations", "F32,Q8").Split(',').Select(Enum.Parse<ActivationType>)];
        using var c = new Compute(threads);
        using Tensor x = Tensor.Allocate(DType.F32, tokens.Max(), Columns);
        var random = new Random(1);
        foreach (ref float value in x.F32)
            value = random.NextSingle() - 0.5f;
        foreach (DType type in types)
            Measure(c, type, x, tokens, activations, rounds);
        return 0;
    }

    private static void Measure(Compute c, DType type, Tensor x, int[] tokenCounts, ActivationType[] activations, int rounds)
    {
        ThreadTeam team = c.Team;
        int rows = (int)(Bytes / type.ByteSize(Columns)) / 32 * 32;
        using Tensor source = Tensor.Allocate(type, rows, Columns), y = Tensor.Allocate(DType.F32, tokenCounts.Max(), rows);
        // Halves of ones are a normal scale in every block type and a finite number in the plain ones.
        source.Bytes.Fill(0x11);
        using PackedMatrix w = PackedWeights.Create(type, rows, Columns);
        long start = Stopwatch.GetTimestamp();
        MatrixPacker.Pack(team, w, [new RowSource(source)]);
        double pack = Stopwatch.GetElapsedTime(start).TotalSeconds;
        foreach (ActivationType kind in activations)
        {
            if (kind == ActivationType.Q8 && BlockKernel.For(type) is null)
                continue;
            c.Activations = kind;
            foreach (int tokens in tokenCounts)
            {
                var job = new MatMulJob { X = x.F32Pointer, LdX = Columns, Tokens = tokens, Weights = w, Y = y.F32Pointer, LdY = rows };
                var products = new double[rounds];
                var reads = new double[rounds];
                for (int round = -1; round < rounds; round++)
                {
                    start = Stopwatch.GetTimestamp();
                    c.Multiply(new ReadOnlySpan<MatMulJob>(in job));
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
                double gigabytes = w.Bytes / 1e9, operations = 2e-9 * tokens * rows * Columns;
                Console.WriteLine(string.Create(
                    CultureInfo.InvariantCulture,
                    $$"""{"bench":"packed","type":"{{type}}","activations":"{{kind}}","tokens":{{tokens}},"threads":{{team.Threads}},"mib":{{w.Bytes >> 20}},"pack_ms":{{pack * 1e3:F0}},"gb_per_s":{{gigabytes / products[rounds / 2]:F1}},"best_gb_per_s":{{gigabytes / products[0]:F1}},"read_gb_per_s":{{gigabytes / reads[rounds / 2]:F1}},"best_read_gb_per_s":{{gigabytes / reads[0]:F1}},"gop_per_s":{{operations / products[rounds / 2]:F0}}}"""));
            }
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
