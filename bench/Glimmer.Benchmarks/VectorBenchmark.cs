using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using Glimmer.Inference.Benchmarks;
using Glimmer.Kernels;
using Glimmer.Tensors;

namespace Glimmer.Benchmarks;

/// <summary>
/// <c>vector [--bar R] [--rounds N] [--prototype PROGRAM]</c>: exp, softmax, SwiGLU and RMSNorm of rows of 4,096 elements on one
/// thread. With the prototypes' program (its <c>misc</c>
/// command prints nanoseconds an element) both run in turns; the exit code is 1 when
/// <c>ratio</c> (its median time over ours) and <c>best_ratio</c> of a kernel are both below the bar.
/// </summary>
internal static unsafe class VectorBenchmark
{
    private const int Columns = 4096;
    private const int Repetitions = 2000;

    // Our kernel's name and the prototype's, and whether the bar applies.
    private static readonly (string Name, string Theirs, bool Barred)[] s_kernels =
        [("exp", "exp, own", true), ("softmax", "softmax, own", true), ("swiglu", "silu(g)*u, own", false), ("rmsnorm", "rmsnorm, own", true)];

    public static int Run(string[] args)
    {
        double bar = double.Parse(GemmBenchmark.Option(args, "--bar", "0"), CultureInfo.InvariantCulture);
        int rounds = int.Parse(GemmBenchmark.Option(args, "--rounds", "5"), CultureInfo.InvariantCulture);
        string prototype = GemmBenchmark.Option(args, "--prototype", "");
        var ours = s_kernels.ToDictionary(kernel => kernel.Name, _ => new List<double>());
        var theirs = s_kernels.ToDictionary(kernel => kernel.Name, _ => new List<double>());
        var theirBest = s_kernels.ToDictionary(kernel => kernel.Name, _ => new List<double>());
        for (int round = 0; round < rounds; round++)
        {
            Measure(ours);
            if (prototype.Length > 0)
                MeasurePrototype(prototype, theirs, theirBest);
        }

        bool passed = true;
        foreach ((string name, _, bool barred) in s_kernels)
        {
            double mine = Samples.Median(ours[name]), peer = Samples.Median(theirs[name]), ratio = peer / mine, best = theirBest[name].DefaultIfEmpty(double.NaN).Min() / ours[name].Min();
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $$"""{"bench":"vector","kernel":"{{name}}","simd":"{{Simd.Level}}","ns_per_element":{{mine:F4}},"best_ns":{{ours[name].Min():F4}},"prototype_ns":{{GemmBenchmark.Number(peer)}},"ratio":{{GemmBenchmark.Number(ratio)}},"best_ratio":{{GemmBenchmark.Number(best)}}}"""));
            passed &= !barred || bar == 0 || Math.Max(ratio, best) >= bar;
        }

        return passed ? 0 : 1;
    }

    private static void Measure(Dictionary<string, List<double>> times)
    {
        // Separate huge pages, as in the prototypes: three rows fill a 48 KiB first-level cache to the last line.
        const int Page = 1 << 20;
        using Tensor memory = Tensor.Allocate(DType.F32, 3 * Page);
        float* px = memory.F32Pointer, pu = px + Page / 2, py = px + Page;
        var random = new Random(5);
        for (int i = 0; i < Columns; i++)
            (px[i], pu[i]) = ((float)(random.NextDouble() * 30 - 20), random.NextSingle());
        for (int repeat = 0; repeat < 9; repeat++)
        {
            Time("exp", () => VectorMath.Exp(px, Columns, py));
            Time("softmax", () => Softmax.Forward(null, px, Columns, 1, Columns, py, Columns));
            Time("swiglu", () => SwiGlu.Forward(null, px, Columns, pu, Columns, 1, Columns, py, Columns));
            Time("rmsnorm", () => RmsNorm.Forward(null, px, Columns, pu, 1e-5f, 1, Columns, py, Columns));
        }

        void Time(string name, Action action)
        {
            action();
            long start = Stopwatch.GetTimestamp();
            for (int i = 0; i < Repetitions; i++)
                action();
            times[name].Add(Stopwatch.GetElapsedTime(start).TotalNanoseconds / Repetitions / Columns);
        }
    }

    private static void MeasurePrototype(string program, Dictionary<string, List<double>> times, Dictionary<string, List<double>> best)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, "misc") { RedirectStandardOutput = true })!;
        string text = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        foreach ((string name, string label, _) in s_kernels)
        {
            Match line = Regex.Match(text, Regex.Escape(label) + @"\s+([0-9.]+) ns an element \(best ([0-9.]+)");
            if (!line.Success)
                throw new InvalidOperationException($"'{program} misc' printed no line for '{label}'.");
            times[name].Add(double.Parse(line.Groups[1].Value, CultureInfo.InvariantCulture));
            best[name].Add(double.Parse(line.Groups[2].Value, CultureInfo.InvariantCulture));
        }
    }
}
