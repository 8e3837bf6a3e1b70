using Glimmer.Tensors;

namespace Glimmer.Kernels;

/// <summary>Cosines and sines of the rotary angles, one row a position, grown on demand.</summary>
/// <remarks>
/// <c>inv_freq[i] = 1f / (float)Math.Pow(theta, (double)((float)(2i) / dim))</c>; the angle is the fp32 product of position and inv_freq; cosine
/// and sine are those of that fp32 angle, evaluated in fp64 and rounded once. This reproduces the reference's tables: an angle computed in fp64
/// would be off by up to 0.02 at long contexts. Growing replaces the memory, so <see cref="EnsurePositions"/> must not run beside a kernel that reads it.
/// </remarks>
internal sealed unsafe class RopeTable : IDisposable
{
    private readonly float[] _inverseFrequencies;
    private NativeBuffer? _rows;

    /// <summary>Computes the inverse frequencies; rows follow with <see cref="EnsurePositions"/>.</summary>
    /// <param name="theta">Base of the frequencies, <c>rope_theta</c>.</param>
    /// <param name="dim">Rotated dimensions; even, at most 8,192.</param>
    public RopeTable(double theta, int dim)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(dim, 2);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(dim, 8192);
        ArgumentOutOfRangeException.ThrowIfNotEqual(dim % 2, 0, nameof(dim));
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(theta);
        Dim = dim;
        _inverseFrequencies = new float[dim / 2];
        for (int i = 0; i < dim / 2; i++)
            _inverseFrequencies[i] = 1f / (float)Math.Pow(theta, (double)((float)(2 * i) / dim));
    }

    /// <summary>Rotated dimensions.</summary>
    public int Dim { get; }

    /// <summary>Positions that have a row.</summary>
    public int Positions { get; private set; }

    /// <summary>Frequencies in radians per position, [Dim / 2].</summary>
    public ReadOnlySpan<float> InverseFrequencies => _inverseFrequencies;

    /// <summary>Cosines of a position, [Dim / 2]; the sines follow them.</summary>
    public float* Cos(int position)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(position);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(position, Positions);
        return (float*)_rows!.Pointer + (long)position * Dim;
    }

    /// <summary>Sines of a position, [Dim / 2].</summary>
    public float* Sin(int position) => Cos(position) + Dim / 2;

    /// <summary>Makes sure that positions 0 to <paramref name="count"/> - 1 have rows.</summary>
    public void EnsurePositions(int count)
    {
        if (count <= Positions)
            return;
        if (_rows is null || _rows.Bytes < (long)count * Dim * sizeof(float))
        {
            int capacity = (int)Math.Min(int.MaxValue, Math.Max(count, Math.Max(256L, 2L * Positions)));
            var grown = new NativeBuffer((long)capacity * Dim * sizeof(float));
            if (_rows is not null)
            {
                long bytes = (long)Positions * Dim * sizeof(float);
                Buffer.MemoryCopy(_rows.Pointer, grown.Pointer, bytes, bytes);
                _rows.Dispose();
            }

            _rows = grown;
        }

        float* rows = (float*)_rows.Pointer;
        for (int position = Positions; position < count; position++)
            WriteRow(position, rows + (long)position * Dim);
        Positions = count;
    }

    /// <summary>Computes the row of any position: cosines, then sines.</summary>
    public void WriteRow(int position, float* row)
    {
        int half = Dim / 2;
        for (int i = 0; i < half; i++)
        {
            float angle = position * _inverseFrequencies[i];
            (double sin, double cos) = Math.SinCos((double)angle);
            row[i] = (float)cos;
            row[half + i] = (float)sin;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _rows?.Dispose();
        _rows = null;
        Positions = 0;
    }
}
