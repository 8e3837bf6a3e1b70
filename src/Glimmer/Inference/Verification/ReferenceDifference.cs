namespace Glimmer.Inference.Verification;

/// <summary>How far one recorded value is from ours.</summary>
/// <param name="Key">Name in the recording, for example <c>s1.layer2.router_logits</c>.</param>
/// <param name="Quantity">Group with a common tolerance, for example <c>router_logits</c>.</param>
/// <param name="Largest">Largest difference, in the unit of the tolerance; for exact values the number of mismatches.</param>
/// <param name="Tolerance">Largest difference allowed; 0 for exact values.</param>
/// <param name="Values">Numbers compared.</param>
public readonly record struct ReferenceDifference(string Key, string Quantity, double Largest, double Tolerance, long Values)
{
    /// <summary>Whether the difference is within the tolerance; NaN is not.</summary>
    public bool Passed => Largest <= Tolerance;
}
