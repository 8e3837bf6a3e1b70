using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Tensors;

namespace Glimmer.Inference;

/// <summary>Drafts with the MTP layer, for all sequences of a step together: one pass over the positions that became final, then one pass a further draft.</summary>
/// <param name="head">The MTP layer.</param>
/// <param name="shareSelection">DSA: whether later drafts attend to the keys that the first pass chose; <c>index_share_for_mtp_iteration</c>.</param>
internal sealed class NextTokenDrafter(NextTokenHead head, bool shareSelection)
{
    private readonly List<int> _visible = [];
    private readonly Batch _batch = new();
    private readonly List<int> _rows = [];
    private readonly List<Sequence> _drafting = [];

    /// <summary>Forgets the sequences of the step before.</summary>
    public void Clear()
    {
        _batch.Clear();
        _rows.Clear();
        _drafting.Clear();
    }

    /// <summary>Adds the positions of a sequence whose MTP keys are missing. Their hidden states must be in this step's batch.</summary>
    /// <param name="sequence">The sequence.</param>
    /// <param name="drafts">Tokens to draft, at most what there is room for.</param>
    public void Add(Sequence sequence, int drafts)
    {
        int first = sequence.DraftKeys, count = sequence.Computed - first;
        if (count == 0)
            return;
        // u at position i takes the token at i + 1.
        _batch.AddCached(sequence.Cache!, sequence.Tokens.Slice(first + 1, count), first, sequence.Adapter.Number);
        for (int i = 0; i < count; i++)
            _rows.Add(sequence.FirstRow + first + i - sequence.FirstPosition);
        sequence.DraftKeys = sequence.Computed;
        sequence.DraftCount = 0;
        if (drafts == 0)
            return;
        sequence.FirstLogits = _batch.TokenCount - 1; // where z is that drafts
        sequence.DraftCount = drafts;
        _drafting.Add(sequence);
    }

    /// <summary>Passes over the positions of a sequence whose MTP keys are missing, while drafting pauses.</summary>
    public void Skip(Compute c, Sequence sequence)
    {
        head.Skip(c, sequence.Cache!, sequence.DraftKeys, sequence.Computed);
        (sequence.DraftKeys, sequence.DraftCount) = (sequence.Computed, 0);
    }

    /// <summary>Computes the keys and the drafts.</summary>
    /// <param name="c">Context, in the run that computed <paramref name="hidden"/>.</param>
    /// <param name="hidden">Hidden states of the step's batch, [T, D].</param>
    public void Run(Compute c, Tensor hidden)
    {
        if (_rows.Count == 0)
            return;
        Tensor z = head.Forward(c, _batch, Rows.Gather(c, hidden, System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_rows)));
        KeySelection? chosen = shareSelection && _drafting.Count > 0 ? FirstChoice(c) : null;
        for (int step = 0; _drafting.Count > 0; step++)
        {
            _rows.Clear();
            foreach (Sequence sequence in _drafting)
                _rows.Add(sequence.FirstLogits);
            z = Rows.Gather(c, z, System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_rows));
            c.SelectRows(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_rows));
            Tensor logits = head.Logits(c, z);
            int vocabulary = logits.Shape[1];
            for (int i = 0; i < _drafting.Count; i++)
                _drafting[i].Drafts[step] = head.TokenAt(MostLikely(logits.F32.Slice(i * vocabulary, vocabulary)));

            _batch.Clear();
            _rows.Clear();
            int kept = 0;
            for (int i = 0; i < _drafting.Count; i++)
            {
                Sequence sequence = _drafting[i];
                if (step + 1 == sequence.DraftCount)
                    continue;
                _batch.AddCached(sequence.Cache!, sequence.Drafts.AsSpan(step, 1), sequence.Computed + step, sequence.Adapter.Number);
                _rows.Add(i);
                sequence.FirstLogits = kept;
                _drafting[kept++] = sequence;
            }

            _drafting.RemoveRange(kept, _drafting.Count - kept);
            if (kept == 0)
                return;
            chosen = chosen is null ? null : Kept(c, chosen);
            z = head.Forward(c, _batch, Rows.Gather(c, z, System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_rows)), chosen);
        }
    }

    // What the first pass chose for the last committed position of each sequence.
    private KeySelection FirstChoice(Compute c)
    {
        _rows.Clear();
        _visible.Clear();
        foreach (Sequence sequence in _drafting)
        {
            _rows.Add(sequence.FirstLogits);
            _visible.Add(sequence.Computed);
        }

        return head.Chosen(c, System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_rows), System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_visible));
    }

    // The choices of the sequences that go on.
    private KeySelection Kept(Compute c, KeySelection chosen)
    {
        int width = chosen.Positions.Shape[1];
        Tensor positions = c.Workspace.Allocate(DType.I32, _rows.Count, width);
        Tensor counts = c.Workspace.Allocate(DType.I32, _rows.Count);
        for (int i = 0; i < _rows.Count; i++)
        {
            chosen.Positions.I32.Slice(_rows[i] * width, width).CopyTo(positions.I32[(i * width)..]);
            counts.I32[i] = chosen.Counts.I32[_rows[i]];
        }

        return new KeySelection(positions, counts);
    }

    private static int MostLikely(ReadOnlySpan<float> logits)
    {
        int best = 0;
        for (int i = 1; i < logits.Length; i++)
            best = logits[i] > logits[best] ? i : best;
        return best;
    }
}
