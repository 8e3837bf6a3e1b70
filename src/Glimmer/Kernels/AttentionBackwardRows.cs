using System.Runtime.CompilerServices;
using static Glimmer.Kernels.AttentionBackward;

namespace Glimmer.Kernels;

/// <summary>What dense and sparse backward attention do row by row.</summary>
internal static unsafe class AttentionBackwardRows<I, V>
    where I : struct, IVectorIsa<V>
    where V : struct
{
    private const int Chunk = KeyValueLayout.PagePositions;

    /// <summary>Clears dk and dv of a chunk of keys.</summary>
    public static void Clear(in Part part, int chunk)
    {
        int end = Math.Min(part.Tokens, (chunk + 1) * Chunk);
        for (int key = chunk * Chunk; key < end; key++)
        {
            new Span<float>(part.Dk + key * part.KeyStride, part.Shape.KeyDim).Clear();
            new Span<float>(part.Dv + key * part.ValueStride, part.Shape.ValueDim).Clear();
        }
    }

    /// <summary>Multiplies the finished dk of a chunk of keys by the scale.</summary>
    public static void ScaleKeys(in Part part, int chunk)
    {
        int end = Math.Min(part.Tokens, (chunk + 1) * Chunk);
        for (int key = chunk * Chunk; key < end; key++)
            Scale(part.Dk + key * part.KeyStride, part.Dk + key * part.KeyStride, part.Shape.KeyDim, part.Shape.Scale);
    }

    /// <summary>Copies queries and output gradients of some rows side by side and computes <c>D = out . dout</c>.</summary>
    public static void Load(in Part part, int first, int rows, float* q, float* dout, float* delta, float* lse)
    {
        int keyDim = part.Shape.KeyDim, valueDim = part.Shape.ValueDim;
        for (int r = 0; r < rows; r++)
        {
            long index = part.RowIndex(first + r);
            Unsafe.CopyBlockUnaligned(q + (long)r * keyDim, part.Q + index * keyDim, (uint)(keyDim * sizeof(float)));
            Unsafe.CopyBlockUnaligned(dout + (long)r * valueDim, part.Dout + index * valueDim, (uint)(valueDim * sizeof(float)));
            delta[r] = LaneSum.OfProducts<I, V>(part.Output + index * valueDim, part.Dout + index * valueDim, valueDim);
            lse[r] = part.Lse[index];
        }
    }

    /// <summary>
    /// Turns products into <c>P = exp(product * scale - lse)</c> and dP into <c>dS = P * (dP - D)</c>; memory up to the next whole vector is overwritten.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    public static void Differentiate(float* weights, float* dscores, int count, float scale, float lse, float delta)
    {
        V factor = I.Broadcast(scale), shift = I.Broadcast(lse), mean = I.Broadcast(delta);
        for (int i = 0; i < count; i += I.Lanes)
        {
            V p = I.Exp(I.Subtract(I.Multiply(I.Load(weights + i), factor), shift));
            I.Store(p, weights + i);
            I.Store(I.Multiply(p, I.Subtract(I.Load(dscores + i), mean)), dscores + i);
        }
    }

    /// <summary>Multiplies the finished dq by the scale and writes it.</summary>
    public static void StoreDq(in Part part, int first, int rows, float* dq)
    {
        int keyDim = part.Shape.KeyDim;
        for (int r = 0; r < rows; r++)
            Scale(dq + (long)r * keyDim, part.Dq + part.RowIndex(first + r) * keyDim, keyDim, part.Shape.Scale);
    }

    /// <summary><c>target = source * scale</c>; the two may be the same.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void Scale(float* source, float* target, int count, float scale)
    {
        V factor = I.Broadcast(scale);
        int i = 0;
        for (; i + I.Lanes <= count; i += I.Lanes)
            I.Store(I.Multiply(I.Load(source + i), factor), target + i);
        for (; i < count; i++)
            target[i] = source[i] * scale;
    }
}
