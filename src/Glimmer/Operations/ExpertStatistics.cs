namespace Glimmer.Operations;

/// <summary>What a model that keeps its experts on disk has found in memory.</summary>
/// <param name="Experts">Routed experts of all layers.</param>
/// <param name="Resident">Of these, experts in memory now.</param>
/// <param name="BudgetBytes">Most bytes of experts in memory.</param>
/// <param name="ResidentBytes">Bytes of experts in memory now.</param>
/// <param name="Hits">Uses of an expert in a step that found it in memory.</param>
/// <param name="Misses">Uses that had to read it.</param>
/// <param name="Foreseen">Of the misses, those that the layer before had asked the system to read ahead.</param>
/// <param name="BytesRead">Bytes read for misses.</param>
/// <param name="Waited">Time that computing waited for reads.</param>
public sealed record ExpertStatistics(
    int Experts, int Resident, long BudgetBytes, long ResidentBytes, long Hits, long Misses, long Foreseen, long BytesRead, TimeSpan Waited)
{
    /// <summary>Share of uses that found their expert in memory; 1 before the first use.</summary>
    public double HitRate => Hits + Misses == 0 ? 1 : (double)Hits / (Hits + Misses);
}
