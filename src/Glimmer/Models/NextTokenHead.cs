using Glimmer.Kernels;
using Glimmer.Operations;
using Glimmer.Tensors;

namespace Glimmer.Models;

/// <summary>
/// Multi-token prediction (MTP): one decoder layer behind the trunk that, from the hidden state at position i and the token at i + 1, predicts the
/// token at i + 2. It drafts several tokens by feeding its own output back.
/// </summary>
/// <remarks>
/// <para><c>u_i = eh_proj([enorm(Emb(x_{i+1})) ; hnorm(h_i)])</c>, h after the trunk's final norm; <c>z = shared_head.norm(layer(u))</c>; logits <c>z W_head^T</c>. Chained steps take z
/// for h. Position of <c>u_i</c> is i. GLM-4.5 report (arXiv 2508.06471); order of the halves as in SGLang <c>glm4_moe_nextn.py</c>.</para>
/// <para>In a DSA model the layer has an indexer of its own. With <c>index_share_for_mtp_iteration</c> the later steps attend to the keys that the first step
/// chose for the last committed position.</para>
/// </remarks>
public sealed class NextTokenHead : IDisposable
{
    private readonly CausalLm _trunk;
    private readonly DecoderLayer _layer;
    private readonly ForwardPass _pass;
    private readonly Parameter _embeddingNorm;
    private readonly Parameter _hiddenNorm;
    private readonly Parameter _projection;
    private readonly Parameter _finalNorm;
    private readonly Parameter _embedding;
    private readonly Parameter _head;
    private readonly DraftVocabulary? _drafts;

    internal NextTokenHead(CausalLm trunk, ParameterLoader load, DecoderLayer layer)
    {
        ModelConfig config = trunk.Config;
        (_trunk, _layer, _pass) = (trunk, layer, new ForwardPass(config));
        string prefix = $"model.layers.{layer.Index}.";
        (int hidden, int vocabulary) = (config.HiddenSize, config.VocabSize);
        _embeddingNorm = load.Vector(prefix + "enorm.weight", hidden);
        _hiddenNorm = load.Vector(prefix + "hnorm.weight", hidden);
        _projection = load.Matrix(prefix + "eh_proj.weight", hidden, 2 * hidden);
        _finalNorm = load.Vector(prefix + "shared_head.norm.weight", hidden);
        _embedding = load.OwnOrShared(prefix + "embed_tokens.weight", trunk.EmbeddingMatrix, vocabulary, hidden);
        _head = load.OwnOrShared(prefix + "shared_head.head.weight", trunk.Head, vocabulary, hidden);
        string list = DraftTokensOf(layer.Index);
        if (load.Has(list))
        {
            int[] tokens = load.Integers(list);
            // The rows are read by the checkpoint's own name of the output matrix.
            _drafts = new DraftVocabulary(_head, load.RowsOf(_head.Name, tokens), tokens);
        }
    }

    /// <summary>Name of the list of tokens that the layer drafts, where it does not draft all: ids of rows of the output matrix, I32.</summary>
    public static string DraftTokensOf(int layer) => string.Create(System.Globalization.CultureInfo.InvariantCulture, $"model.layers.{layer}.shared_head.draft_tokens");

    /// <summary>Tokens that can be drafted: the columns of <see cref="Logits"/>.</summary>
    public int DraftCount => _drafts?.Count ?? _head.AllRows;

    /// <summary>The token of a column of <see cref="Logits"/>.</summary>
    public int TokenAt(int column) => _drafts?.TokenAt(column) ?? column;

    /// <summary>Runs the layer.</summary>
    /// <param name="c">Context, in the run that computed <paramref name="hidden"/>.</param>
    /// <param name="batch">For position i the token at i + 1, with position i; caches are those of the trunk's sequences.</param>
    /// <param name="hidden">Trunk hidden states after the final norm, or z of the previous step, [T, D].</param>
    /// <returns>z, [T, D].</returns>
    public Tensor Forward(Compute c, Batch batch, Tensor hidden) => Forward(c, batch, hidden, null);

    /// <summary>Drafts tokens: the first step runs over newly committed positions, later steps feed z and the draft back.</summary>
    /// <param name="c">Context, in the run that computed <paramref name="hidden"/>.</param>
    /// <param name="sequence">Cache of the sequence; what the later steps write lies behind the committed positions and is rewritten by the next call.</param>
    /// <param name="tokens">Token at position i + 1 for each new position i, the last one not yet in the trunk's cache.</param>
    /// <param name="firstPosition">Position of the first new hidden state.</param>
    /// <param name="hidden">Trunk hidden states of the new positions, [N, D].</param>
    /// <param name="steps">Number of drafts.</param>
    /// <param name="shareSelection">
    /// DSA: whether later steps attend to the keys the first step chose; null for what the checkpoint says (<c>index_share_for_mtp_iteration</c>).
    /// </param>
    public DraftChain Draft(Compute c, CachedSequence sequence, ReadOnlySpan<int> tokens, int firstPosition, Tensor hidden, int steps, bool? shareSelection = null)
    {
        int dim = hidden.Shape[1];
        var batch = new Batch();
        batch.AddCached(sequence, tokens, firstPosition);
        Tensor first = Forward(c, batch, hidden);
        bool share = shareSelection ?? _trunk.Config.IndexShareForMtpIteration;
        KeySelection? selection = share && _trunk.Config.IndexTopk > 0 ? Chosen(c, [tokens.Length - 1], [firstPosition + tokens.Length]) : null;
        Tensor states = c.Workspace.F32(steps, dim);
        Tensor logits = c.Workspace.F32(steps, DraftCount);
        var drafts = new int[steps];
        Tensor z = Rows.Gather(c, first, [tokens.Length - 1]);
        for (int step = 0; ; step++)
        {
            Tensor row = Logits(c, z);
            z.F32.CopyTo(states.F32[(step * dim)..]);
            row.F32.CopyTo(logits.F32[(step * row.Shape[1])..]);
            drafts[step] = TokenAt(TopK.ArgMax(row.F32));
            if (step == steps - 1)
                return new DraftChain(drafts, first, states, logits);
            batch.Clear();
            batch.AddCached(sequence, drafts.AsSpan(step, 1), firstPosition + tokens.Length + step);
            z = Forward(c, batch, z, selection);
        }
    }

