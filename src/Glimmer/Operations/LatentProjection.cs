using Glimmer.Kernels;
using Glimmer.Quantization;
using Glimmer.Tensors;

namespace Glimmer.Operations;

/// <summary>
/// <c>kv_b_proj</c> of an MLA layer in absorbed form. Its rows are grouped a head as <c>[nope key rows ; value rows]</c>, each of the latent's width:
/// <c>W_UK</c> [nope, r] turns queries into latent space, <c>W_UV</c> [v, r] turns latent context into values.
/// </summary>
internal sealed unsafe class LatentProjection(Parameter weight, int heads, int nopeDim, int valueDim) : IDisposable
{
    private readonly PackedMatrix?[] _keyUp = new PackedMatrix?[heads];           // outputs r, inputs nope
    private readonly PackedMatrix?[] _keyUpTransposed = new PackedMatrix?[heads]; // outputs nope, inputs r
    private readonly PackedMatrix?[] _valueUp = new PackedMatrix?[heads];         // outputs v, inputs r
    private readonly PackedMatrix?[] _valueUpTransposed = new PackedMatrix?[heads]; // outputs r, inputs v
    private readonly MatMulJob[] _jobs = new MatMulJob[heads];
    private readonly WeightGradientJob[] _gradientJobs = new WeightGradientJob[heads];
    private readonly Dictionary<LowRankFactor, LatentProjection> _added = []; // B of each factor, whose rows are grouped as those of the weight
    private int _version;

    /// <summary>r: width of the latent.</summary>
    public int Rank { get; } = weight.Shape[1];

    private int HeadRows => nopeDim + valueDim;

    /// <summary><c>y_h[t] = x_h[t] W_UK_h</c>: unrotated query parts into latent space.</summary>
    /// <param name="c">Context.</param>
    /// <param name="x">First head of the first token; heads <paramref name="headStrideX"/> apart, tokens H * headStrideX apart.</param>
    /// <param name="headStrideX">Floats from head to head.</param>
    /// <param name="tokens">T.</param>
    /// <param name="y">Likewise.</param>
    /// <param name="headStrideY">Floats from head to head.</param>
    public void AbsorbKeys(Compute c, float* x, int headStrideX, int tokens, float* y, int headStrideY)
    {
        Multiply(c, _keyUp, x, headStrideX, tokens, y, headStrideY);
        if (!weight.IsAdapted)
            return;
        foreach (AdapterRun run in c.AdapterRuns ?? [new AdapterRun(0, 0, tokens)])
        {
            if (weight.AdaptationOf(run.Adapter)?.Factor is not { } factor)
                continue;
            // s (x B_UK_h) A
            (int rows, int rank) = (run.Count * heads, factor.A.Shape[0]);
            Workspace.Mark mark = c.Workspace.Save();
            Tensor inner = c.Workspace.F32(rows, rank), added = c.Workspace.F32(rows, Rank);
            Added(factor).AbsorbKeys(c, x + ((long)run.First * heads * headStrideX), headStrideX, run.Count, inner.F32Pointer, rank);
            MatMul.Multiply(c.Team, inner.F32Pointer, rank, rows, factor.A.PackedTransposed(c.Team), null, added.F32Pointer, Rank);
            AddScaled(added, factor.Scale, y + ((long)run.First * heads * headStrideY), headStrideY);
            c.Workspace.Release(mark);
        }
    }

    /// <summary><c>y_h[t] = W_UV_h x_h[t]</c>: latent context into values.</summary>
    public void ProjectValues(Compute c, float* x, int headStrideX, int tokens, float* y, int headStrideY)
    {
        Multiply(c, _valueUp, x, headStrideX, tokens, y, headStrideY);
        if (!weight.IsAdapted)
            return;
        foreach (AdapterRun run in c.AdapterRuns ?? [new AdapterRun(0, 0, tokens)])
        {
            if (weight.AdaptationOf(run.Adapter)?.Factor is not { } factor)
                continue;
            // s B_UV_h (A x)
            (int rows, int rank) = (run.Count * heads, factor.A.Shape[0]);
            Workspace.Mark mark = c.Workspace.Save();
            Tensor inner = c.Workspace.F32(rows, rank), added = c.Workspace.F32(rows, valueDim);
            MatMul.Multiply(c.Team, x + ((long)run.First * heads * headStrideX), headStrideX, rows, factor.A.Packed(c.Team), null, inner.F32Pointer, rank);
            Added(factor).ProjectValues(c, inner.F32Pointer, rank, run.Count, added.F32Pointer, valueDim);
            AddScaled(added, factor.Scale, y + ((long)run.First * heads * headStrideY), headStrideY);
            c.Workspace.Release(mark);
        }
    }

