using System.Runtime.Intrinsics;
using Glimmer.Tensors;

namespace Glimmer.Kernels;

/// <summary>Matrix products of fp32 activations and packed weights: forward, input gradient and weight gradient.</summary>
/// <remarks>
/// Every output is one chain of fused multiply-adds along its own sum, from +0 in ascending order (docs/adr/0001, rules 1 and 9), so the
/// result does not depend on the number of tokens, threads, jobs in the call or the instruction set. Products are cut into units that the threads of
/// the team take one after another; nothing is allocated once the team's scratch memory has grown to the size needed.
/// Pointers must stay valid for the call; outputs must not overlap inputs.
/// </remarks>
internal static unsafe partial class MatMul
{
    // Right sides that are packed inside a call are cut into column ranges of this size, so that scratch memory stays bounded.
    private const long MaxRawBytes = 64L << 20;

    /// <summary><c>y[t, o] = sum_k x[t, k] w[o, k] (+ bias[o])</c>. The input gradient is the same call with the transposed pack.</summary>
    /// <param name="team">Threads to use.</param>
    /// <param name="x">Input [tokens, K], rows <paramref name="ldx"/> floats apart.</param>
    /// <param name="ldx">Distance of the rows of <paramref name="x"/>.</param>
    /// <param name="tokens">Rows.</param>
    /// <param name="w">Weight [O, K].</param>
    /// <param name="bias">Added once after the chain, [O], or null.</param>
    /// <param name="y">Output [tokens, O], rows <paramref name="ldy"/> floats apart.</param>
    /// <param name="ldy">Distance of the rows of <paramref name="y"/>.</param>
    public static void Multiply(ThreadTeam team, float* x, int ldx, int tokens, PackedMatrix w, float* bias, float* y, int ldy)
    {
        var job = new MatMulJob { X = x, LdX = ldx, Tokens = tokens, Weights = w, Bias = bias, Y = y, LdY = ldy };
        Multiply(team, new ReadOnlySpan<MatMulJob>(in job));
    }

    /// <summary>Runs several products as one list of work: the experts of a layer, or the heads of an attention layer.</summary>
    public static void Multiply(ThreadTeam team, ReadOnlySpan<MatMulJob> jobs)
    {
        ProductList list = Begin(team, jobs.Length, 0, out _);
        foreach (ref readonly MatMulJob job in jobs)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(job.Tokens);
            PackedMatrix w = job.Weights;
            if (job.Tokens == 0 || w.Rows == 0)
                continue;
            list.Products[list.Count++] = new Product
            {
                A = job.X,
                Gather = job.Gather,
                LdA = job.LdX,
                Panels = w.Data,
                PanelBytes = w.PanelBytes,
                Type = w.Type,
                Bias = job.Bias,
                C = job.Y,
                LdC = job.LdY,
                M = job.Tokens,
                N = w.Rows,
                Depth = w.Columns,
            };
        }

