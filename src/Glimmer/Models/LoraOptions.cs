namespace Glimmer.Models;

/// <summary>What a new adapter looks like.</summary>
public sealed record LoraOptions
{
    /// <summary>Rank of the factors.</summary>
    public int Rank { get; init; } = 8;

    /// <summary>Divided by the rank it is the scale of the addition.</summary>
    public float Alpha { get; init; } = 32;

    /// <summary>Whether alpha is divided by the root of the rank instead (rsLoRA, Kalajdzievski 2023).</summary>
    public bool UseRsLora { get; init; }

    /// <summary>The linear layers that get factors, by the last part of their name before <c>.weight</c>.</summary>
    public IReadOnlyList<string> TargetModules { get; init; } = ["q_proj", "k_proj", "v_proj", "o_proj"];

    /// <summary>Seed of the factors A.</summary>
    public ulong Seed { get; init; }

    /// <summary>The scale of the addition.</summary>
    public float Scale => UseRsLora ? Alpha / MathF.Sqrt(Rank) : Alpha / Rank;

    /// <summary>Throws when a value makes no sense.</summary>
    /// <exception cref="ArgumentException">Names the option.</exception>
    public void Check()
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Rank);
        if (!float.IsFinite(Alpha) || Alpha <= 0)
            throw new ArgumentOutOfRangeException(nameof(Alpha), Alpha, "Alpha must be a positive number.");
        if (TargetModules.Count == 0)
            throw new ArgumentException("TargetModules names no layer.");
    }
}
