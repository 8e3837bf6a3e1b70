namespace Glimmer.Operations;

/// <summary>What an adapter does to one weight: a low-rank addition to its linear layer, or another weight in its place.</summary>
/// <param name="Factor">The addition, or null.</param>
/// <param name="Replacement">The weight that is used instead (<c>modules_to_save</c> of PEFT), or null.</param>
internal sealed record Adaptation(LowRankFactor? Factor, Parameter? Replacement);
