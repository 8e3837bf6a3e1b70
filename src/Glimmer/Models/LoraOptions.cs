namespace Glimmer.Models;

/// <summary>What a new adapter looks like. Names and rules are those of PEFT; names of Megatron-core targets are understood too.</summary>
public sealed record LoraOptions
{
    /// <summary>Rank of the factors.</summary>
    public int Rank { get; init; } = 8;

    /// <summary>Divided by the rank it is the scale of the addition.</summary>
    public float Alpha { get; init; } = 32;

    /// <summary>Whether alpha is divided by the root of the rank instead (rsLoRA, Kalajdzievski 2023).</summary>
    public bool UseRsLora { get; init; }

    /// <summary>Whether each layer gets a trained magnitude an output (DoRA, Liu et al. 2024).</summary>
    public bool UseDora { get; init; }

    /// <summary>Share of the inputs of A that training steps zero; 0 for none. Routed experts and <c>kv_b_proj</c> take none.</summary>
    public float Dropout { get; init; }

    /// <summary>
    /// The linear layers that get factors, by the end of their module name: <c>q_proj</c>, <c>shared_experts.up_proj</c>, <c>mlp.gate</c> (the router). Also Megatron-core's <c>linear_qkv</c>,
    /// <c>linear_proj</c>, <c>linear_fc1</c>, <c>linear_fc2</c>, <c>linear_q_down_proj</c>, ..., <c>all-linear</c> (everything but head and router) and <c>all-router</c>. A plain name never
    /// means routed experts; see <see cref="TargetParameters"/>.
    /// </summary>
    public IReadOnlyList<string> TargetModules { get; init; } = ["q_proj", "k_proj", "v_proj", "o_proj"];

    /// <summary>A regular expression for whole module names, instead of <see cref="TargetModules"/>; null for none.</summary>
    public string? TargetPattern { get; init; }

    /// <summary>Stacked weights that get factors, by the end of their name: <c>mlp.experts.gate_up_proj</c>, <c>mlp.experts.down_proj</c>, <c>mlp.gate.weight</c>.</summary>
    public IReadOnlyList<string> TargetParameters { get; init; } = [];

    /// <summary>Ranks of some modules, by the end of their name or a regular expression for it; the first that fits counts.</summary>
    public IReadOnlyList<KeyValuePair<string, int>> RankPattern { get; init; } = [];

    /// <summary>Alphas of some modules, likewise.</summary>
    public IReadOnlyList<KeyValuePair<string, float>> AlphaPattern { get; init; } = [];

    /// <summary>Modules whose weight is trained and stored whole, by the end of their name: <c>lm_head</c>, <c>embed_tokens</c>, or a linear layer without bias.</summary>
    public IReadOnlyList<string> ModulesToSave { get; init; } = [];

    /// <summary>Numbers of the layers that get factors; null for all of the trunk. The MTP layer comes after the trunk's.</summary>
    public IReadOnlyList<int>? Layers { get; init; }

    /// <summary>Seed of the factors A.</summary>
    public ulong Seed { get; init; }

    /// <summary>The scale of the addition where no pattern says otherwise.</summary>
    public float Scale => ScaleOf(Alpha, Rank);

    /// <summary>Throws when a value makes no sense.</summary>
    /// <exception cref="ArgumentException">Names the option.</exception>
    public void Check()
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Rank);
        if (!float.IsFinite(Alpha) || Alpha <= 0)
            throw new ArgumentOutOfRangeException(nameof(Alpha), Alpha, "Alpha must be a positive number.");
        if (!(Dropout is >= 0 and < 1))
            throw new ArgumentOutOfRangeException(nameof(Dropout), Dropout, "Dropout must be at least 0 and below 1.");
        if (UseDora && Dropout > 0)
            throw new ArgumentException("DoRA with dropout is not supported. Set Dropout to 0.");
        if (TargetModules.Count == 0 && TargetPattern is null && TargetParameters.Count == 0)
            throw new ArgumentException("TargetModules names no layer.");
    }

    /// <summary>The scale of an addition of some rank and alpha.</summary>
    internal float ScaleOf(float alpha, int rank) => UseRsLora ? alpha / MathF.Sqrt(rank) : alpha / rank;
}
