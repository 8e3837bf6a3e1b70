namespace Glimmer.Training.Optimizers;

/// <summary>How momentum is kept. The direction of an update is the same; the stored momentum differs by the factor 1 / (1 - momentum).</summary>
public enum MomentumForm
{
    /// <summary><c>M = momentum M + g</c> (GLM, Moonlight).</summary>
    Sum,

    /// <summary><c>M = M + (1 - momentum)(g - M)</c> (torch, Keller Jordan, Emerging-Optimizers).</summary>
    Average,
}

/// <summary>What the norm of a matrix is guarded with before the matrix is divided by it.</summary>
public enum NormGuard
{
    /// <summary><c>norm + epsilon</c> (GLM, Keller Jordan, Moonlight).</summary>
    Add,

    /// <summary><c>max(norm, epsilon)</c> (torch, Emerging-Optimizers).</summary>
    Maximum,
}

/// <summary>How the size of an update depends on the shape of its block.</summary>
public enum UpdateScale
{
    /// <summary><c>sqrt(max(rows, columns))</c>: every update has the same root mean square.</summary>
    LargerSide,

    /// <summary><c>sqrt(max(1, rows / columns))</c> (Keller Jordan, torch's default).</summary>
    AspectRatio,
}

/// <summary>Muon: momentum, orthogonalised by Newton-Schulz. The defaults are GLM's.</summary>
/// <remarks>
/// <para><c>M = momentum M + g; u = g + momentum M; X = NewtonSchulz(u / (|u| + 1e-7)); W = W (1 - lr decay) - lr 0.2 sqrt(max(rows, columns)) X</c>.</para>
/// <para>ms-swift and Megatron-core default to momentum 0.95 (0.9 in ms-swift), no Nesterov, the quintic list and factor 1; a run made with those differs.</para>
/// </remarks>
public sealed record MuonOptions
{
    /// <summary>Decay of the momentum.</summary>
    public float Momentum { get; init; } = 0.95f;

    /// <summary>Whether the gradient is added once more to the momentum before it is orthogonalised.</summary>
    public bool Nesterov { get; init; } = true;

    /// <summary>How momentum is kept.</summary>
    public MomentumForm MomentumForm { get; init; } = MomentumForm.Sum;

    /// <summary>The iterations.</summary>
    public IReadOnlyList<NewtonSchulzStep> Iterations { get; init; } = NewtonSchulz.Simple;

    /// <summary>How the norm is guarded.</summary>
    public NormGuard NormGuard { get; init; } = NormGuard.Add;

    /// <summary>Guard of the norm.</summary>
    public float NormEpsilon { get; init; } = 1e-7f;

    /// <summary>How the size of an update depends on the shape.</summary>
    public UpdateScale Scale { get; init; } = UpdateScale.LargerSide;

    /// <summary>Factor of the scale: with <see cref="UpdateScale.LargerSide"/> about the root mean square of an update at lr 1.</summary>
    public float ScaleFactor { get; init; } = 0.2f;
}
