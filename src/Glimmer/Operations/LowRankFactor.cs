using Glimmer.Kernels;
using Glimmer.Tensors;

namespace Glimmer.Operations;

/// <summary>A low-rank addition to a linear layer (LoRA): <c>y += s (x A^T) B^T</c>; the weight itself stays as it is, of any type.</summary>
/// <remarks>
/// <para>Both products are chains along their inner dimension; the sum is <c>fma(v, s, y)</c> after the layer's own output and bias. Hu et al. 2021.</para>
/// <para>With a magnitude m the layer is <c>y = g * (x W^T + s (x A^T) B^T) + bias</c>, <c>g_o = m_o / |V_o|</c>, V = W + s B A, |V_o| the norm of row o, which carries no gradient
/// (DoRA, Liu et al. 2024, section 4.3). It is computed as <c>y += (g - 1) (y - bias) + g s v</c>, so that g = 1 changes nothing.</para>
/// </remarks>
public sealed unsafe class LowRankFactor : IDisposable
{
    private double[]? _squares;     // |W_o|^2
    private int _squaresOf;
    private Tensor? _norms;         // |V_o|
    private Tensor? _gains;         // m_o / |V_o|
    private (int W, int A, int B, int M) _gainsOf;

    /// <summary>Creates a factor; takes ownership of the parameters, which other factors may share.</summary>
    /// <param name="a">A, [r, K].</param>
    /// <param name="b">B, [O, r].</param>
    /// <param name="scale">s.</param>
    /// <param name="magnitude">m of DoRA, [O], or null.</param>
    /// <exception cref="ArgumentException">The shapes do not fit together.</exception>
    public LowRankFactor(Parameter a, Parameter b, float scale, Parameter? magnitude = null)
    {
        ArgumentNullException.ThrowIfNull(a);
        ArgumentNullException.ThrowIfNull(b);
        if (a.Shape.Length != 2 || b.Shape.Length != 2 || a.Shape[0] != b.Shape[1])
            throw new ArgumentException($"{a} and {b} are no factors of one matrix: A must be [r, inputs], B [outputs, r].");
        if (magnitude is not null && (magnitude.Shape.Length != 1 || magnitude.Shape[0] != b.Shape[0]))
            throw new ArgumentException($"The magnitude {magnitude} does not fit {b}: it must have one number an output.");
        (A, B, Scale, Magnitude) = (a, b, scale, magnitude);
    }

    /// <summary>A, [r, K].</summary>
    public Parameter A { get; }

    /// <summary>B, [O, r].</summary>
    public Parameter B { get; }

    /// <summary>s: alpha / r, or alpha / sqrt(r) for rsLoRA.</summary>
    public float Scale { get; }

    /// <summary>m of DoRA, [O]; null for plain LoRA.</summary>
    public Parameter? Magnitude { get; }

    /// <summary>Share of the inputs of A that is zeroed in training steps; what is left is divided by one minus it.</summary>
    internal float Dropout { get; init; }

    /// <summary>Number of the layer in the draws of dropout.</summary>
    internal int Number { get; init; }

    /// <summary>Adds to a layer's output, in place, and records it on the tape.</summary>
    /// <param name="c">Context with a tape.</param>
    /// <param name="x">The layer's input, [T, K].</param>
    /// <param name="weight">Its matrix.</param>
    /// <param name="bias">Its bias or null.</param>
    /// <param name="y">Its output, [T, O].</param>
    internal void AddTo(Compute c, Tensor x, Parameter weight, Parameter? bias, Tensor y)
    {
        Tensor u = Linear.Forward(c, Dropped(c, x), A);
        Tensor v = Linear.Forward(c, u, B);
        Tensor? sum = null; // x W^T + s v
        if (Magnitude is not null)
        {
            sum = c.Workspace.F32(y.Shape);
            y.CopyTo(sum);
            Subtract(bias, sum);
            Elementwise.AddScaled(c.Team, v.F32Pointer, Scale, sum.Count, sum.F32Pointer);
        }

        Add(c, v.F32Pointer, weight, bias, y.Shape[0], y.F32Pointer);
        c.Tape?.Record(new Entry(c, this, v, y, sum));
    }

