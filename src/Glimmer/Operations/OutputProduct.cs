using Glimmer.Kernels;
using Glimmer.Tensors;

namespace Glimmer.Operations;

/// <summary>Logits: <c>y[t,v] = sum_k h[t,k] w[v,k]</c>, v over the rows of the output matrix and then over <see cref="Parameter.AddedRows"/>.</summary>
/// <remarks>Every logit is a chain of its own, so added rows change no bit of the others.</remarks>
internal static unsafe class OutputProduct
{
    /// <param name="c">Context.</param>
    /// <param name="h">Hidden states after the final norm, [T, D].</param>
    /// <param name="head">Output matrix, [V, D].</param>
    /// <returns>[T, V].</returns>
    public static Tensor Forward(Compute c, Tensor h, Parameter head)
    {
        if (head.InUse(c).AddedRows is null)
            return Linear.Forward(c, h, head);
        if (head.IsAdapted)
            throw new InvalidOperationException($"{head} has added rows; adapters that replace it for some rows only are computed one at a time.");
        Tensor y = c.Workspace.F32(h.Shape[0], head.AllRows);
        Multiply(c, h.F32Pointer, h.Shape[0], head, y.F32Pointer, c.Activations == ActivationType.Q8);
        c.Tape?.Record(new Entry(c, h, head, y));
        return y;
    }

    /// <summary>Logits of some rows, into memory that is there.</summary>
    /// <param name="c">Context.</param>
    /// <param name="h">[rows, D].</param>
    /// <param name="rows">Rows.</param>
    /// <param name="head">Output matrix, [V, D].</param>
    /// <param name="y">[rows, V].</param>
    /// <param name="q8">Whether quantised rows take 8-bit activations.</param>
    public static void Multiply(Compute c, float* h, int rows, Parameter head, float* y, bool q8 = false)
    {
        int all = head.AllRows;
        Part(c, h, rows, head, y, all, q8);
        if (head.AddedRows is { } added)
            Part(c, h, rows, added, y + head.Shape[0], all, q8);
    }

    /// <summary>Gradients of the hidden states and of the matrices that are trained.</summary>
    /// <param name="c">Context.</param>
    /// <param name="h">[rows, D].</param>
    /// <param name="rows">Rows.</param>
    /// <param name="head">Output matrix, [V, D].</param>
    /// <param name="dy">Gradient of the logits, [rows, V].</param>
    /// <param name="dh">Receives that of the hidden states, [rows, D].</param>
    /// <param name="gradients">Where those of the matrix and of its added rows go on; null for one that is not trained.</param>
    public static void Backward(Compute c, float* h, int rows, Parameter head, float* dy, float* dh, (Tensor? Own, Tensor? Added) gradients)
    {
        (int all, int own, int dim) = (head.AllRows, head.Shape[0], head.Shape[1]);
        Linear.InputGradient(c, head, dy, all, rows, dh);
        if (gradients.Own is { } dw)
            MatMul.WeightGradient(c.Team, dy, all, h, dim, rows, own, dim, dw.F32Pointer, GradientMode.Continue);
        if (head.AddedRows is not { } added)
            return;
        Workspace.Mark mark = c.Workspace.Save();
        Tensor rest = c.Workspace.F32(rows, dim);
        Linear.InputGradient(c, added, dy + own, all, rows, rest.F32Pointer);
        Elementwise.Add(c.Team, dh, rest.F32Pointer, rest.Count, dh);
        c.Workspace.Release(mark);
        if (gradients.Added is { } da)
            MatMul.WeightGradient(c.Team, dy + own, all, h, dim, rows, added.Shape[0], dim, da.F32Pointer, GradientMode.Continue);
    }

    private static void Part(Compute c, float* h, int rows, Parameter weight, float* y, int stride, bool q8)
    {
        var job = new MatMulJob { X = h, LdX = weight.Shape[1], Tokens = rows, Weights = weight.Packed(c.Team), Y = y, LdY = stride };
        var jobs = new ReadOnlySpan<MatMulJob>(in job);
        if (q8)
            MatMul.MultiplyBlocks(c.Team, jobs);
        else
            MatMul.Multiply(c.Team, jobs);
    }

    private sealed class Entry(Compute c, Tensor h, Parameter head, Tensor y) : TapeEntry
    {
        public override void Backward()
        {
            if (y.Gradient is not { } dy)
                return;
            Tensor dh = c.Workspace.F32(h.Shape);
            Tensor? own = Zeros(head), added = Zeros(head.AddedRows);
            OutputProduct.Backward(c, h.F32Pointer, h.Shape[0], head, dy.F32Pointer, dh.F32Pointer, (own, added));
            Add(head, own);
            Add(head.AddedRows, added);
            c.AddGradient(h, dh);
        }

        private Tensor? Zeros(Parameter? weight) => weight?.Gradient is null ? null : c.Workspace.Zeros(weight.Shape);

        private void Add(Parameter? weight, Tensor? gradient)
        {
            if (gradient is not null)
                Elementwise.Add(c.Team, weight!.Gradient!.F32Pointer, gradient.F32Pointer, gradient.Count, weight.Gradient!.F32Pointer);
        }
    }
}
