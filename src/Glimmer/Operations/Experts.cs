using System.Runtime.InteropServices;
using Glimmer.Kernels;
using Glimmer.Tensors;

namespace Glimmer.Operations;

/// <summary>The matrices of one routed expert.</summary>
/// <param name="Gate">[I, D].</param>
/// <param name="Up">[I, D].</param>
/// <param name="Down">[D, I].</param>
internal sealed record Expert(Parameter Gate, Parameter Up, Parameter Down);

/// <summary>
/// Routed experts: tokens are gathered by expert, each expert's feed-forward network runs on its rows as part of one job list, and
/// every token sums its experts' finished outputs in ascending expert order.
/// </summary>
internal static unsafe class Experts
{
    /// <summary><c>y[t] = sum_j w[t,j] * Expert_{id[t,j]}(x[t]) (+ shared[t])</c>.</summary>
    /// <param name="c">Context.</param>
    /// <param name="x">Normalised hidden states, [T, D].</param>
    /// <param name="routes">Choice and weights.</param>
    /// <param name="experts">E experts.</param>
    /// <param name="shared">Output of the shared experts, [T, D], or null.</param>
    /// <param name="store">Where the experts are when they are not all in memory; it has begun this layer. Null otherwise.</param>
    /// <returns>[T, D].</returns>
    public static Tensor Forward(Compute c, Tensor x, Routes routes, Expert[] experts, Tensor? shared, ExpertStore? store = null)
    {
        (int tokens, int dim, int perToken) = (x.Shape[0], x.Shape[1], routes.Experts.Shape[1]);
        int inner = experts[0].Gate.Shape[0];
        int rows = tokens * perToken;
        ExpertAssignment plan = Assign(c, routes, experts.Length);
        Tensor gate = c.Workspace.F32(rows, inner);
        Tensor up = c.Workspace.F32(rows, inner);
        Tensor activated = c.Workspace.F32(rows, inner);
        Tensor outputs = c.Workspace.F32(rows, dim);
        Tensor y = c.Workspace.F32(tokens, dim);

        List<int> active = c.ActiveExperts;
        if (store is null)
        {
            active.Clear();
            if (experts[0].Gate.Gradient is not null)
                Parameter.Pack(c.Team, experts.SelectMany(expert => new[] { expert.Gate, expert.Up, expert.Down }));
            for (int e = 0; e < experts.Length; e++)
            {
                if (RowsOf(plan, e).Count > 0)
                    active.Add(e);
            }

            Run(c, x, experts, plan, active, gate, up, activated, outputs);
        }
        else
        {
            while (store.Next(active))
                Run(c, x, experts, plan, active, gate, up, activated, outputs);
        }

        ExpertDispatch.Combine(
            c.Team, plan, dim, routes.Weights.F32Pointer, outputs.F32Pointer, shared is null ? null : shared.F32Pointer, y.F32Pointer);
        c.Tape?.Record(new Entry(c, x, routes, experts, shared, plan, gate, up, activated, outputs, y));
        return y;
    }

