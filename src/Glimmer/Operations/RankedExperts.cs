using System.Runtime.InteropServices;
using Glimmer.Kernels;
using Glimmer.Tensors;

namespace Glimmer.Operations;

/// <summary>
/// Routed experts that lie on several ranks: the rows of the tokens travel to the experts and the finished outputs back. Sums run as in <see cref="Experts"/>, so that the numbers are those of one process.
/// </summary>
/// <remarks>
/// An expert's output for a row depends on the row alone, and each token sums its experts at home, in their order. Gradients of weights are chains over the tokens of one rank, and the ranks' chains
/// stay apart (<see cref="ExpertRanks.GradientOf"/>).
/// </remarks>
internal static unsafe class RankedExperts
{
    /// <summary>As <see cref="Experts.Forward"/>.</summary>
    /// <param name="c">Context; its <see cref="Compute.ExpertRanks"/> says who holds what.</param>
    /// <param name="x">Normalised hidden states, [T, D].</param>
    /// <param name="routes">Choice and weights.</param>
    /// <param name="experts">E experts; those of other ranks have no values here.</param>
    /// <param name="shared">Output of the shared experts, [T, D], or null.</param>
    /// <returns>[T, D].</returns>
    public static Tensor Forward(Compute c, Tensor x, Routes routes, Expert[] experts, Tensor? shared)
    {
        (int tokens, int dim) = (x.Shape[0], x.Shape[1]);
        int inner = experts[0].Gate.Shape[0];
        ExpertAssignment plan = Experts.Assign(c, routes, experts.Length);
        var rows = RankedRows.Agree(c.ExpertRanks!, plan, experts.Length);

        // The rows that this rank's experts compute, by the rank that they come from, then by expert.
        Tensor sent = c.Workspace.F32(rows.Sent, dim);
        for (int row = 0; row < rows.Sent; row++)
            new ReadOnlySpan<float>(x.F32Pointer + ((long)plan.TokenOfRow[row] * dim), dim).CopyTo(new Span<float>(sent.F32Pointer + ((long)row * dim), dim));
        Tensor input = c.Workspace.F32(rows.Received, dim);
        rows.ToExperts(sent, input);
        Parameter.Pack(c.Team, rows.Own(experts).SelectMany(expert => new[] { expert.Gate, expert.Up, expert.Down }));
        Tensor gate = c.Workspace.F32(rows.Received, inner);
        Tensor up = c.Workspace.F32(rows.Received, inner);
        Multiply(c, rows, experts, expert => expert.Gate, input, gate);
        Multiply(c, rows, experts, expert => expert.Up, input, up);
        Tensor activated = c.Workspace.F32(rows.Received, inner);
        SwiGlu.Forward(c.Team, gate.F32Pointer, inner, up.F32Pointer, inner, rows.Received, inner, activated.F32Pointer, inner);
        Tensor computed = c.Workspace.F32(rows.Received, dim);
        Multiply(c, rows, experts, expert => expert.Down, activated, computed);

        Tensor outputs = c.Workspace.F32(rows.Sent, dim);
        rows.FromExperts(computed, outputs);
        Tensor y = c.Workspace.F32(tokens, dim);
        ExpertDispatch.Combine(c.Team, plan, dim, routes.Weights.F32Pointer, outputs.F32Pointer, shared is null ? null : shared.F32Pointer, y.F32Pointer);
        c.Tape?.Record(new Entry(c, x, routes, experts, shared, plan, rows, input, gate, up, activated, outputs, y));
        return y;
    }

    private static void Multiply(Compute c, RankedRows rows, Expert[] experts, Func<Expert, Parameter> matrix, Tensor x, Tensor y)
    {
        var jobs = new List<MatMulJob>();
        foreach ((int expert, int _, int first, int count) in rows.Parts)
        {
            Parameter weight = matrix(experts[expert]);
            if (weight.IsAdapted)
                throw new UnsupportedModelException($"'{weight.Name}' has an adapter, and experts on several ranks take none. Train without expert parallelism.");
            jobs.Add(new MatMulJob
            {
                X = x.F32Pointer + ((long)first * x.Shape[1]),
                LdX = x.Shape[1],
                Tokens = count,
                Weights = weight.Packed(c.Team),
                Y = y.F32Pointer + ((long)first * y.Shape[1]),
                LdY = y.Shape[1],
            });
        }

        c.Multiply(CollectionsMarshal.AsSpan(jobs));
    }