    /// <summary>Passes positions over: their keys and values become zeros, which later drafts hardly attend to.</summary>
    /// <param name="c">Context.</param>
    /// <param name="sequence">Cache of the sequence.</param>
    /// <param name="from">First position.</param>
    /// <param name="to">End of the positions.</param>
    public void Skip(Compute c, CachedSequence sequence, int from, int to)
    {
        int layers = _layer.Index + 1; // it is the last one
        for (int slot = _layer.Index; slot < _trunk.CacheSlots.Count; slot += layers) // keys and values, then index keys
        {
            if (_trunk.CacheSlots[slot].Heads > 0)
                sequence.Clear(c.Team, slot, from, to);
        }
    }

    /// <summary>Logits of z over the tokens that can be drafted, [T, <see cref="DraftCount"/>], with the adapters of the last pass, whose rows these are.</summary>
    public Tensor Logits(Compute c, Tensor z) => _drafts?.Logits(c, z) ?? OutputProduct.Forward(c, z, _head);

    /// <summary>Weighted cross-entropy of the drafts, as <see cref="CausalLm.Loss"/>; targets that cannot be drafted are left out.</summary>
    public double Loss(Compute c, Tensor z, ReadOnlySpan<int> targets, ReadOnlySpan<float> weights) =>
        _drafts?.Loss(c, z, targets, weights) ?? CrossEntropyLoss.Forward(c, z, _head, targets, weights);

    /// <inheritdoc/>
    public void Dispose()
    {
        _drafts?.Dispose();
        _layer.Dispose();
    }

    /// <summary>As <see cref="Forward(Compute, Batch, Tensor)"/>, over keys that were chosen before; null to choose as ever.</summary>
    internal Tensor Forward(Compute c, Batch batch, Tensor hidden, KeySelection? selection)
    {
        ForwardPass pass = c.Tape is null ? _pass : new ForwardPass(_trunk.Config);
        pass.Begin(c, batch, firstLayer: _layer.Index, layers: 1, selection);
        _trunk.Rotation.EnsurePositions(batch);
        c.AdapterRuns = pass.Batch.AdapterRuns;
        ModelConfig config = _trunk.Config;
        Tensor embedded = Normalisation.Forward(c, Embedding.Forward(c, batch.Tokens, _embedding, config.PadTokenId), _embeddingNorm, config.RmsNormEps);
        Tensor state = Normalisation.Forward(c, hidden, _hiddenNorm, config.RmsNormEps);
        Tensor x = Linear.Forward(c, Rows.Concatenate(c, embedded, state), _projection); // the embedding half comes first
        x = c.Block(x, (_layer, pass), static (c, x, s) => s._layer.Forward(c, x, s.pass));
        return Normalisation.Forward(c, x, _finalNorm, config.RmsNormEps);
    }

    /// <summary>The keys that the last pass chose for some of its tokens, [rows, K]: all of the visible ones where attention was dense.</summary>
    /// <param name="c">Context.</param>
    /// <param name="rows">The tokens' places in the batch.</param>
    /// <param name="visible">Keys that each of them sees.</param>
    internal KeySelection Chosen(Compute c, ReadOnlySpan<int> rows, ReadOnlySpan<int> visible)
    {
        KeySelection? chosen = _pass.Selection(_layer.Index);
        int width = 0;
        for (int r = 0; r < rows.Length; r++)
            width = Math.Max(width, chosen is null ? visible[r] : chosen.Counts.I32[rows[r]]);
        Tensor list = c.Workspace.Allocate(DType.I32, rows.Length, width);
        Tensor counts = c.Workspace.Allocate(DType.I32, rows.Length);
        for (int r = 0; r < rows.Length; r++)
        {
            int count = counts.I32[r] = chosen is null ? visible[r] : chosen.Counts.I32[rows[r]];
            for (int i = 0; i < count; i++)
                list.I32[(r * width) + i] = chosen is null ? i : chosen.Positions.I32[(rows[r] * chosen.Positions.Shape[1]) + i];
        }

        return new KeySelection(list, counts);
    }
}
