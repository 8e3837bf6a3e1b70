using Glimmer.Operations;
using Glimmer.Tensors;

namespace Glimmer.Models;

/// <summary>What the layers of one forward pass share: the batch, the positions, and the keys that indexers chose.</summary>
internal sealed class ForwardPass(ModelConfig config)
{
    // One more than the trunk has: the MTP layer chooses for itself.
    private readonly KeySelection?[] _selections = new KeySelection?[config.NumHiddenLayers + 1];
    private KeySelection? _reused;

    /// <summary>Tokens and layout.</summary>
    public Batch Batch { get; private set; } = null!;

    /// <summary>Position of each token, I32 [T].</summary>
    public Tensor Positions { get; private set; } = null!;

    /// <summary>Keys chosen before this pass, which every layer uses instead of its own choice; null in an ordinary pass.</summary>
    public KeySelection? Fixed { get; private set; }

    /// <summary>Starts a pass.</summary>
    /// <param name="c">Context; the workspace holds the positions and the choices until it is reset.</param>
    /// <param name="batch">Tokens and layout.</param>
    /// <param name="firstLayer">First layer that will run.</param>
    /// <param name="layers">Number of layers that will run.</param>
    /// <param name="fixedSelection">See <see cref="Fixed"/>.</param>
    public void Begin(Compute c, Batch batch, int firstLayer, int layers, KeySelection? fixedSelection = null)
    {
        Batch = c.Tape is null ? batch : batch.Copy();
        Positions = c.Workspace.Allocate(DType.I32, batch.TokenCount);
        batch.Positions.CopyTo(Positions.I32);
        Fixed = fixedSelection;
        Array.Clear(_selections);
        if (config.IndexTopk == 0 || fixedSelection is not null || c.IndexerObjective is { IsDense: true } || (EveryKeyIsChosen(batch) && c.Observer is null))
            return;

        // Layers run one after another and share the buffer; with a tape every choice is kept for the backward pass.
        KeySelection? shared = null;
        for (int layer = firstLayer; layer < firstLayer + layers; layer++)
        {
            if (!config.HasIndexer(layer))
                continue;
            if (shared is null || c.Tape is not null)
            {
                shared = NewSelection(c, batch.TokenCount);
            }

            _selections[layer] = shared;
        }
    }

    /// <summary>
    /// Where a layer with an indexer puts its choice, and what it and the layers after it read; null when every visible key is chosen, so
    /// that attention is dense (the bits are the same).
    /// </summary>
    public KeySelection? Selection(int layer)
    {
        if (Fixed is not null || config.IndexTopk == 0)
            return Fixed;
        while (!config.HasIndexer(layer))
            layer--;
        return _selections[layer];
    }

    private KeySelection NewSelection(Compute c, int tokens)
    {
        Tensor positions = c.Workspace.Allocate(DType.I32, tokens, config.IndexTopk);
        Tensor counts = c.Workspace.Allocate(DType.I32, tokens);
        if (c.Tape is not null || _reused is null)
        {
            var selection = new KeySelection(positions, counts);
            _reused = c.Tape is null ? selection : _reused;
            return selection;
        }

        (_reused.Positions, _reused.Counts) = (positions, counts);
        return _reused;
    }

    private bool EveryKeyIsChosen(Batch batch)
    {
        foreach (int position in batch.Positions)
        {
            if (position >= config.IndexTopk)
                return false;
        }

        return true;
    }
}
