using System.Runtime.InteropServices;
using Glimmer.Kernels;
using Glimmer.Tensors;

namespace Glimmer.Operations;

/// <summary>Linear layer: <c>y[t,o] = sum_k x[t,k] w[o,k] (+ b[o])</c>.</summary>
internal static unsafe class Linear
{
    /// <param name="c">Context.</param>
    /// <param name="x">Input, [T, K].</param>
    /// <param name="weight">Matrix, [O, K].</param>
    /// <param name="bias">Bias, [O], or null.</param>
    /// <returns>Output, [T, O].</returns>
    public static Tensor Forward(Compute c, Tensor x, Parameter weight, Parameter? bias = null)
    {
        weight = weight.InUse(c);
        (int tokens, int inputs, int outputs) = (x.Shape[0], weight.Shape[1], weight.Shape[0]);
        Tensor y = c.Workspace.F32(tokens, outputs);
        var job = new MatMulJob
        {
            X = x.F32Pointer,
            LdX = inputs,
            Tokens = tokens,
            Weights = weight.Packed(c.Team),
            Bias = bias is null ? null : bias.Vector,
            Y = y.F32Pointer,
            LdY = outputs,
        };
        c.Multiply(new ReadOnlySpan<MatMulJob>(in job));
        c.Tape?.Record(new Entry(c, x, weight, bias, y));
        if (weight.IsAdapted)
            LowRankStep.Apply(c, x, [(weight, bias, y)]);
        return y;
    }

    /// <summary>Two linear layers of the same input as one job list.</summary>
    public static (Tensor First, Tensor Second) Pair(Compute c, Tensor x, Parameter first, Parameter second)
    {
        (first, second) = (first.InUse(c), second.InUse(c));
        c.MatMulJobs.Clear();
        Tensor y1 = Add(c, x, first, null), y2 = Add(c, x, second, null);
        c.Multiply(CollectionsMarshal.AsSpan(c.MatMulJobs));
        c.Tape?.Record(new Entry(c, x, first, null, y1));
        c.Tape?.Record(new Entry(c, x, second, null, y2));
        if (first.IsAdapted || second.IsAdapted)
            LowRankStep.Apply(c, x, [(first, null, y1), (second, null, y2)]);
        return (y1, y2);
    }

    /// <summary>Three linear layers of the same input as one job list.</summary>
    public static (Tensor First, Tensor Second, Tensor Third) Triple(
        Compute c, Tensor x, (Parameter Weight, Parameter? Bias) first, (Parameter Weight, Parameter? Bias) second, (Parameter Weight, Parameter? Bias) third)
    {
        (first.Weight, second.Weight, third.Weight) = (first.Weight.InUse(c), second.Weight.InUse(c), third.Weight.InUse(c));
        c.MatMulJobs.Clear();
        Tensor y1 = Add(c, x, first.Weight, first.Bias), y2 = Add(c, x, second.Weight, second.Bias), y3 = Add(c, x, third.Weight, third.Bias);
        c.Multiply(CollectionsMarshal.AsSpan(c.MatMulJobs));
        c.Tape?.Record(new Entry(c, x, first.Weight, first.Bias, y1));
        c.Tape?.Record(new Entry(c, x, second.Weight, second.Bias, y2));
        c.Tape?.Record(new Entry(c, x, third.Weight, third.Bias, y3));
        if (first.Weight.IsAdapted || second.Weight.IsAdapted || third.Weight.IsAdapted)
            LowRankStep.Apply(c, x, [(first.Weight, first.Bias, y1), (second.Weight, second.Bias, y2), (third.Weight, third.Bias, y3)]);
        return (y1, y2, y3);
    }

    private static Tensor Add(Compute c, Tensor x, Parameter weight, Parameter? bias)
    {
        (int tokens, int outputs) = (x.Shape[0], weight.Shape[0]);
        Tensor y = c.Workspace.F32(tokens, outputs);
        c.MatMulJobs.Add(new MatMulJob
        {
            X = x.F32Pointer,
            LdX = weight.Shape[1],
            Tokens = tokens,
            Weights = weight.Packed(c.Team),
            Bias = bias is null ? null : bias.Vector,
            Y = y.F32Pointer,
            LdY = outputs,
        });
        return y;
    }

    /// <summary>The gradients of a linear layer, given that of its output.</summary>
    public static void Backward(Compute c, Tensor x, Parameter weight, Parameter? bias, Tensor dy)
    {
        (int tokens, int inputs, int outputs) = (x.Shape[0], weight.Shape[1], weight.Shape[0]);
        if (weight.Gradient is { } dw)
            MatMul.WeightGradient(c.Team, dy.F32Pointer, outputs, x.F32Pointer, inputs, tokens, outputs, inputs, dw.F32Pointer, GradientMode.AddTo);
        if (bias?.Gradient is { } db)
            Elementwise.ColumnSums(c.Team, dy.F32Pointer, outputs, tokens, outputs, db.F32Pointer, GradientMode.AddTo);
        if (weight.HasBlocksOnly)
        {
            Tensor fromBlocks = c.Workspace.F32(x.Shape);
            InputGradient(c, weight, dy.F32Pointer, outputs, tokens, fromBlocks.F32Pointer);
            c.AddGradient(x, fromBlocks);
            return;
        }

        Tensor dx = x.Gradient ?? c.Workspace.F32(x.Shape);
        var job = new MatMulJob
        {
            X = dy.F32Pointer,
            LdX = outputs,
            Tokens = tokens,
            Weights = weight.PackedTransposed(c.Team),
            Y = dx.F32Pointer,
            LdY = inputs,
            AddTo = x.Gradient is not null,
        };
        MatMul.Multiply(c.Team, new ReadOnlySpan<MatMulJob>(in job));
        x.Gradient = dx;
    }

    /// <summary><c>dx = dy W</c>: from the transposed matrix, or, where only quantised blocks are held, from a few expanded rows at a time. The bits are the same.</summary>
    /// <param name="c">Context.</param>
    /// <param name="weight">W, [O, K].</param>
    /// <param name="dy">[tokens, O], rows <paramref name="stride"/> floats apart.</param>
    /// <param name="stride">Distance of the rows of <paramref name="dy"/>.</param>
    /// <param name="tokens">Rows.</param>
    /// <param name="dx">[tokens, K].</param>
    public static void InputGradient(Compute c, Parameter weight, float* dy, int stride, int tokens, float* dx)
    {
        int inputs = weight.Shape[1];
        if (!weight.HasBlocksOnly)
        {
            MatMul.Multiply(c.Team, dy, stride, tokens, weight.PackedTransposed(c.Team), null, dx, inputs);
            return;
        }

        PackedMatrix packed = weight.Packed(c.Team);
        Workspace.Mark mark = c.Workspace.Save();
        Tensor scratch = c.Workspace.F32(checked((int)MatMul.InputGradientScratch(packed)));
        MatMul.InputGradient(c.Team, dy, stride, tokens, packed, dx, inputs, scratch.F32Pointer);
        c.Workspace.Release(mark);
    }

    private sealed class Entry(Compute c, Tensor x, Parameter weight, Parameter? bias, Tensor y) : TapeEntry
    {
        public override void Backward()
        {
            if (y.Gradient is { } dy)
                Linear.Backward(c, x, weight, bias, dy);
        }
    }
}
