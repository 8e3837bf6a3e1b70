using System.Diagnostics;
using System.Globalization;
using Glimmer.Inference.Benchmarks;
using Glimmer.Kernels;
using Glimmer.Tensors;

namespace Glimmer.Benchmarks;

/// <summary>
/// <c>gemm [--bar R] [--rounds N] [--sizes 512,1024]</c>: fp32 products with a fresh right side against OpenBLAS, in turns in one process. A JSON line a
/// size and thread count; the exit code is 1 when both ratios are below the bar. <c>ratio</c> is OpenBLAS's median time over ours, <c>best_ratio</c> compares
/// the shortest times, which a busy machine disturbs less.
/// </summary>
internal static unsafe class GemmBenchmark
{
    // OpenBLAS's threads go on yielding for a while after a product (30 ms unless told otherwise); they must be asleep when ours are measured.
    private static readonly int s_settleMs = Environment.GetEnvironmentVariable("OPENBLAS_THREAD_TIMEOUT") is null ? 40 : 2;

    public static int Run(string[] args)
    {
        double bar = double.Parse(Option(args, "--bar", "0"), CultureInfo.InvariantCulture);
        int rounds = int.Parse(Option(args, "--rounds", "31"), CultureInfo.InvariantCulture);
        int[] sizes = [.. Option(args, "--sizes", "512,1024,2048").Split(',').Select(size => int.Parse(size, CultureInfo.InvariantCulture))];
        OpenBlas? blas = OpenBlas.TryLoad();
        if (blas is null)
            Console.Error.WriteLine("OpenBLAS was not found: install libopenblas0-pthread or set OPENBLAS_LIBRARY. Only our own speed is measured.");
        bool passed = blas is not null || bar == 0;
        for (int threads = 1; threads <= Math.Min(2, Environment.ProcessorCount); threads++)
        {
            using var team = new ThreadTeam(threads);
            foreach (int size in sizes)
                passed &= !(Compare(team, blas, size, rounds) < bar);
        }

        return passed ? 0 : 1;
    }

    private static double Compare(ThreadTeam team, OpenBlas? blas, int size, int rounds)
    {
        using Tensor a = Random(size, 1), b = Random(size, 2), c = Random(size, 3), other = Random(size, 4);
        double flops = 2.0 * size * size * size;
        int repetitions = Math.Max(1, (int)(1.5e9 * team.Threads / flops));
        var ours = new double[rounds];
        var theirs = new double[rounds];
        if (blas is not null)
            blas.Threads = team.Threads;
        for (int round = -1; round < rounds; round++)
        {
            double first = Time(repetitions, () => MatMul.Gemm(team, size, size, size, a.F32Pointer, b.F32Pointer, c.F32Pointer));
            double second = blas is null ? double.NaN : Time(repetitions, () => blas.Gemm(size, size, size, a.F32Pointer, b.F32Pointer, other.F32Pointer));
            if (round < 0)
                continue;
            ours[round] = first;
            theirs[round] = second;
        }

        if (blas is not null)
        {
            float worst = 0;
            for (int i = 0; i < c.F32.Length; i++)
                worst = Math.Max(worst, Math.Abs(c.F32[i] - other.F32[i]));
            if (!(worst < 1e-6 * size))
                throw new InvalidOperationException($"The results differ by {worst}.");
        }

        double mine = Samples.Median(ours), peer = Samples.Median(theirs), ratio = peer / mine;
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $$"""{"bench":"gemm","size":{{size}},"threads":{{team.Threads}},"simd":"{{Simd.Level}}","gflops":{{flops / mine / 1e9:F1}},"openblas_gflops":{{Number(flops / peer / 1e9)}},"openblas_core":"{{blas?.Core}}","ratio":{{Number(ratio)}},"best_gflops":{{flops / ours.Min() / 1e9:F1}},"best_ratio":{{Number(theirs.Min() / ours.Min())}}}"""));
        return Math.Max(ratio, theirs.Min() / ours.Min());
    }

    private static double Time(int repetitions, Action action)
    {
        Thread.Sleep(s_settleMs);
        action();
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < repetitions; i++)
            action();
        return Stopwatch.GetElapsedTime(start).TotalSeconds / repetitions;
    }

    internal static string Number(double value) => double.IsNaN(value) ? "null" : value.ToString("F3", CultureInfo.InvariantCulture);

    private static Tensor Random(int size, int seed)
    {
        Tensor tensor = Tensor.Allocate(DType.F32, size, size);
        var random = new Random(seed);
        foreach (ref float value in tensor.F32)
            value = random.NextSingle() - 0.5f;
        return tensor;
    }

    /// <summary>The whole number after an option.</summary>
    public static int Number(string[] args, string name, string value) => int.Parse(Option(args, name, value), CultureInfo.InvariantCulture);

    internal static string Option(string[] args, string name, string value)
    {
        int at = Array.IndexOf(args, name);
        return at >= 0 && at + 1 < args.Length ? args[at + 1] : value;
    }
}
