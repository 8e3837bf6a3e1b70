namespace Glimmer.Training.Optimizers;

/// <summary>Which rule updates the matrices of a model.</summary>
public enum MatrixRule
{
    /// <summary>Muon for hidden matrices, AdamW for embedding, output matrix, norms and biases: how GLM is trained.</summary>
    Muon,

    /// <summary>AdamW for everything.</summary>
    AdamW,
}

/// <summary>How a model is optimised. The defaults are GLM's.</summary>
public sealed record OptimizerOptions
{
    /// <summary>Rule of the hidden matrices.</summary>
    public MatrixRule Matrices { get; init; } = MatrixRule.Muon;

    /// <summary>Muon.</summary>
    public MuonOptions Muon { get; init; } = new();

    /// <summary>AdamW.</summary>
    public AdamWOptions AdamW { get; init; } = new();

    /// <summary>Decoupled decay of tensors with two or more dimensions; vectors are not decayed.</summary>
    public float WeightDecay { get; init; } = 0.1f;

    /// <summary>Muon Split: up-projections of MLA, and the query projection of the indexer, are orthogonalised head by head (GLM-5).</summary>
    public bool SplitHeads { get; init; } = true;
}