    private sealed class Entry(
        Compute c, Tensor x, Routes routes, Expert[] experts, Tensor? shared, ExpertAssignment plan, RankedRows rows, Tensor input, Tensor gate, Tensor up, Tensor activated, Tensor outputs, Tensor y)
        : TapeEntry
    {
        public override void Backward()
        {
            (int dim, int inner) = (x.Shape[1], gate.Shape[1]);
            Tensor doutputs = c.Workspace.F32(rows.Sent, dim);
            if (y.Gradient is { } dy)
            {
                Tensor dweights = c.Workspace.F32(routes.Weights.Shape);
                ExpertDispatch.CombineBackward(c.Team, plan, dim, routes.Weights.F32Pointer, outputs.F32Pointer, dy.F32Pointer, doutputs.F32Pointer, dweights.F32Pointer);
                c.AddGradient(routes.Weights, dweights);
                if (shared is not null)
                    c.AddGradient(shared, dy); // nobody changes dy before the shared expert has read it: see Residual
            }
            else
                doutputs.Clear(); // The other ranks wait for the rows all the same.

            Tensor dcomputed = c.Workspace.F32(rows.Received, dim);
            rows.ToExperts(doutputs, dcomputed);
            Tensor dactivated = c.Workspace.F32(rows.Received, inner);
            Products(expert => expert.Down, dcomputed, dactivated);
            WeightGradients(expert => expert.Down, dcomputed, activated);
            Tensor dgate = c.Workspace.F32(rows.Received, inner);
            Tensor dup = c.Workspace.F32(rows.Received, inner);
            SwiGlu.Backward(
                c.Team, dactivated.F32Pointer, inner, gate.F32Pointer, inner, up.F32Pointer, inner, rows.Received, inner, dgate.F32Pointer, inner, dup.F32Pointer, inner);
            WeightGradients(expert => expert.Gate, dgate, input);
            WeightGradients(expert => expert.Up, dup, input);
            Tensor dinput = c.Workspace.F32(rows.Received, dim);
            Products(expert => expert.Gate, dgate, dinput);
            Products(expert => expert.Up, dup, dinput, addTo: true);

            Tensor dgathered = c.Workspace.F32(rows.Sent, dim);
            rows.FromExperts(dinput, dgathered);
            if (y.Gradient is null)
                return;
            Tensor dx = c.Workspace.F32(x.Shape);
            ExpertDispatch.GatherBackward(c.Team, plan, dim, dgathered.F32Pointer, dx.F32Pointer);
            c.AddGradient(x, dx);
        }

        // dx = dy W for the rows of every expert of this rank, or dx += dy W.
        private void Products(Func<Expert, Parameter> matrix, Tensor dy, Tensor dx, bool addTo = false)
        {
            Parameter.PackTransposed(c.Team, rows.Own(experts).Select(matrix));
            var jobs = new List<MatMulJob>();
            foreach ((int expert, int _, int first, int count) in rows.Parts)
            {
                jobs.Add(new MatMulJob
                {
                    X = dy.F32Pointer + ((long)first * dy.Shape[1]),
                    LdX = dy.Shape[1],
                    Tokens = count,
                    Weights = matrix(experts[expert]).PackedTransposed(c.Team),
                    Y = dx.F32Pointer + ((long)first * dx.Shape[1]),
                    LdY = dx.Shape[1],
                    AddTo = addTo,
                });
            }

            MatMul.Multiply(c.Team, CollectionsMarshal.AsSpan(jobs));
        }

        // dW += dy^T x over the rows of one rank at an expert, in token order, into that rank's own sum.
        private void WeightGradients(Func<Expert, Parameter> matrix, Tensor dy, Tensor of)
        {
            var jobs = new List<WeightGradientJob>();
            foreach ((int expert, int from, int first, int count) in rows.Parts)
            {
                if (c.ExpertRanks!.GradientOf(matrix(experts[expert]), from) is not { } gradient)
                    continue;
                jobs.Add(new WeightGradientJob
                {
                    DY = dy.F32Pointer + ((long)first * dy.Shape[1]),
                    LdDY = dy.Shape[1],
                    X = of.F32Pointer + ((long)first * of.Shape[1]),
                    LdX = of.Shape[1],
                    Tokens = count,
                    Outputs = dy.Shape[1],
                    Columns = of.Shape[1],
                    DW = gradient.F32Pointer,
                    Mode = GradientMode.AddTo,
                });
            }

            MatMul.WeightGradient(c.Team, CollectionsMarshal.AsSpan(jobs));
        }
    }
}

