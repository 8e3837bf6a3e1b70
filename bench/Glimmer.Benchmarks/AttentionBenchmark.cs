using System.Diagnostics;
using System.Globalization;
using Glimmer.Kernels;
using Glimmer.Tensors;

namespace Glimmer.Benchmarks;

/// <summary>Speed of the attention kernels: GFLOP/s in prefill and training, GB/s of keys and values read in decoding. JSON lines.</summary>
internal static unsafe class AttentionBenchmark
{
    private static readonly (string Name, AttentionShape Shape)[] s_models =
    [
        ("SmolLM2-135M", new AttentionShape(9, 3, 64, 64, 0.125f)),
        ("GLM-4.5-Air", new AttentionShape(96, 8, 128, 128, 0.088f)),
        ("GLM-4.7-Flash", new AttentionShape(20, 1, 576, 512, 0.0625f, true)),
    ];

    public static int Run(string[] args)
    {
        int cores = args.Length > 0 ? int.Parse(args[0], CultureInfo.InvariantCulture) : Environment.ProcessorCount;
        foreach (int threads in cores > 1 ? new[] { 1, cores } : [1])
        {
            using var team = new ThreadTeam(threads);
            foreach ((string name, AttentionShape shape) in s_models)
            {
                foreach (int tokens in new[] { 512, 4096 })
                {
                    if ((double)tokens * tokens * shape.Heads * (shape.KeyDim + shape.ValueDim) < 5e11)
                        Forward(team, name, shape, tokens, depth: 0);
                }

                foreach (int depth in new[] { 8192, 32768 })
                    Forward(team, name, shape, tokens: 1, depth);
                SparseForward(team, name, shape, tokens: 64, depth: 8192, chosen: 2048);
                Backward(team, name, shape, tokens: 512);
            }

            Select(threads);
        }

        return 0;
    }

    private static void Forward(ThreadTeam team, string model, AttentionShape shape, int tokens, int depth)
    {
        using var pages = new Pages(shape.Layout, depth + tokens);
        using var q = new NativeBuffer((long)tokens * shape.Heads * shape.KeyDim * sizeof(float));
        using var output = new NativeBuffer((long)tokens * shape.Heads * shape.ValueDim * sizeof(float));
        Fill(q);
        var sequence = new AttentionSequence(0, tokens, depth, pages.Table);
        (double seconds, double best) = Time(() => Attention.Forward(team, shape, [sequence], (float*)q.Pointer, (float*)output.Pointer, null));
        double pairs = Enumerable.Range(depth + 1, tokens).Sum(keys => (double)keys);
        double gflops = 2 * pairs * shape.Heads * (shape.KeyDim + shape.ValueDim) / seconds / 1e9;
        double gigabytes = (depth + tokens) * (double)shape.KvHeads * (shape.KeyDim + shape.ValueDim) * sizeof(float) / seconds / 1e9;
        Print(team, tokens == 1 ? "decode" : "prefill", model, $"\"tokens\":{tokens},\"depth\":{depth}", seconds, best, gflops, tokens == 1 ? gigabytes : null);
    }

    private static void SparseForward(ThreadTeam team, string model, AttentionShape shape, int tokens, int depth, int chosen)
    {
        using var pages = new Pages(shape.Layout, depth + tokens);
        using var q = new NativeBuffer((long)tokens * shape.Heads * shape.KeyDim * sizeof(float));
        using var output = new NativeBuffer((long)tokens * shape.Heads * shape.ValueDim * sizeof(float));
        Fill(q);
        var positions = new int[tokens * chosen];
        var counts = new int[tokens];
        for (int t = 0; t < tokens; t++)
        {
            counts[t] = chosen;
            for (int i = 0; i < chosen; i++)
                positions[t * chosen + i] = (int)((long)i * (depth + t) / chosen);
        }

        fixed (int* list = positions, count = counts)
        {
            nint listAddress = (nint)list, countAddress = (nint)count;
            var sequence = new AttentionSequence(0, tokens, depth, pages.Table);
            (double seconds, double best) = Time(() => Attention.SparseForward(
                team, shape, [sequence], (int*)listAddress, chosen, (int*)countAddress, (float*)q.Pointer, (float*)output.Pointer, null));
            double gflops = 2.0 * tokens * chosen * shape.Heads * (shape.KeyDim + shape.ValueDim) / seconds / 1e9;
            Print(team, "sparse", model, $"\"tokens\":{tokens},\"depth\":{depth},\"chosen\":{chosen}", seconds, best, gflops, null);
        }
    }

