namespace Glimmer.Kernels;

/// <summary>Causal attention over paged keys and values, dense or over chosen keys, and its gradient.</summary>
/// <remarks>
/// <c>out[t,h] = sum over keys s of softmax_s(scale * q[t,h] . k[s]) * v[s]</c>; a query at position p sees the keys 0..p.
/// Keys run in spans of 1,024 (by absolute position, or by rank in the list of chosen keys), each span from scratch, merged in ascending order
/// (docs/adr/0001-order-of-arithmetic.md, rules 5 and 9), so the bits depend neither on the batch nor on chunks, threads or instruction sets.
/// </remarks>
internal static unsafe partial class Attention
{
    /// <summary>Keys that share one maximum and one sum.</summary>
    public const int Span = 1024;

    /// <summary>Dense attention of all tokens of a batch.</summary>
    /// <param name="team">Threads.</param>
    /// <param name="shape">Sizes.</param>
    /// <param name="sequences">The sequences; the keys and values of this step are already in their pages.</param>
    /// <param name="q">Queries, [T, H, KeyDim].</param>
    /// <param name="output">Receives the output, [T, H, ValueDim].</param>
    /// <param name="lse">Receives the log-sum-exp of the scaled scores, [T, H]; null when nobody needs it.</param>
    public static void Forward(ThreadTeam team, in AttentionShape shape, ReadOnlySpan<AttentionSequence> sequences, float* q, float* output, float* lse) =>
        SparseForward(team, shape, sequences, null, 0, null, q, output, lse);

    /// <summary>Attention of every token over its own list of keys.</summary>
    /// <param name="team">Threads.</param>
    /// <param name="shape">Sizes.</param>
    /// <param name="sequences">The sequences; the keys and values of this step are already in their pages.</param>
    /// <param name="positions">Key positions of each token, ascending, not beyond the token's own, [T, stride]; shared by all heads.</param>
    /// <param name="stride">Row length of <paramref name="positions"/>.</param>
    /// <param name="counts">Keys of each token, at least 1, [T].</param>
    /// <param name="q">Queries, [T, H, KeyDim].</param>
    /// <param name="output">Receives the output, [T, H, ValueDim].</param>
    /// <param name="lse">Receives the log-sum-exp of the scaled scores, [T, H]; null when nobody needs it.</param>
    public static void SparseForward(
        ThreadTeam team, in AttentionShape shape, ReadOnlySpan<AttentionSequence> sequences,
        int* positions, int stride, int* counts, float* q, float* output, float* lse)
    {
        shape.Check();
        AttentionForward.Run(team, shape, sequences, positions, stride, counts, q, output, lse);
    }

    /// <summary>Gradient of dense attention over whole documents.</summary>
    /// <param name="team">Threads.</param>
    /// <param name="shape">Sizes.</param>
    /// <param name="documents">Tokens of each document; positions start at 0 and all keys are in the batch. Pages are not read.</param>
    /// <param name="q">Queries, [T, H, KeyDim].</param>
    /// <param name="k">Keys, [T, Hkv, KeyDim].</param>
    /// <param name="v">Values, [T, Hkv, ValueDim].</param>
    /// <param name="output">Output of the forward pass, [T, H, ValueDim].</param>
    /// <param name="lse">Log-sum-exp of the forward pass, [T, H].</param>
    /// <param name="dout">Gradient of the output, [T, H, ValueDim].</param>
    /// <param name="dq">Receives the gradient of q, overwritten.</param>
    /// <param name="dk">Receives the gradient of k, overwritten.</param>
    /// <param name="dv">Receives the gradient of v, overwritten.</param>
    public static void Backward(
        ThreadTeam team, in AttentionShape shape, ReadOnlySpan<AttentionSequence> documents,
        float* q, float* k, float* v, float* output, float* lse, float* dout, float* dq, float* dk, float* dv) =>
        SparseBackward(team, shape, documents, null, 0, null, q, k, v, output, lse, dout, dq, dk, dv);

    /// <summary>Gradient of attention over chosen keys; parameters as in <see cref="Backward"/> and <see cref="SparseForward"/>.</summary>
    public static void SparseBackward(
        ThreadTeam team, in AttentionShape shape, ReadOnlySpan<AttentionSequence> documents, int* positions, int stride, int* counts,
        float* q, float* k, float* v, float* output, float* lse, float* dout, float* dq, float* dk, float* dv)
    {
        shape.Check();
        var inputs = new AttentionBackward.Inputs
        {
            Shape = shape,
            Positions = positions,
            Stride = stride,
            Counts = counts,
            Q = q,
            K = k,
            V = v,
            Output = output,
            Lse = lse,
            Dout = dout,
            Dq = dq,
            Dk = dk,
            Dv = dv,
        };
        AttentionBackward.Run(team, documents, inputs);
    }
}
