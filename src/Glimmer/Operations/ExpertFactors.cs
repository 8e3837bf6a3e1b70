using System.Runtime.InteropServices;
using Glimmer.Kernels;
using Glimmer.Tensors;

namespace Glimmer.Operations;

/// <summary>Low-rank additions to the matrices of routed experts, over the rows of every expert.</summary>
internal static unsafe class ExpertFactors
{
    /// <summary>Adds to the output of one matrix of the experts, in place.</summary>
    /// <param name="c">Context.</param>
    /// <param name="plan">Rows by expert.</param>
    /// <param name="experts">The experts.</param>
    /// <param name="active">Those that run.</param>
    /// <param name="matrix">Which of their matrices.</param>
    /// <param name="input">Its input: tokens [T, K], or rows [R, K].</param>
    /// <param name="gather">Whether the input is tokens.</param>
    /// <param name="output">Its output, [R, O].</param>
    public static void AddTo(
        Compute c, in ExpertAssignment plan, Expert[] experts, List<int> active, Func<Expert, Parameter> matrix, Tensor input, bool gather, Tensor output)
    {
        List<LowRankStep> steps = c.LowRankSteps;
        steps.Clear();
        foreach (int e in active)
        {
            Parameter weight = matrix(experts[e]);
            if (!weight.IsAdapted)
                continue;
            (int inputs, int outputs, int end) = (weight.Shape[1], weight.Shape[0], plan.Offsets[e + 1]);
            for (int row = plan.Offsets[e]; row < end;)
            {
                // Rows of an expert are in the order of their tokens, so those of an adapter are neighbours.
                int first = row, adapter = AdapterRun.Of(c.AdapterRuns, plan.TokenOfRow[row]);
                while (row < end && AdapterRun.Of(c.AdapterRuns, plan.TokenOfRow[row]) == adapter)
                    row++;
                if (weight.AdaptationOf(adapter)?.Factor is not { } factor)
                    continue;
                float* x = input.F32Pointer + (gather ? 0 : (long)first * inputs);
                nint rows = gather ? (nint)(plan.TokenOfRow + first) : 0;
                steps.Add(new LowRankStep(factor, weight, null, (nint)x, rows, (nint)(output.F32Pointer + ((long)first * outputs)), row - first));
            }
        }

        LowRankStep.Run(c, steps);
    }

    /// <summary>The gradients of <see cref="AddTo"/>: of A and B, and of the rows of the input.</summary>
    /// <param name="c">Context.</param>
    /// <param name="plan">Rows by expert.</param>
    /// <param name="experts">The experts.</param>
    /// <param name="matrix">Which of their matrices.</param>
    /// <param name="input">Its input.</param>
    /// <param name="gather">Whether the input is tokens.</param>
    /// <param name="dy">Gradient of its output, [R, O].</param>
    /// <param name="dx">Gradient of the rows of its input, [R, K]; added to.</param>
    public static void Backward(Compute c, in ExpertAssignment plan, Expert[] experts, Func<Expert, Parameter> matrix, Tensor input, bool gather, Tensor dy, Tensor dx)
    {
        var active = new List<(LowRankFactor Factor, int First, int Count)>();
        int rank = 0;
        for (int e = 0; e < experts.Length; e++)
        {
            (int first, int count) = (plan.Offsets[e], plan.Offsets[e + 1] - plan.Offsets[e]);
            if (count == 0 || matrix(experts[e]).Adapter is not { } factor)
                continue;
            active.Add((factor, first, count));
            rank = Math.Max(rank, factor.A.Shape[0]);
        }

        if (active.Count == 0)
            return;
        Workspace.Mark mark = c.Workspace.Save();
        (int rows, int inputs, int outputs) = (dy.Shape[0], dx.Shape[1], dy.Shape[1]);
        Tensor u = c.Workspace.F32(rows, rank), du = c.Workspace.F32(rows, rank), dv = c.Workspace.Zeros(rows, outputs), part = c.Workspace.F32(rows, inputs);
        foreach ((LowRankFactor factor, int first, int count) in active)
            Elementwise.AddScaled(c.Team, dy.F32Pointer + ((long)first * outputs), factor.Scale, (long)count * outputs, dv.F32Pointer + ((long)first * outputs));

        var products = new List<MatMulJob>();
        foreach ((LowRankFactor factor, int first, int count) in active)
        {
            var job = new MatMulJob { LdX = inputs, Tokens = count, Weights = factor.A.Packed(c.Team), Y = u.F32Pointer + ((long)first * rank), LdY = rank };
            products.Add(gather
                ? job with { X = input.F32Pointer, Gather = plan.TokenOfRow + first }
                : job with { X = input.F32Pointer + ((long)first * inputs) });
            products.Add(new MatMulJob
            {
                X = dv.F32Pointer + ((long)first * outputs),
                LdX = outputs,
                Tokens = count,
                Weights = factor.B.PackedTransposed(c.Team),
                Y = du.F32Pointer + ((long)first * rank),
                LdY = rank,
            });
        }

        MatMul.Multiply(c.Team, CollectionsMarshal.AsSpan(products));
        products.Clear();
        var gradients = new List<WeightGradientJob>();
        foreach ((LowRankFactor factor, int first, int count) in active)
        {
            products.Add(new MatMulJob
            {
                X = du.F32Pointer + ((long)first * rank),
                LdX = rank,
                Tokens = count,
                Weights = factor.A.PackedTransposed(c.Team),
                Y = part.F32Pointer + ((long)first * inputs),
                LdY = inputs,
            });
            if (factor.B.Gradient is { } db)
            {
                gradients.Add(new WeightGradientJob
                {
                    DY = dv.F32Pointer + ((long)first * outputs),
                    LdDY = outputs,
                    X = u.F32Pointer + ((long)first * rank),
                    LdX = rank,
                    Tokens = count,
                    Outputs = outputs,
                    Columns = factor.B.Shape[1],
                    DW = db.F32Pointer,
                    Mode = GradientMode.AddTo,
                });
            }

            if (factor.A.Gradient is { } da)
            {
                gradients.Add(new WeightGradientJob
                {
                    DY = du.F32Pointer + ((long)first * rank),
                    LdDY = rank,
                    X = input.F32Pointer + (gather ? 0 : (long)first * inputs),
                    Gather = gather ? plan.TokenOfRow + first : null,
                    LdX = inputs,
                    Tokens = count,
                    Outputs = factor.A.Shape[0],
                    Columns = inputs,
                    DW = da.F32Pointer,
                    Mode = GradientMode.AddTo,
                });
            }
        }

        MatMul.Multiply(c.Team, CollectionsMarshal.AsSpan(products));
        MatMul.WeightGradient(c.Team, CollectionsMarshal.AsSpan(gradients));
        foreach ((_, int first, int count) in active)
        {
            float* target = dx.F32Pointer + ((long)first * inputs);
            Elementwise.Add(c.Team, target, part.F32Pointer + ((long)first * inputs), (long)count * inputs, target);
        }

        c.Workspace.Release(mark);
    }
}