        Run(team, ref list);
        foreach (ref readonly MatMulJob job in jobs)
            GC.KeepAlive(job.Weights);
    }

    /// <summary><c>dw[o, k] = sum_t dy[t, o] x[t, k]</c>, a chain over the tokens that starts and ends as <paramref name="mode"/> says.</summary>
    /// <param name="team">Threads to use.</param>
    /// <param name="dy">Output gradients [tokens, outputs], rows <paramref name="lddy"/> floats apart.</param>
    /// <param name="lddy">Distance of the rows of <paramref name="dy"/>.</param>
    /// <param name="x">Inputs [tokens, columns], rows <paramref name="ldx"/> floats apart.</param>
    /// <param name="ldx">Distance of the rows of <paramref name="x"/>.</param>
    /// <param name="tokens">Length of the chains.</param>
    /// <param name="outputs">Rows of the weight.</param>
    /// <param name="columns">Columns of the weight.</param>
    /// <param name="dw">Gradient [outputs, columns], row-major.</param>
    /// <param name="mode">How the chains start and end.</param>
    public static void WeightGradient(
        ThreadTeam team, float* dy, int lddy, float* x, int ldx, int tokens, int outputs, int columns, float* dw, GradientMode mode)
    {
        var job = new WeightGradientJob
        {
            DY = dy,
            LdDY = lddy,
            X = x,
            LdX = ldx,
            Tokens = tokens,
            Outputs = outputs,
            Columns = columns,
            DW = dw,
            Mode = mode,
        };
        WeightGradient(team, new ReadOnlySpan<WeightGradientJob>(in job));
    }

    /// <summary>Runs several weight gradients as one list of work.</summary>
    public static void WeightGradient(ThreadTeam team, ReadOnlySpan<WeightGradientJob> jobs)
    {
        // As many jobs at once as fit the scratch limit; a job that is too large alone runs in column ranges.
        for (int first = 0; first < jobs.Length;)
        {
            int count = 0;
            long bytes = 0;
            for (; first + count < jobs.Length; count++)
            {
                long more = RawBytes(jobs[first + count].Tokens, jobs[first + count].Columns);
                if (count > 0 && bytes + more > MaxRawBytes)
                    break;
                bytes += more;
            }

            if (bytes > MaxRawBytes)
            {
                WeightGradientJob job = jobs[first];
                RunRaw(team, job.DY, job.LdDY, true, job.X, job.Gather, job.LdX, job.DW, job.Columns, job.Outputs, job.Columns, job.Tokens, job.Mode);
            }
            else
            {
                WeightGradients(team, jobs.Slice(first, count), bytes);
            }

            first += count;
        }
    }

    /// <summary><c>c = a b</c> for row-major fp32 matrices without gaps, <paramref name="a"/> [m, k], <paramref name="b"/> [k, n] packed inside the call.</summary>
    public static void Gemm(ThreadTeam team, int m, int n, int k, float* a, float* b, float* c) =>
        RunRaw(team, a, k, false, b, null, n, c, n, m, n, k, GradientMode.Start);

    private static void WeightGradients(ThreadTeam team, ReadOnlySpan<WeightGradientJob> jobs, long rawBytes)
    {
        ProductList list = Begin(team, jobs.Length, rawBytes, out byte* panels);
        foreach (ref readonly WeightGradientJob job in jobs)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(job.Tokens);
            if (job.Outputs == 0 || job.Columns == 0)
                continue;
            list.Products[list.Count++] = RawProduct(
                job.DY, job.LdDY, true, job.X, job.Gather, job.LdX, panels, job.DW, job.Columns, job.Outputs, job.Columns, job.Tokens, job.Mode);
            panels += RawBytes(job.Tokens, job.Columns);
        }

        Run(team, ref list);
    }

    private static void RunRaw(
        ThreadTeam team, float* a, nint lda, bool transposed, float* raw, int* gather, nint ldRaw, float* c, nint ldc, int m, int n, int depth, GradientMode mode)
    {
        if (m == 0 || n == 0)
            return;
        int step = (int)Math.Clamp(MaxRawBytes / (4L * Math.Max(1, depth)) & ~31L, 32, 1 << 30);
        for (int j = 0; j < n; j += step)
        {
            int columns = Math.Min(step, n - j);
            long bytes = RawBytes(depth, columns);
            ProductList list = Begin(team, 1, bytes, out byte* panels);
            list.Products[list.Count++] = RawProduct(
                a, lda, transposed, raw + j, gather, ldRaw, panels, c + j, ldc, m, columns, depth, mode);
            Run(team, ref list);
        }
    }

    private static Product RawProduct(
        float* a, nint lda, bool transposed, float* raw, int* gather, nint ldRaw, byte* panels, float* c, nint ldc, int m, int n, int depth, GradientMode mode) =>
        new()
        {
            A = a,
            LdA = lda,
            ATransposed = transposed,
            Raw = raw,
            RawGather = gather,
            LdRaw = ldRaw,
            Panels = panels,
            PanelBytes = 4L * PackedMatrix.PanelRows * depth,
            Type = DType.F32,
            C = c,
            LdC = ldc,
            Mode = mode,
            M = m,
            N = n,
            Depth = depth,
        };

    private static long RawBytes(int depth, int columns) =>
        4L * PackedMatrix.PanelRows * depth * ((columns + PackedMatrix.PanelRows - 1) / PackedMatrix.PanelRows);

    // Lays the list out in the team's shared memory: products, one scratch pointer a thread, panels to be packed.
    private static ProductList Begin(ThreadTeam team, int products, long rawBytes, out byte* panels)
    {
        long head = (products * (long)sizeof(Product) + team.Threads * (long)sizeof(float*) + 63) & ~63L;
        byte* memory = team.SharedScratch(head + rawBytes);
        panels = memory + head;
        var list = new ProductList { Products = (Product*)memory };
        list.Scratch = (float**)(list.Products + products);
        return list;
    }

    private static void Run(ThreadTeam team, ref ProductList list)
    {
        if (list.Count == 0)
            return;
        switch (Simd.Level)
        {
            case SimdLevel.Avx512:
                Run<VectorForm512, Vector512<float>>(team, ref list);
                break;
            case SimdLevel.Avx2:
                Run<VectorForm256, Vector256<float>>(team, ref list);
                break;
            default:
                Run<VectorForm128, Vector128<float>>(team, ref list);
                break;
        }
    }

    private static void Run<TForm, TVector>(ThreadTeam team, ref ProductList list)
        where TForm : struct, IVectorForm<TVector>
        where TVector : struct
    {
        int threads = ProductPlan.Cut(ref list, team.Threads, TForm.TileRows);
        for (int thread = 0; thread < threads; thread++)
            list.Scratch[thread] = (float*)team.Scratch(thread, list.ScratchFloats * sizeof(float));
        fixed (ProductList* state = &list)
        {
            if (threads == 1)
            {
                ProductUnits<TForm, TVector>.Pack(state, 0, 1);
                ProductUnits<TForm, TVector>.Multiply(state, 0, 1);
                return;
            }

            if (state->RawGroups > 0)
                team.Run(&ProductUnits<TForm, TVector>.Pack, state);
            team.Run(&ProductUnits<TForm, TVector>.Multiply, state);
        }
    }
}
