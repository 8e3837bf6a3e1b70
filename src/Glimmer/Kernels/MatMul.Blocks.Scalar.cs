using Glimmer.Tensors;

namespace Glimmer.Kernels;

internal static unsafe partial class MatMul
{
    /// <summary>
    /// The specification of products with 8-bit activations (docs/adr/0001, rule 2): in each block of 32 columns (16 where the type has a scale for 16)
    /// <c>acc = fma((float)sum_k q_w q_x, d_w * d_x, acc)</c>, then for types with minima <c>acc = fma(m_w, (float)(sum_k q_x) * d_x, acc)</c>; blocks ascend from
    /// <c>acc = +0</c>, and <c>+ bias[o]</c> comes last.
    /// </summary>
    /// <remarks>x, bias and y as in <see cref="Multiply(ThreadTeam, float*, int, int, PackedMatrix, float*, float*, int)"/>; see <see cref="BlockActivations"/>.</remarks>
    internal static void BlockTwin(float* x, int ldx, int tokens, PackedMatrix w, float* bias, float* y, int ldy, int columnsOfScale, bool hasMinimum)
    {
        Span<int> codes = stackalloc int[32], q = stackalloc int[32];
        Span<float> scales = stackalloc float[4];
        for (int t = 0; t < tokens; t++)
        {
            for (int o = 0; o < w.Rows; o++)
            {
                float acc = 0;
                for (int block = 0; block < w.Columns / 32; block++)
                {
                    float d = QuantizeTwin(new ReadOnlySpan<float>(x + (long)t * ldx + block * 32, 32), q);
                    w.ReadBlock(o, block, codes, scales);
                    for (int first = 0; first < 32; first += columnsOfScale)
                    {
                        int sum = 0, total = 0;
                        for (int k = first; k < first + columnsOfScale; k++)
                        {
                            sum += codes[k] * q[k];
                            total += q[k];
                        }

                        acc = MathF.FusedMultiplyAdd(sum, scales[first / 16] * d, acc);
                        if (hasMinimum)
                            acc = MathF.FusedMultiplyAdd(scales[2 + first / 16], total * d, acc);
                    }
                }

                y[(long)t * ldy + o] = bias == null ? acc : acc + bias[o];
            }
        }
    }

    /// <summary>One block of activations: <c>d = max|x| / 127</c> (0 below 2^-100), <c>q</c> = x / d rounded half to even.</summary>
    private static float QuantizeTwin(ReadOnlySpan<float> x, Span<int> q)
    {
        float largest = 0;
        foreach (float value in x)
            largest = MathF.Max(largest, MathF.Abs(value));
        q.Clear();
        if (!float.IsFinite(largest))
            return float.NaN;
        float d = largest / 127;
        if (d < MathF.ScaleB(1, -100))
            return 0;
        float inverse = 1 / d;
        for (int k = 0; k < x.Length; k++)
            q[k] = (int)MathF.Round(x[k] * inverse, MidpointRounding.ToEven);
        return d;
    }
}
