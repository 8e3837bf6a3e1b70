using Glimmer.Kernels;
using Glimmer.Operations;
using Glimmer.Tensors;

namespace Glimmer.Models;

/// <summary>
/// The lightning indexer of a DSA layer: scores every visible key with a few small heads and chooses the best <c>index_topk</c> for each token.
/// </summary>
/// <remarks>
/// <c>I(t,s) = sum_j w[t,j] * relu(q[t,j] . k[s] * dim^-0.5)</c> with <c>w = weights_proj(x) * heads^-0.5</c>; rotary dimensions come first; the key norm is a
/// LayerNorm with eps 1e-6. No gradient passes through the choice; <see cref="Learn"/> trains it. Reference <c>GlmMoeDsaIndexer</c> of transformers 5.24; DeepSeek-V3.2-Exp report, eq. 1.
/// </remarks>
internal sealed unsafe class LightningIndexer
{
    private const float KeyNormEps = 1e-6f;

    private readonly Rotation _rotation;
    private readonly IndexerShape _shape;
    private readonly string _name;
    private readonly int _index;
    private readonly float _headScale;
    private readonly Parameter _queryUp;
    private readonly Parameter _key;
    private readonly Parameter _keyNorm;
    private readonly Parameter _keyNormBias;
    private readonly Parameter _weights;

    public LightningIndexer(ModelConfig config, ParameterLoader load, Rotation rotation, int index)
    {
        (int heads, int dim) = (config.IndexNHeads, config.IndexHeadDim);
        (_rotation, _name, _index) = (rotation, $"layer{index}.", index);
        _shape = new IndexerShape(heads, dim, config.IndexTopk, 1f / MathF.Sqrt(dim));
        _headScale = 1f / MathF.Sqrt(heads);
        string prefix = $"model.layers.{index}.self_attn.indexer.";
        _queryUp = load.Matrix(prefix + "wq_b.weight", heads * dim, config.QLoraRank!.Value);
        _key = load.Matrix(prefix + "wk.weight", dim, config.HiddenSize);
        _keyNorm = load.Vector(prefix + "k_norm.weight", dim);
        _keyNormBias = load.Vector(prefix + "k_norm.bias", dim);
        _weights = load.Matrix(prefix + "weights_proj.weight", heads, config.HiddenSize);
    }

    /// <summary>Writes the index keys of the tokens and, unless every visible key is chosen, chooses keys for each token.</summary>
    /// <param name="c">Context.</param>
    /// <param name="h">Normalised hidden states, [T, D].</param>
    /// <param name="queryLatent">Normalised query latent, [T, q_lora_rank].</param>
    /// <param name="pass">Batch and positions.</param>
    /// <param name="slot">Cache slot of the index keys.</param>
    /// <param name="selection">Receives the choice; null to write keys only.</param>
    public void Choose(Compute c, Tensor h, Tensor queryLatent, ForwardPass pass, int slot, KeySelection? selection)
    {
        if (selection is null && !HasCache(pass.Batch))
            return; // nobody will read the keys
        Tape? tape = c.Tape;
        c.Tape = null;
        Workspace.Mark mark = c.Workspace.Save();
        (int tokens, int dim, int heads) = (h.Shape[0], _shape.Dim, _shape.Heads);
        Tensor raw = Linear.Forward(c, h, _key);
        Tensor key = c.Workspace.F32(tokens, dim);
        LayerNorm.Forward(c.Team, raw.F32Pointer, dim, _keyNorm.Vector, _keyNormBias.Vector, KeyNormEps, tokens, dim, key.F32Pointer, dim);
        _rotation.Apply(c, pass.Positions, key.F32Pointer, dim, 1, dim);
        c.Observe(_name, "index_k", key);
        ReadOnlySpan<AttentionSequence> sequences = IndexKeys.Write(c, pass.Batch, slot, key, out bool asBytes);
        if (selection is not null)
        {
            Tensor query = Linear.Forward(c, queryLatent, _queryUp); // [T, heads * dim]
            _rotation.Apply(c, pass.Positions, query.F32Pointer, heads * dim, heads, dim);
            Tensor weights = Linear.Forward(c, h, _weights); // [T, heads]
            Scale(weights);
            c.Observe(_name, "index_q", query);
            c.Observe(_name, "index_weights", weights);
            IndexerShape shape = _shape with { ByteKeys = asBytes };
            if (c.Observer is not null)
            {
                ObserveScores(c, shape, sequences, query, weights);
                selection.Positions.I32.Fill(-1); // what a short row does not use reads as "no key"
            }

            SparseIndexer.Choose(
                c.Team, shape, sequences, query.F32Pointer, weights.F32Pointer, (int*)selection.Positions.Data, (int*)selection.Counts.Data);
        }

        c.Workspace.Release(mark);
        c.Tape = tape;
    }