/// <summary>Which rows go where in one pass through a layer: those that this rank sends are sorted by expert, and so by rank; those it receives come by rank, then by expert.</summary>
internal sealed unsafe class RankedRows
{
    private readonly ExpertRanks _ranks;
    private readonly int[] _sent; // rows by the rank that they go to
    private readonly int[] _received; // rows by the rank that they come from
    private readonly int _firstExpert;
    private readonly int _ownExperts;

    private RankedRows(ExpertRanks ranks, int[] sent, int[] received, int firstExpert, int ownExperts, IReadOnlyList<(int Expert, int From, int First, int Count)> parts)
    {
        (_ranks, _sent, _received, _firstExpert, _ownExperts, Parts) = (ranks, sent, received, firstExpert, ownExperts, parts);
        (Sent, Received) = (sent.Sum(), received.Sum());
    }

    /// <summary>Rows that this rank's tokens need.</summary>
    public int Sent { get; }

    /// <summary>Rows that this rank's experts compute.</summary>
    public int Received { get; }

    /// <summary>The received rows of an expert from a rank, where there are any.</summary>
    public IReadOnlyList<(int Expert, int From, int First, int Count)> Parts { get; }

    /// <summary>Tells every rank how many rows its experts get.</summary>
    public static RankedRows Agree(ExpertRanks ranks, in ExpertAssignment plan, int experts)
    {
        int size = ranks.Size, first = ranks.First(ranks.Rank, experts), own = ranks.First(ranks.Rank + 1, experts) - first;
        var counts = new int[experts];
        for (int e = 0; e < experts; e++)
            counts[e] = plan.Offsets[e + 1] - plan.Offsets[e];
        var sent = new int[size];
        var countBytes = new int[size];
        for (int rank = 0; rank < size; rank++)
        {
            for (int e = ranks.First(rank, experts); e < ranks.First(rank + 1, experts); e++)
                sent[rank] += counts[e];
            countBytes[rank] = (ranks.First(rank + 1, experts) - ranks.First(rank, experts)) * sizeof(int);
        }

        var incoming = new int[size * own];
        var ownBytes = new int[size];
        Array.Fill(ownBytes, own * sizeof(int));
        ranks.Exchange(MemoryMarshal.AsBytes(counts.AsSpan()), countBytes, MemoryMarshal.AsBytes(incoming.AsSpan()), ownBytes);

        var received = new int[size];
        var parts = new List<(int, int, int, int)>();
        int at = 0;
        for (int from = 0; from < size; from++)
        {
            for (int e = 0; e < own; e++)
            {
                int count = incoming[(from * own) + e];
                if (count > 0)
                    parts.Add((first + e, from, at, count));
                received[from] += count;
                at += count;
            }
        }

        return new RankedRows(ranks, sent, received, first, own, parts);
    }

    /// <summary>The experts of this rank.</summary>
    public IEnumerable<Expert> Own(Expert[] experts) => experts.Skip(_firstExpert).Take(_ownExperts);

    /// <summary>Sends the rows of this rank's tokens, [Sent, N], and receives those of its experts, [Received, N].</summary>
    public void ToExperts(Tensor sent, Tensor received) => Move(sent, _sent, received, _received);

    /// <summary>Sends the rows of this rank's experts back and receives those of its tokens.</summary>
    public void FromExperts(Tensor computed, Tensor home) => Move(computed, _received, home, _sent);

    private void Move(Tensor from, int[] fromRows, Tensor to, int[] toRows)
    {
        int rowBytes = from.Shape[1] * sizeof(float);
        _ranks.Exchange(from.Bytes, [.. fromRows.Select(rows => checked(rows * rowBytes))], to.Bytes, [.. toRows.Select(rows => checked(rows * rowBytes))]);
    }
}