    /// <summary>Gradients of <see cref="AbsorbKeys"/>: dx from dy, and W_UK's share of the parameter's gradient.</summary>
    public void AbsorbKeysBackward(Compute c, float* x, int headStrideX, int tokens, float* dy, int headStrideY, float* dx, int headStrideDx)
    {
        Multiply(c, _keyUpTransposed, dy, headStrideY, tokens, dx, headStrideDx);
        if (weight.Adapter is { } factor)
            AbsorbKeysBackward(c, factor, x, headStrideX, tokens, dy, headStrideY, dx, headStrideDx);
        if (weight.Gradient is not { } gradient)
            return;
        // dW_UK[n, r] = sum_t x[t, n] dy[t, r]
        for (int h = 0; h < heads; h++)
        {
            float* rows = gradient.F32Pointer + (long)h * HeadRows * Rank;
            _gradientJobs[h] = new WeightGradientJob
            {
                DY = x + h * headStrideX,
                LdDY = heads * headStrideX,
                X = dy + h * headStrideY,
                LdX = heads * headStrideY,
                Tokens = tokens,
                Outputs = nopeDim,
                Columns = Rank,
                DW = rows,
                Mode = GradientMode.AddTo,
            };
        }

        MatMul.WeightGradient(c.Team, _gradientJobs);
    }

    /// <summary>Gradients of <see cref="ProjectValues"/>: dx from dy, and W_UV's share of the parameter's gradient.</summary>
    public void ProjectValuesBackward(Compute c, float* x, int headStrideX, int tokens, float* dy, int headStrideY, float* dx, int headStrideDx)
    {
        Multiply(c, _valueUpTransposed, dy, headStrideY, tokens, dx, headStrideDx);
        if (weight.Adapter is { } factor)
            ProjectValuesBackward(c, factor, x, headStrideX, tokens, dy, headStrideY, dx, headStrideDx);
        if (weight.Gradient is not { } gradient)
            return;
        // dW_UV[v, r] = sum_t dy[t, v] x[t, r]
        for (int h = 0; h < heads; h++)
        {
            float* rows = gradient.F32Pointer + ((long)h * HeadRows + nopeDim) * Rank;
            _gradientJobs[h] = new WeightGradientJob
            {
                DY = dy + h * headStrideY,
                LdDY = heads * headStrideY,
                X = x + h * headStrideX,
                LdX = heads * headStrideX,
                Tokens = tokens,
                Outputs = valueDim,
                Columns = Rank,
                DW = rows,
                Mode = GradientMode.AddTo,
            };
        }

        MatMul.WeightGradient(c.Team, _gradientJobs);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Clear();
        foreach (LatentProjection added in _added.Values)
            added.Dispose();
        _added.Clear();
    }

    private void Clear()
    {
        foreach (PackedMatrix?[] form in (ReadOnlySpan<PackedMatrix?[]>)[_keyUp, _keyUpTransposed, _valueUp, _valueUpTransposed])
        {
            foreach (PackedMatrix? head in form)
                head?.Dispose();
            Array.Clear(form);
        }
    }

    // Of y += s (x B_UK) A.
    private void AbsorbKeysBackward(Compute c, LowRankFactor factor, float* x, int headStrideX, int tokens, float* dy, int headStrideY, float* dx, int headStrideDx)
    {
        (int rows, int rank) = (tokens * heads, factor.A.Shape[0]);
        Workspace.Mark mark = c.Workspace.Save();
        Tensor inner = c.Workspace.F32(rows, rank), dinner = c.Workspace.F32(rows, rank), part = c.Workspace.F32(rows, nopeDim);
        MatMul.Multiply(c.Team, dy, headStrideY, rows, factor.A.Packed(c.Team), null, dinner.F32Pointer, rank);
        Scale(dinner, factor.Scale);
        Added(factor).AbsorbKeysBackward(c, x, headStrideX, tokens, dinner.F32Pointer, rank, part.F32Pointer, nopeDim);
        AddScaled(part, 1, dx, headStrideDx);
        if (factor.A.Gradient is { } da)
        {
            Added(factor).AbsorbKeys(c, x, headStrideX, tokens, inner.F32Pointer, rank);
            Scale(inner, factor.Scale);
            MatMul.WeightGradient(c.Team, inner.F32Pointer, rank, dy, headStrideY, rows, rank, Rank, da.F32Pointer, GradientMode.AddTo);
        }

        c.Workspace.Release(mark);
    }