    /// <summary>The last step: adds <c>v = (x A^T) B^T</c> to rows of a layer's output.</summary>
    /// <param name="c">Context.</param>
    /// <param name="v">[rows, O].</param>
    /// <param name="weight">The layer's matrix.</param>
    /// <param name="bias">Its bias or null.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="y">The layer's output with its bias, [rows, O].</param>
    internal void Add(Compute c, float* v, Parameter weight, Parameter? bias, int rows, float* y)
    {
        int outputs = B.Shape[0];
        if (Magnitude is null)
        {
            Elementwise.AddScaled(c.Team, v, Scale, (long)rows * outputs, y);
            return;
        }

        UpdateGains(c, weight);
        float* gains = _gains!.F32Pointer;
        float* offset = bias is null ? null : bias.Vector;
        for (int t = 0; t < rows; t++, y += outputs, v += outputs)
        {
            for (int o = 0; o < outputs; o++)
            {
                float plain = offset == null ? y[o] : y[o] - offset[o];
                y[o] = MathF.FusedMultiplyAdd(gains[o] * Scale, v[o], MathF.FusedMultiplyAdd(gains[o] - 1, plain, y[o]));
            }
        }
    }

    /// <summary>Adds <c>s B A</c> to a matrix in fp32 and, with a magnitude, scales its rows to it.</summary>
    /// <param name="c">Context.</param>
    /// <param name="weight">The layer's matrix; its values become fp32.</param>
    internal void MergeInto(Compute c, Parameter weight)
    {
        if (Magnitude is not null)
            UpdateGains(c, weight);
        Span<float> w = weight.EnsureValue().F32;
        ReadOnlySpan<float> a = A.Value!.F32, b = B.Value!.F32, gains = _gains is null ? default : _gains.F32;
        (int rank, int inputs) = (A.Shape[0], weight.Shape[1]);
        for (int o = 0; o < weight.Shape[0]; o++)
        {
            for (int k = 0; k < inputs; k++)
            {
                float sum = 0;
                for (int r = 0; r < rank; r++)
                    sum = MathF.FusedMultiplyAdd(b[(o * rank) + r], a[(r * inputs) + k], sum);
                sum = MathF.FusedMultiplyAdd(sum, Scale, w[(o * inputs) + k]);
                w[(o * inputs) + k] = gains.IsEmpty ? sum : gains[o] * sum;
            }
        }

        weight.Touch();
    }

    /// <summary>Sets the magnitude to the norms of the rows, with which a new addition changes nothing.</summary>
    internal void InitializeMagnitude(Compute c, Parameter weight)
    {
        UpdateGains(c, weight);
        _norms!.CopyTo(Magnitude!.Value!);
        Magnitude.Touch();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        A.Dispose();
        B.Dispose();
        Magnitude?.Dispose();
        _norms?.Dispose();
        _gains?.Dispose();
    }

    // |W_o + s B_o A|^2 = |W_o|^2 + 2 s B_o (A W_o^T) + s^2 B_o (A A^T) B_o^T in fp64: W is read once, of any type.
    private void UpdateGains(Compute c, Parameter weight)
    {
        var versions = (weight.Version, A.Version, B.Version, Magnitude!.Version);
        if (_gains is not null && _gainsOf == versions)
            return;
        (int rank, int inputs, int outputs) = (A.Shape[0], A.Shape[1], B.Shape[0]);
        if (_squares is null || _squaresOf != weight.Version)
            (_squares, _squaresOf) = (Squares(weight.Packed(c.Team)), weight.Version);
        Workspace.Mark mark = c.Workspace.Save();
        Tensor products = c.Workspace.F32(rank, outputs), inner = c.Workspace.F32(rank, rank);
        MatMul.Multiply(c.Team, A.Value!.F32Pointer, inputs, rank, weight.Packed(c.Team), null, products.F32Pointer, outputs);
        MatMul.Multiply(c.Team, A.Value!.F32Pointer, inputs, rank, A.Packed(c.Team), null, inner.F32Pointer, rank);
        _gains ??= Tensor.Allocate(DType.F32, outputs);
        _norms ??= Tensor.Allocate(DType.F32, outputs);
        ReadOnlySpan<float> b = B.Value!.F32, aw = products.F32, aa = inner.F32;
        for (int o = 0; o < outputs; o++)
        {
            ReadOnlySpan<float> row = b.Slice(o * rank, rank);
            double sum = _squares[o];
            for (int i = 0; i < rank; i++)
            {
                double quadratic = 0;
                for (int j = 0; j < rank; j++)
                    quadratic += (double)aa[(i * rank) + j] * row[j];
                sum += (double)Scale * row[i] * ((2.0 * aw[(i * outputs) + o]) + (Scale * quadratic));
            }

            _norms.F32[o] = (float)Math.Sqrt(Math.Max(sum, 0));
            _gains.F32[o] = Magnitude.Value!.F32[o] / _norms.F32[o];
        }

        c.Workspace.Release(mark);
        _gainsOf = versions;
    }

