using Glimmer.Kernels;
using Glimmer.Tensors;

namespace Glimmer.Operations;

/// <summary>Rotary position embedding of a model: its angles and which elements form a pair.</summary>
/// <param name="theta">Base of the frequencies, <c>rope_theta</c>.</param>
/// <param name="dim">Rotated dimensions of a head.</param>
/// <param name="pairing">Half-split (glm4_moe) or interleaved (MLA, indexer).</param>
internal sealed unsafe class Rotation(double theta, int dim, RopePairing pairing) : IDisposable
{
    private readonly RopeTable _table = new(theta, dim);

    /// <summary>Frequencies in radians per position, [dim / 2].</summary>
    public ReadOnlySpan<float> InverseFrequencies => _table.InverseFrequencies;

    /// <summary>Makes sure that every position of a batch has its angles.</summary>
    public void EnsurePositions(Batch batch)
    {
        foreach (BatchSlice slice in batch.Slices)
            _table.EnsurePositions(slice.FirstPosition + slice.Count);
    }

    /// <summary>Rotates the first dimensions of every head in place; so is the gradient on the way back.</summary>
    /// <param name="c">Context.</param>
    /// <param name="x">[T, H * Dh], not used unrotated by anything else.</param>
    /// <param name="headDim">Dh.</param>
    /// <param name="positions">Position of each token, I32 [T].</param>
    public void Forward(Compute c, Tensor x, int headDim, Tensor positions)
    {
        Apply(c, positions, x.F32Pointer, x.Shape[1], x.Shape[1] / headDim, headDim);
        c.Tape?.Record(new Entry(c, this, x, headDim, positions));
    }

    /// <summary>Rotates strided heads in place.</summary>
    /// <param name="c">Context.</param>
    /// <param name="positions">Position of each token, I32 [T].</param>
    /// <param name="x">First rotated element of the first head of the first token.</param>
    /// <param name="tokenStride">Floats from token to token.</param>
    /// <param name="heads">Heads.</param>
    /// <param name="headStride">Floats from head to head.</param>
    /// <param name="inverse">Whether to rotate back.</param>
    public void Apply(Compute c, Tensor positions, float* x, int tokenStride, int heads, int headStride, bool inverse = false) =>
        Rope.Apply(c.Team, _table, (int*)positions.Data, (int)positions.Count, x, tokenStride, heads, headStride, pairing, inverse);

    public void Dispose() => _table.Dispose();

    private sealed class Entry(Compute c, Rotation rotation, Tensor x, int headDim, Tensor positions) : TapeEntry
    {
        // A rotation is orthogonal: the gradient rotates by the opposite angle.
        public override void Backward()
        {
            if (x.Gradient is { } dx)
                rotation.Apply(c, positions, dx.F32Pointer, dx.Shape[1], dx.Shape[1] / headDim, headDim, inverse: true);
        }
    }
}