    // Of y += s B_UV (A x).
    private void ProjectValuesBackward(Compute c, LowRankFactor factor, float* x, int headStrideX, int tokens, float* dy, int headStrideY, float* dx, int headStrideDx)
    {
        (int rows, int rank) = (tokens * heads, factor.A.Shape[0]);
        Workspace.Mark mark = c.Workspace.Save();
        Tensor inner = c.Workspace.F32(rows, rank), dinner = c.Workspace.F32(rows, rank), dv = c.Workspace.Zeros(rows, valueDim), part = c.Workspace.F32(rows, Rank);
        MatMul.Multiply(c.Team, x, headStrideX, rows, factor.A.Packed(c.Team), null, inner.F32Pointer, rank);
        for (int row = 0; row < rows; row++)
        {
            for (int i = 0; i < valueDim; i++)
                dv.F32Pointer[((long)row * valueDim) + i] = factor.Scale * dy[((long)row * headStrideY) + i];
        }

        Added(factor).ProjectValuesBackward(c, inner.F32Pointer, rank, tokens, dv.F32Pointer, valueDim, dinner.F32Pointer, rank);
        if (factor.A.Gradient is { } da)
            MatMul.WeightGradient(c.Team, dinner.F32Pointer, rank, x, headStrideX, rows, rank, Rank, da.F32Pointer, GradientMode.AddTo);
        MatMul.Multiply(c.Team, dinner.F32Pointer, rank, rows, factor.A.PackedTransposed(c.Team), null, part.F32Pointer, Rank);
        AddScaled(part, 1, dx, headStrideDx);
        c.Workspace.Release(mark);
    }

    private LatentProjection Added(LowRankFactor factor)
    {
        if (!_added.TryGetValue(factor, out LatentProjection? added))
            _added.Add(factor, added = new LatentProjection(factor.B, heads, nopeDim, valueDim));
        return added;
    }

    // y += s x for rows of one width whose targets are further apart.
    private static void AddScaled(Tensor x, float scale, float* y, int stride)
    {
        (int rows, int columns) = (x.Shape[0], x.Shape[1]);
        for (int row = 0; row < rows; row++)
            Elementwise.AddScaled(null, x.F32Pointer + ((long)row * columns), scale, columns, y + ((long)row * stride));
    }

    private static void Scale(Tensor x, float scale)
    {
        foreach (ref float value in x.F32)
            value *= scale;
    }

    private void Multiply(Compute c, PackedMatrix?[] form, float* x, int headStrideX, int tokens, float* y, int headStrideY)
    {
        if (_version != weight.Version)
        {
            Clear();
            _version = weight.Version;
        }

        for (int h = 0; h < heads; h++)
        {
            PackedMatrix packed = form[h] ??= Pack(c.Team, form, h);
            _jobs[h] = new MatMulJob
            {
                X = x + h * headStrideX,
                LdX = heads * headStrideX,
                Tokens = tokens,
                Weights = packed,
                Y = y + h * headStrideY,
                LdY = heads * headStrideY,
            };
        }

        MatMul.Multiply(c.Team, _jobs);
    }

    // A head's value rows are panels of the whole matrix where sizes allow it; the other forms are made from its numbers, in bf16 where that loses nothing.
    private PackedMatrix Pack(ThreadTeam team, PackedMatrix?[] form, int head)
    {
        PackedMatrix whole = weight.Packed(team);
        int first = head * HeadRows, firstValue = first + nopeDim;
        if (form == _valueUp && firstValue % PackedMatrix.PanelRows == 0 && valueDim % PackedMatrix.PanelRows == 0)
        {
            PackedMatrix view = PackedWeights.Create(whole.Type, valueDim, Rank);
            view.Attach(whole.Data + firstValue / PackedMatrix.PanelRows * whole.PanelBytes, whole);
            return view;
        }

        using Tensor numbers = Tensor.Allocate(DType.F32, HeadRows, Rank);
        for (int r = 0; r < HeadRows; r++)
            whole.ReadRow(first + r, new Span<float>(numbers.F32Pointer + (long)r * Rank, Rank));
        var keys = new RowSource(numbers.Data, DType.F32, nopeDim, (long)Rank * sizeof(float));
        var values = new RowSource((byte*)(numbers.F32Pointer + (long)nopeDim * Rank), DType.F32, valueDim, (long)Rank * sizeof(float));
        return form == _keyUp ? MatrixPacker.PackTransposed(team, New(whole, Rank, nopeDim), [keys])
            : form == _keyUpTransposed ? MatrixPacker.Pack(team, New(whole, nopeDim, Rank), [keys])
            : form == _valueUp ? MatrixPacker.Pack(team, New(whole, valueDim, Rank), [values])
            : MatrixPacker.PackTransposed(team, New(whole, Rank, valueDim), [values]);
    }

    private static PackedMatrix New(PackedMatrix whole, int rows, int columns) =>
        whole.Type == DType.BF16 ? new PackedBF16(rows, columns) : new PackedF32(rows, columns);
}