    private static double[] Squares(PackedMatrix weight)
    {
        var squares = new double[weight.Rows];
        var row = new float[weight.Columns];
        for (int o = 0; o < squares.Length; o++)
        {
            weight.ReadRow(o, row);
            foreach (float value in row)
                squares[o] += (double)value * value;
        }

        return squares;
    }

    private static void Subtract(Parameter? bias, Tensor rows)
    {
        if (bias is null)
            return;
        Span<float> values = rows.F32;
        ReadOnlySpan<float> offset = bias.Value!.F32;
        for (int i = 0; i < values.Length; i++)
            values[i] -= offset[i % offset.Length];
    }

    private Tensor Dropped(Compute c, Tensor x)
    {
        if (Dropout == 0 || c.Dropout is not { } draws)
            return x;
        Tensor y = c.Workspace.F32(x.Shape);
        Drop(draws, x, y);
        c.Tape?.Record(new DropEntry(c, this, draws, x, y));
        return y;
    }

    private void Drop(DropoutDraws draws, Tensor x, Tensor y)
    {
        (int rows, int columns) = (x.Shape[0], x.Shape[1]);
        float kept = 1 / (1 - Dropout);
        for (int t = 0; t < rows; t++)
        {
            ulong key = draws.Key(Number, t);
            float* source = x.F32Pointer + ((long)t * columns), target = y.F32Pointer + ((long)t * columns);
            for (int i = 0; i < columns; i++)
                target[i] = DropoutDraws.Uniform(key, i) < Dropout ? 0 : source[i] * kept;
        }
    }

    private sealed class DropEntry(Compute c, LowRankFactor factor, DropoutDraws draws, Tensor x, Tensor y) : TapeEntry
    {
        public override void Backward()
        {
            if (y.Gradient is not { } dy)
                return;
            Tensor dx = c.Workspace.F32(x.Shape);
            factor.Drop(draws, dy, dx);
            c.AddGradient(x, dx);
        }
    }

    // Runs before the layer's own entry, which was recorded earlier, and leaves the gradient of y to it.
    private sealed class Entry(Compute c, LowRankFactor factor, Tensor v, Tensor y, Tensor? sum) : TapeEntry
    {
        public override void Backward()
        {
            if (y.Gradient is not { } dy)
                return;
            if (sum is not null)
            {
                // Others may hold this gradient too; the layer's own entry takes the scaled one.
                Tensor scaled = c.Workspace.F32(dy.Shape);
                dy.CopyTo(scaled);
                Scale(scaled, sum);
                y.Gradient = dy = scaled;
            }

            Tensor dv = c.Workspace.Zeros(v.Shape);
            Elementwise.AddScaled(c.Team, dy.F32Pointer, factor.Scale, dv.Count, dv.F32Pointer);
            c.AddGradient(v, dv);
        }

        // dm_o += sum_t dy_to sum_to / |V_o|; dy <- g dy.
        private void Scale(Tensor dy, Tensor sum)
        {
            (int tokens, int outputs) = (dy.Shape[0], dy.Shape[1]);
            float* gains = factor._gains!.F32Pointer;
            float* norms = factor._norms!.F32Pointer;
            float* magnitude = factor.Magnitude!.Gradient is { } gradient ? gradient.F32Pointer : null;
            for (int o = 0; o < outputs; o++)
            {
                float chain = 0;
                for (int t = 0; t < tokens; t++)
                {
                    long i = ((long)t * outputs) + o;
                    chain = MathF.FusedMultiplyAdd(dy.F32Pointer[i], sum.F32Pointer[i], chain);
                    dy.F32Pointer[i] *= gains[o];
                }

                if (magnitude != null)
                    magnitude[o] += chain / norms[o];
            }
        }
    }
}
