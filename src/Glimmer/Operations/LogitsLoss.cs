using Glimmer.Kernels;
using Glimmer.Tensors;

namespace Glimmer.Operations;

/// <summary>A loss that is a sum over rows of logits, and its gradient.</summary>
internal abstract class RowLoss
{
    /// <summary>Rows that are computed together follow.</summary>
    /// <param name="rows">Their numbers.</param>
    public virtual void Begin(ReadOnlySpan<int> rows)
    {
    }

    /// <summary>The loss of one row.</summary>
    /// <param name="index">Its index in the list given to <see cref="Begin"/>.</param>
    /// <param name="row">Its number.</param>
    /// <param name="logits">[V].</param>
    /// <param name="gradient">The gradient is added, [V].</param>
    public abstract double Of(int index, int row, ReadOnlySpan<float> logits, Span<float> gradient);
}

/// <summary>Output matrix and any loss of its logits in one operation that never holds the logits of more than a chunk of rows.</summary>
internal static unsafe class LogitsLoss
{
    private const long ChunkFloats = 8L << 20;

    /// <summary>Sums the losses of some rows.</summary>
    /// <param name="c">Context. With a tape the gradients are computed in the same sweep: that of the matrix is added right here, that of <paramref name="h"/> is passed on by the tape.</param>
    /// <param name="h">Hidden states after the final norm, [T, D].</param>
    /// <param name="head">Output matrix, [V, D].</param>
    /// <param name="rows">Rows with a loss, each at most once.</param>
    /// <param name="loss">The loss.</param>
    /// <returns>The sum in fp64, in the order of the rows.</returns>
    public static double Forward(Compute c, Tensor h, Parameter head, ReadOnlySpan<int> rows, RowLoss loss)
    {
        head = head.InUse(c);
        (int dim, int vocabulary) = (h.Shape[1], head.AllRows);
        Tape? tape = c.Tape;
        Tensor? dh = tape is null ? null : c.Workspace.Zeros(h.Shape);
        Workspace.Mark mark = c.Workspace.Save();
        int chunk = (int)Math.Clamp(ChunkFloats / vocabulary, 16, 256);
        Tensor x = c.Workspace.F32(chunk, dim), dx = c.Workspace.F32(chunk, dim);
        Tensor logits = c.Workspace.F32(chunk, vocabulary), gradient = c.Workspace.F32(chunk, vocabulary);
        (Tensor? Own, Tensor? Added) gradients = tape is null ? (null, null) : (Zeros(c, head), Zeros(c, head.AddedRows));
        double total = 0;
        for (int first = 0; first < rows.Length; first += chunk)
        {
            ReadOnlySpan<int> part = rows.Slice(first, Math.Min(chunk, rows.Length - first));
            for (int i = 0; i < part.Length; i++)
                new ReadOnlySpan<float>(h.F32Pointer + ((long)part[i] * dim), dim).CopyTo(new Span<float>(x.F32Pointer + ((long)i * dim), dim));
            OutputProduct.Multiply(c, x.F32Pointer, part.Length, head, logits.F32Pointer);
            gradient.Clear();
            loss.Begin(part);
            for (int i = 0; i < part.Length; i++)
            {
                long at = (long)i * vocabulary;
                total += loss.Of(i, part[i], new ReadOnlySpan<float>(logits.F32Pointer + at, vocabulary), new Span<float>(gradient.F32Pointer + at, vocabulary));
            }

            if (dh is null)
                continue;
            OutputProduct.Backward(c, x.F32Pointer, part.Length, head, gradient.F32Pointer, dx.F32Pointer, gradients);
            for (int i = 0; i < part.Length; i++)
                new ReadOnlySpan<float>(dx.F32Pointer + ((long)i * dim), dim).CopyTo(new Span<float>(dh.F32Pointer + ((long)part[i] * dim), dim));
        }

        Add(c, head, gradients.Own);
        Add(c, head.AddedRows, gradients.Added);
        c.Workspace.Release(mark);
        tape?.Record(new Entry(c, h, dh!));
        return total;
    }

    private static Tensor? Zeros(Compute c, Parameter? weight) => weight?.Gradient is null ? null : c.Workspace.Zeros(weight.Shape);

    private static void Add(Compute c, Parameter? weight, Tensor? gradient)
    {
        if (gradient is not null)
            Elementwise.Add(c.Team, weight!.Gradient!.F32Pointer, gradient.F32Pointer, gradient.Count, weight.Gradient!.F32Pointer);
    }

    private sealed class Entry(Compute c, Tensor h, Tensor dh) : TapeEntry
    {
        public override void Backward() => c.AddGradient(h, dh);
    }
}
