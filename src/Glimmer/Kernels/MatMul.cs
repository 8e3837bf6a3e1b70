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

    /// <summary>
    /// The same product with 8-bit activations where the weight has integer blocks, else in fp32; see <see cref="BlockTwin"/> for the order of its sums.
    /// </summary>
    public static void MultiplyBlocks(ThreadTeam team, float* x, int ldx, int tokens, PackedMatrix w, float* bias, float* y, int ldy)
    {
        var job = new MatMulJob { X = x, LdX = ldx, Tokens = tokens, Weights = w, Bias = bias, Y = y, LdY = ldy };
        MultiplyBlocks(team, new ReadOnlySpan<MatMulJob>(in job));
    }

    /// <summary>Runs several products with 8-bit activations where the weight has integer blocks, the others in fp32.</summary>
    public static void MultiplyBlocks(ThreadTeam team, ReadOnlySpan<MatMulJob> jobs)
    {
        bool others = false;
        foreach (ref readonly MatMulJob job in jobs)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(job.Tokens);
            others |= BlockKernel.For(job.Weights.Type) is null;
        }

        BlockProducts.Run(team, jobs);
        if (others)
            Multiply(team, jobs, withoutBlocks: true);
        foreach (ref readonly MatMulJob job in jobs)
            GC.KeepAlive(job.Weights);
    }

    /// <summary>Runs several products as one list of work: the experts of a layer, or the heads of an attention layer.</summary>
    public static void Multiply(ThreadTeam team, ReadOnlySpan<MatMulJob> jobs) => Multiply(team, jobs, withoutBlocks: false);

    private static void Multiply(ThreadTeam team, ReadOnlySpan<MatMulJob> jobs, bool withoutBlocks)
    {
        var batch = new ProductBatch(team, jobs.Length);
        foreach (ref readonly MatMulJob job in jobs)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(job.Tokens);
            PackedMatrix w = job.Weights;
            if (withoutBlocks && BlockKernel.For(w.Type) is not null)
                continue;
            batch.Add(new Product
            {
                A = job.X,
                Gather = job.Gather,
                LdA = job.LdX,
                Panels = w.Data,
                PanelBytes = w.PanelBytes,
                Type = w.Type,
                Bias = job.Bias,
                Mode = job.AddTo ? GradientMode.AddTo : GradientMode.Start,
                C = job.Y,
                LdC = job.LdY,
                M = job.Tokens,
                N = w.Rows,
                Depth = w.Columns,
            });
        }

        batch.Run();
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
        var batch = new ProductBatch(team, jobs.Length);
        foreach (ref readonly WeightGradientJob job in jobs)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(job.Tokens);
            batch.Add(new Product
            {
                A = job.DY,
                LdA = job.LdDY,
                ATransposed = true,
                Raw = job.X,
                RawGather = job.Gather,
                LdRaw = job.LdX,
                Type = DType.F32,
                C = job.DW,
                LdC = job.Columns,
                Mode = job.Mode,
                M = job.Outputs,
                N = job.Columns,
                Depth = job.Tokens,
            });
        }

        batch.Run();
    }

    /// <summary><c>c = a b</c> for row-major fp32 matrices without gaps: a [m, k], and b [k, n], which is packed inside the call.</summary>
    public static void Gemm(ThreadTeam team, int m, int n, int k, float* a, float* b, float* c)
    {
        var batch = new ProductBatch(team, 1);
        batch.Add(new Product { A = a, LdA = k, Raw = b, LdRaw = n, Type = DType.F32, C = c, LdC = n, M = m, N = n, Depth = k });
        batch.Run();
    }
}
