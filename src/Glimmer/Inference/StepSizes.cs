namespace Glimmer.Inference;

/// <summary>How many positions the steps of an engine computed.</summary>
/// <param name="Counts">Steps of at most as many positions as the bound of the same place and more than the bound before it; last, those above all bounds.</param>
/// <param name="Positions">Positions of all steps.</param>
public sealed record StepSizes(IReadOnlyList<long> Counts, long Positions)
{
    /// <summary>The bounds, ascending: those of vLLM's <c>iteration_tokens_total</c>.</summary>
    public static IReadOnlyList<int> Bounds { get; } = [1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384];

    /// <summary>The place among the counts of a step.</summary>
    internal static int Place(int positions)
    {
        int place = 0;
        while (place < Bounds.Count && positions > Bounds[place])
            place++;
        return place;
    }
}