    // Outputs of some experts for their rows, in three steps over all of them.
    private static void Run(
        Compute c, Tensor x, Expert[] experts, in ExpertAssignment plan, List<int> active, Tensor gate, Tensor up, Tensor activated, Tensor outputs)
    {
        (int dim, int inner) = (x.Shape[1], gate.Shape[1]);
        List<MatMulJob> jobs = c.MatMulJobs;
        jobs.Clear();
        foreach (int e in active)
        {
            (int first, int count) = RowsOf(plan, e);
            // The rows of an expert are read where they are: row r is token TokenOfRow[r].
            var job = new MatMulJob { X = x.F32Pointer, Gather = plan.TokenOfRow + first, LdX = dim, Tokens = count, LdY = inner };
            jobs.Add(job with { Weights = experts[e].Gate.Packed(c.Team), Y = gate.F32Pointer + (long)first * inner });
            jobs.Add(job with { Weights = experts[e].Up.Packed(c.Team), Y = up.F32Pointer + (long)first * inner });
        }

        c.Multiply(CollectionsMarshal.AsSpan(jobs));
        bool isAdapted = IsAdapted(experts, active);
        if (isAdapted)
        {
            ExpertFactors.AddTo(c, plan, experts, active, static expert => expert.Gate, x, gather: true, gate);
            ExpertFactors.AddTo(c, plan, experts, active, static expert => expert.Up, x, gather: true, up);
        }

        for (int i = 0; i < active.Count;)
        {
            // Neighbours in the list of rows are one range: all of it when every expert is here.
            int first = RowsOf(plan, active[i]).First, end = first;
            for (; i < active.Count && RowsOf(plan, active[i]).First == end; i++)
                end += RowsOf(plan, active[i]).Count;
            long at = (long)first * inner;
            SwiGlu.Forward(c.Team, gate.F32Pointer + at, inner, up.F32Pointer + at, inner, end - first, inner, activated.F32Pointer + at, inner);
        }

        jobs.Clear();
        foreach (int e in active)
        {
            (int first, int count) = RowsOf(plan, e);
            jobs.Add(new MatMulJob
            {
                X = activated.F32Pointer + (long)first * inner,
                LdX = inner,
                Tokens = count,
                Weights = experts[e].Down.Packed(c.Team),
                Y = outputs.F32Pointer + (long)first * dim,
                LdY = dim,
            });
        }

        c.Multiply(CollectionsMarshal.AsSpan(jobs));
        if (isAdapted)
            ExpertFactors.AddTo(c, plan, experts, active, static expert => expert.Down, activated, gather: false, outputs);
    }

    private static bool IsAdapted(Expert[] experts, List<int> active)
    {
        foreach (int e in active)
        {
            if (experts[e].Gate.IsAdapted || experts[e].Up.IsAdapted || experts[e].Down.IsAdapted)
                return true;
        }

        return false;
    }

    /// <summary>Sorts the (token, choice) pairs by expert, in workspace memory.</summary>
    internal static ExpertAssignment Assign(Compute c, Routes routes, int experts)
    {
        (int tokens, int perToken) = (routes.Experts.Shape[0], routes.Experts.Shape[1]);
        var assignment = new ExpertAssignment(
            tokens, perToken, experts, (int*)routes.Experts.Data, Integers(c, experts + 1), Integers(c, tokens * perToken), Integers(c, tokens * perToken),
            Integers(c, tokens * perToken));
        assignment.Sort();
        return assignment;
    }

    private static int* Integers(Compute c, int count) => (int*)c.Workspace.Allocate(DType.I32, count).Data;

    private static (int First, int Count) RowsOf(in ExpertAssignment plan, int expert) => (plan.Offsets[expert], plan.Offsets[expert + 1] - plan.Offsets[expert]);

