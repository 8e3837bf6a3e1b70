using Glimmer.Tensors;

namespace Glimmer.Operations;

/// <summary>Choosing and joining rows of activations.</summary>
internal static unsafe class Rows
{
    /// <summary>Copies the rows with the given indices: <c>y[r] = x[indices[r]]</c>.</summary>
    /// <param name="c">Context.</param>
    /// <param name="x">[T, D].</param>
    /// <param name="indices">Row numbers, [R].</param>
    /// <returns>[R, D].</returns>
    public static Tensor Gather(Compute c, Tensor x, ReadOnlySpan<int> indices)
    {
        int dim = x.Shape[1];
        Tensor y = c.Workspace.F32(indices.Length, dim);
        for (int r = 0; r < indices.Length; r++)
            Row(x, indices[r]).CopyTo(Row(y, r));
        c.Tape?.Record(new GatherEntry(c, x, indices.ToArray(), y));
        return y;
    }

    /// <summary>Joins two matrices side by side: <c>y[t] = [a[t] ; b[t]]</c>.</summary>
    /// <param name="c">Context.</param>
    /// <param name="a">[T, A].</param>
    /// <param name="b">[T, B].</param>
    /// <returns>[T, A + B].</returns>
    public static Tensor Concatenate(Compute c, Tensor a, Tensor b)
    {
        (int rows, int widthA, int widthB) = (a.Shape[0], a.Shape[1], b.Shape[1]);
        Tensor y = c.Workspace.F32(rows, widthA + widthB);
        for (int t = 0; t < rows; t++)
        {
            Row(a, t).CopyTo(Row(y, t));
            Row(b, t).CopyTo(Row(y, t)[widthA..]);
        }

        c.Tape?.Record(new ConcatenateEntry(c, a, b, y));
        return y;
    }

    private static Span<float> Row(Tensor x, int index) => new(x.F32Pointer + (long)index * x.Shape[1], x.Shape[1]);

    private sealed class GatherEntry(Compute c, Tensor x, int[] indices, Tensor y) : TapeEntry
    {
        // Rows that were chosen more than once add up in the order of the choice.
        public override void Backward()
        {
            if (y.Gradient is not { } dy)
                return;
            Tensor dx = c.Workspace.Zeros(x.Shape);
            for (int r = 0; r < indices.Length; r++)
            {
                Span<float> target = Row(dx, indices[r]);
                Span<float> source = Row(dy, r);
                for (int i = 0; i < target.Length; i++)
                    target[i] += source[i];
            }

            c.AddGradient(x, dx);
        }
    }

    private sealed class ConcatenateEntry(Compute c, Tensor a, Tensor b, Tensor y) : TapeEntry
    {
        public override void Backward()
        {
            if (y.Gradient is not { } dy)
                return;
            Tensor da = c.Workspace.F32(a.Shape);
            Tensor db = c.Workspace.F32(b.Shape);
            for (int t = 0; t < a.Shape[0]; t++)
            {
                Span<float> row = Row(dy, t);
                row[..a.Shape[1]].CopyTo(Row(da, t));
                row[a.Shape[1]..].CopyTo(Row(db, t));
            }

            c.AddGradient(a, da);
            c.AddGradient(b, db);
        }
    }
}
