using Glimmer.Kernels;
using Glimmer.Quantization;
using Glimmer.Tensors;

namespace Glimmer.Operations;

/// <summary>Index keys of DSA on their way into the cache: as they are in caches of F32, as Q8_0 blocks (<see cref="IndexPages"/>) in those of shorter types.</summary>
internal static unsafe class IndexKeys
{
    static IndexKeys() => BlockKernel.Register<Q8_0Blocks>();

    /// <summary>Stores the index keys of all tokens of a batch.</summary>
    /// <param name="c">Context.</param>
    /// <param name="batch">Which token belongs to which sequence.</param>
    /// <param name="slot">Cache slot of the index keys.</param>
    /// <param name="keys">[T, dim].</param>
    /// <param name="asBytes">Whether they are kept as bytes.</param>
    /// <returns>The sequences with their pages.</returns>
    public static ReadOnlySpan<AttentionSequence> Write(Compute c, Batch batch, int slot, Tensor keys, out bool asBytes)
    {
        int dim = keys.Shape[1];
        asBytes = CausalAttention.PageType(batch) != KeyValueType.F32;
        var layout = new KeyValueLayout(1, dim, 0);
        ReadOnlySpan<AttentionSequence> sequences = CausalAttention.Sequences(c, batch, slot, layout);
        if (asBytes)
            WriteBytes(sequences, keys.F32Pointer, dim, dim);
        else
            layout.Write(c.Team, sequences, keys.F32Pointer, dim, null, 0);
        return sequences;
    }

    /// <summary>Stores keys as bytes.</summary>
    /// <param name="sequences">Which tokens belong to which pages.</param>
    /// <param name="keys">Keys, token t at <c>keys + t * stride</c>.</param>
    /// <param name="stride">Floats from one token to the next.</param>
    /// <param name="dim">Width of a key.</param>
    /// <exception cref="ArithmeticException">A key is not finite.</exception>
    public static void WriteBytes(ReadOnlySpan<AttentionSequence> sequences, float* keys, int stride, int dim)
    {
        int columns = IndexPages.Columns(dim);
        Span<float> row = stackalloc float[columns];
        Span<byte> blocks = stackalloc byte[(int)DType.Q8_0.ByteSize(columns)];
        row[dim..].Clear();
        fixed (byte* source = blocks)
        {
            foreach (AttentionSequence sequence in sequences)
            {
                for (int t = 0; t < sequence.Tokens; t++)
                {
                    int position = sequence.FirstPosition + t;
                    new ReadOnlySpan<float>(keys + ((long)(sequence.FirstToken + t) * stride), dim).CopyTo(row);
                    Q8_0.Quantize(row, blocks);
                    if (!IndexPages.Write(source, dim, (byte*)sequence.Pages[position / KeyValueLayout.PagePositions], position % KeyValueLayout.PagePositions))
                        throw new ArithmeticException($"The index key of position {position} is not finite or too large for 8 bits with an fp16 scale. The weights or the activations before it are broken.");
                }
            }
        }
    }
}