    private static void Backward(ThreadTeam team, string model, AttentionShape shape, int tokens)
    {
        using var rows = new NativeBuffer(4L * tokens * (shape.Heads + shape.KvHeads) * (shape.KeyDim + shape.ValueDim) * sizeof(float));
        Fill(rows);
        using var lse = new NativeBuffer((long)tokens * shape.Heads * sizeof(float));
        new Span<float>(lse.Pointer, tokens * shape.Heads).Fill(8f);
        long queries = (long)tokens * shape.Heads * shape.KeyDim, outputs = (long)tokens * shape.Heads * shape.ValueDim;
        long keys = (long)tokens * shape.KvHeads * shape.KeyDim, values = (long)tokens * shape.KvHeads * shape.ValueDim;
        float* q = (float*)rows.Pointer, dq = q + queries, o = dq + queries, dout = o + outputs;
        float* k = dout + outputs, dk = k + keys, v = dk + keys, dv = v + values;
        var document = new AttentionSequence(0, tokens, 0, null);
        (double seconds, double best) = Time(() => Attention.Backward(team, shape, [document], q, k, v, o, (float*)lse.Pointer, dout, dq, dk, dv));
        double pairs = 0.5 * tokens * (tokens + 1);
        double gflops = 2 * pairs * shape.Heads * (3.0 * shape.KeyDim + 2.0 * shape.ValueDim) / seconds / 1e9;
        Print(team, "backward", model, $"\"tokens\":{tokens}", seconds, best, gflops, null);
    }

    private static void Select(int threads)
    {
        if (threads != 1)
            return;
        var random = new Random(1);
        foreach ((int k, int count) in new[] { (8, 256), (2048, 131072) })
        {
            float[] values = [.. Enumerable.Range(0, count).Select(_ => random.NextSingle() - 0.5f)];
            var ids = new int[k];
            (double seconds, double best) = Time(() =>
            {
                for (int i = 0; i < 131072 / count; i++)
                    TopK.Select(values, ids);
            });
            double each = 1e6 / (131072 / count);
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture, $"{{\"bench\":\"topk\",\"k\":{k},\"of\":{count},\"us\":{seconds * each:F2},\"best_us\":{best * each:F2}}}"));
        }
    }

    // At least five runs and half a second, after a warm-up. The rates are those of the median; the best run shows what a busy machine hides.
    private static (double Median, double Best) Time(Action action)
    {
        action();
        var times = new List<double>();
        var total = Stopwatch.StartNew();
        while (times.Count < 5 || total.Elapsed.TotalSeconds < 0.5)
        {
            long start = Stopwatch.GetTimestamp();
            action();
            times.Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
        }

        times.Sort();
        return (times[times.Count / 2], times[0]);
    }

    private static void Print(ThreadTeam team, string what, string model, string details, double seconds, double best, double gflops, double? gigabytes)
    {
        string bandwidth = gigabytes is double value ? string.Create(CultureInfo.InvariantCulture, $",\"gb_per_s\":{value:F1}") : "";
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{{\"bench\":\"{what}\",\"model\":\"{model}\",{details},\"threads\":{team.Threads},"
            + $"\"ms\":{seconds * 1e3:F3},\"best_ms\":{best * 1e3:F3},\"gflops\":{gflops:F1}{bandwidth}}}"));
    }

    private static void Fill(NativeBuffer buffer)
    {
        var random = new Random(7);
        for (long i = 0; i < buffer.Bytes / sizeof(float); i++)
            ((float*)buffer.Pointer)[i] = random.NextSingle() - 0.5f;
    }

    private sealed class Pages : IDisposable
    {
        private readonly NativeBuffer _memory;
        private readonly NativeBuffer _table;

        public Pages(KeyValueLayout layout, int positions)
        {
            int count = KeyValueLayout.PagesFor(positions);
            _memory = new NativeBuffer((long)count * layout.PageFloats * sizeof(float));
            _table = new NativeBuffer(count * sizeof(float*));
            Fill(_memory);
            for (int i = 0; i < count; i++)
                Table[i] = (float*)_memory.Pointer + (long)i * layout.PageFloats;
        }

        public float** Table => (float**)_table.Pointer;

        public void Dispose()
        {
            _memory.Dispose();
            _table.Dispose();
        }
    }
}