    /// <summary>Adds the loss of this indexer, <c>KL(attention || softmax(I))</c>, and the gradients of its weights: inputs are detached, so nothing goes further back.</summary>
    /// <param name="c">Context.</param>
    /// <param name="objective">Receives the loss.</param>
    /// <param name="h">Normalised hidden states, [T, D].</param>
    /// <param name="queryLatent">Normalised query latent, [T, q_lora_rank].</param>
    /// <param name="pass">Batch and positions; documents only.</param>
    /// <param name="main">Sizes of the attention.</param>
    /// <param name="mainQuery">Its queries, [T, H * KeyDim].</param>
    /// <param name="mainKey">Its keys, [T, KeyDim].</param>
    /// <param name="selection">Keys that count; null for all visible ones.</param>
    public void Learn(
        Compute c, IndexerObjective objective, Tensor h, Tensor queryLatent, ForwardPass pass, in AttentionShape main, Tensor mainQuery, Tensor mainKey, KeySelection? selection)
    {
        if (HasCache(pass.Batch))
            throw new InvalidOperationException("An indexer learns from whole documents, whose keys are all in the batch.");
        (Tape? tape, c.Tape) = (c.Tape, null);
        Workspace.Mark mark = c.Workspace.Save();
        (int tokens, int dim, int heads) = (h.Shape[0], _shape.Dim, _shape.Heads);
        Tensor raw = Linear.Forward(c, h, _key), key = c.Workspace.F32(tokens, dim), mean = c.Workspace.F32(tokens), inverse = c.Workspace.F32(tokens);
        LayerNorm.Forward(
            c.Team, raw.F32Pointer, dim, _keyNorm.Vector, _keyNormBias.Vector, KeyNormEps, tokens, dim, key.F32Pointer, dim, mean.F32Pointer, inverse.F32Pointer);
        _rotation.Apply(c, pass.Positions, key.F32Pointer, dim, 1, dim);
        Tensor query = Linear.Forward(c, queryLatent, _queryUp); // [T, heads * dim]
        _rotation.Apply(c, pass.Positions, query.F32Pointer, heads * dim, heads, dim);
        Tensor weights = Linear.Forward(c, h, _weights); // [T, heads]
        Scale(weights);
        Tensor dquery = c.Workspace.F32(query.Shape), dkey = c.Workspace.Zeros(key.Shape), dweights = c.Workspace.F32(weights.Shape);
        foreach (BatchSlice slice in pass.Batch.Slices)
        {
            long first = slice.FirstToken;
            var document = new IndexerDivergence(_shape, main, slice.Count, new IndexerDivergence.Arrays
            {
                MainQueries = mainQuery.F32Pointer + (first * mainQuery.Shape[1]),
                MainKeys = mainKey.F32Pointer + (first * main.KeyDim),
                IndexQueries = query.F32Pointer + (first * heads * dim),
                IndexKeys = key.F32Pointer + (first * dim),
                HeadWeights = weights.F32Pointer + (first * heads),
                Positions = selection is null ? null : (int*)selection.Positions.Data + (first * selection.Positions.Shape[1]),
                Counts = selection is null ? null : (int*)selection.Counts.Data + first,
                Stride = selection is null ? 0 : selection.Positions.Shape[1],
                QueryGradients = dquery.F32Pointer + (first * heads * dim),
                KeyGradients = dkey.F32Pointer + (first * dim),
                WeightGradients = dweights.F32Pointer + (first * heads),
            }, objective.Weight)
            { Recalls = objective.WantsRecall ? new IndexerRecall[slice.Count] : null };
            document.Run(c.Team);
            objective.Add(_index, document);
        }

        Scale(dweights);
        _rotation.Apply(c, pass.Positions, dquery.F32Pointer, heads * dim, heads, dim, inverse: true);
        _rotation.Apply(c, pass.Positions, dkey.F32Pointer, dim, 1, dim, inverse: true);
        AddGradient(c, _weights, dweights, h);
        AddGradient(c, _queryUp, dquery, queryLatent);
        if (_keyNorm.Gradient is { } dgain)
        {
            LayerNorm.ParameterGradients(
                c.Team, dkey.F32Pointer, dim, raw.F32Pointer, dim, mean.F32Pointer, inverse.F32Pointer, tokens, dim, dgain.F32Pointer, _keyNormBias.Gradient!.F32Pointer, GradientMode.AddTo);
        }

        LayerNorm.Backward(c.Team, dkey.F32Pointer, dim, raw.F32Pointer, dim, _keyNorm.Vector, mean.F32Pointer, inverse.F32Pointer, tokens, dim, dkey.F32Pointer, dim);
        AddGradient(c, _key, dkey, h);
        c.Workspace.Release(mark);
        c.Tape = tape;
    }

    private static void AddGradient(Compute c, Parameter weight, Tensor dy, Tensor x)
    {
        if (weight.Gradient is not { } dw)
            return;
        (int tokens, int outputs, int inputs) = (x.Shape[0], weight.Shape[0], weight.Shape[1]);
        MatMul.WeightGradient(c.Team, dy.F32Pointer, outputs, x.F32Pointer, inputs, tokens, outputs, inputs, dw.F32Pointer, GradientMode.AddTo);
    }

    private void Scale(Tensor weights)
    {
        foreach (ref float weight in weights.F32)
            weight *= _headScale;
    }

    private static bool HasCache(Batch batch)
    {
        foreach (BatchSlice slice in batch.Slices)
        {
            if (slice.Cache is not null)
                return true;
        }

        return false;
    }

    // For observers only: the scores of all pairs, [T, longest sequence].
    private void ObserveScores(Compute c, in IndexerShape shape, ReadOnlySpan<AttentionSequence> sequences, Tensor query, Tensor weights)
    {
        int longest = 0;
        foreach (AttentionSequence sequence in sequences)
            longest = Math.Max(longest, sequence.FirstPosition + sequence.Tokens);
        Tensor scores = c.Workspace.Zeros(query.Shape[0], longest);
        SparseIndexer.Scores(c.Team, shape, sequences, query.F32Pointer, weights.F32Pointer, scores.F32Pointer, longest);
        c.Observe(_name, "index_scores", scores);
    }
}
