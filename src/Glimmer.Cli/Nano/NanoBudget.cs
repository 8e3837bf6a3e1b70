using System.Globalization;

namespace Glimmer.Cli.Nano;

/// <summary>How the minutes of a run are spent, and how much is measured in them.</summary>
/// <param name="Minutes">Minutes of the whole run.</param>
internal sealed record NanoBudget(double Minutes)
{
    /// <summary>The budget for which the recipe was made, with every sample of the report card.</summary>
    public const double WholeMinutes = 100;

    private const int LeastSamples = 8;

    /// <summary>The trunk answers prompts.</summary>
    public double Answers => 0.13 * Minutes;

    /// <summary>Training, with its evaluations and checkpoints.</summary>
    public double Training => 0.46 * Minutes;

    /// <summary>The report card of the trunk. It rambles, so it takes as long as that of the result.</summary>
    public double Before => 0.15 * Minutes;

    /// <summary>The report card of the result.</summary>
    public double After => 0.15 * Minutes;

    /// <summary>Samples of a set that are measured in this budget.</summary>
    public int Samples(int all) => (int)Math.Clamp(Math.Ceiling(all * Minutes / WholeMinutes), Math.Min(all, LeastSamples), all);

    /// <summary>The plan, a line a stage.</summary>
    public IEnumerable<string> Lines()
    {
        yield return Line("data and start state", 0.01 * Minutes);
        yield return Line("report card of the trunk", Before);
        yield return Line("the trunk's own answers", Answers);
        yield return Line("training", Training);
        yield return Line("report card of the result", After);
        yield return Line("left over", Minutes - (0.01 * Minutes) - Before - Answers - Training - After);
    }

    private static string Line(string stage, double minutes) => string.Create(CultureInfo.InvariantCulture, $"  {stage,-28}{minutes,7:f1} min");
}