    private sealed class Entry(
        Compute c, Tensor x, Routes routes, Expert[] experts, Tensor? shared, ExpertAssignment plan, Tensor gate, Tensor up, Tensor activated,
        Tensor outputs, Tensor y) : TapeEntry
    {
        public override void Backward()
        {
            if (y.Gradient is not { } dy)
                return;
            (int tokens, int dim, int perToken) = (x.Shape[0], x.Shape[1], routes.Experts.Shape[1]);
            int inner = gate.Shape[1];
            int rows = tokens * perToken;
            Tensor dweights = c.Workspace.F32(routes.Weights.Shape);
            Tensor doutputs = c.Workspace.F32(rows, dim);
            ExpertDispatch.CombineBackward(
                c.Team, plan, dim, routes.Weights.F32Pointer, outputs.F32Pointer, dy.F32Pointer, doutputs.F32Pointer, dweights.F32Pointer);
            c.AddGradient(routes.Weights, dweights);
            if (shared is not null)
                c.AddGradient(shared, dy); // nobody changes dy before the shared expert has read it: see Residual

            Tensor dactivated = c.Workspace.F32(rows, inner);
            Products(expert => expert.Down, doutputs, dim, dactivated, inner);
            ExpertFactors.Backward(c, plan, experts, expert => expert.Down, activated, gather: false, doutputs, dactivated);
            WeightGradients(expert => expert.Down, doutputs, dim, activated, inner, gather: false);
            Tensor dgate = c.Workspace.F32(rows, inner);
            Tensor dup = c.Workspace.F32(rows, inner);
            SwiGlu.Backward(
                c.Team, dactivated.F32Pointer, inner, gate.F32Pointer, inner, up.F32Pointer, inner, rows, inner, dgate.F32Pointer, inner, dup.F32Pointer, inner);
            WeightGradients(expert => expert.Gate, dgate, inner, x, dim, gather: true);
            WeightGradients(expert => expert.Up, dup, inner, x, dim, gather: true);
            Tensor dgathered = c.Workspace.F32(rows, dim);
            Products(expert => expert.Gate, dgate, inner, dgathered, dim);
            Products(expert => expert.Up, dup, inner, dgathered, dim, addTo: true);
            ExpertFactors.Backward(c, plan, experts, expert => expert.Gate, x, gather: true, dgate, dgathered);
            ExpertFactors.Backward(c, plan, experts, expert => expert.Up, x, gather: true, dup, dgathered);
            Tensor dx = c.Workspace.F32(x.Shape);
            ExpertDispatch.GatherBackward(c.Team, plan, dim, dgathered.F32Pointer, dx.F32Pointer);
            c.AddGradient(x, dx);
        }

        // dx = dy W for the rows of every expert, or dx += dy W.
        private void Products(Func<Expert, Parameter> matrix, Tensor dy, int outputs, Tensor dx, int inputs, bool addTo = false)
        {
            Parameter.PackTransposed(c.Team, experts.Select(matrix).Where(weight => !weight.HasBlocksOnly));
            var jobs = new List<MatMulJob>();
            for (int e = 0; e < experts.Length; e++)
            {
                (int first, int count) = RowsOf(plan, e);
                if (count == 0)
                    continue;
                if (matrix(experts[e]).HasBlocksOnly)
                {
                    ProductOfBlocks(matrix(experts[e]), dy.F32Pointer + (long)first * outputs, outputs, count, dx.F32Pointer + (long)first * inputs, addTo);
                    continue;
                }

                jobs.Add(new MatMulJob
                {
                    X = dy.F32Pointer + (long)first * outputs,
                    LdX = outputs,
                    Tokens = count,
                    Weights = matrix(experts[e]).PackedTransposed(c.Team),
                    Y = dx.F32Pointer + (long)first * inputs,
                    LdY = inputs,
                    AddTo = addTo,
                });
            }

            MatMul.Multiply(c.Team, CollectionsMarshal.AsSpan(jobs));
        }

        // The same for one expert that is held as quantised blocks only.
        private void ProductOfBlocks(Parameter weight, float* dy, int outputs, int count, float* dx, bool addTo)
        {
            if (!addTo)
            {
                Linear.InputGradient(c, weight, dy, outputs, count, dx);
                return;
            }

            Workspace.Mark mark = c.Workspace.Save();
            Tensor part = c.Workspace.F32(count, weight.Shape[1]);
            Linear.InputGradient(c, weight, dy, outputs, count, part.F32Pointer);
            Elementwise.Add(c.Team, dx, part.F32Pointer, part.Count, dx);
            c.Workspace.Release(mark);
        }

        // dW += dy^T x over the rows of every expert, in token order.
        private void WeightGradients(Func<Expert, Parameter> matrix, Tensor dy, int outputs, Tensor input, int inputs, bool gather)
        {
            var jobs = new List<WeightGradientJob>();
            for (int e = 0; e < experts.Length; e++)
            {
                (int first, int count) = RowsOf(plan, e);
                if (count != 0 && matrix(experts[e]).Gradient is { } gradient)
                {
                    jobs.Add(new WeightGradientJob
                    {
                        DY = dy.F32Pointer + (long)first * outputs,
                        LdDY = outputs,
                        X = input.F32Pointer + (gather ? 0 : (long)first * inputs),
                        Gather = gather ? plan.TokenOfRow + first : null,
                        LdX = inputs,
                        Tokens = count,
                        Outputs = outputs,
                        Columns = inputs,
                        DW = gradient.F32Pointer,
                        Mode = GradientMode.AddTo,
                    });
                }
            }

            MatMul.WeightGradient(c.Team, CollectionsMarshal.AsSpan(jobs));
        }
    }
}
