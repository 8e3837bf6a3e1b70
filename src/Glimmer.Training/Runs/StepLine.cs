using System.Globalization;
using Glimmer.Training.Loops;

namespace Glimmer.Training.Runs;

/// <summary>Where a run stands, in one line: step, share, loss, KL of the indexers, gradient norm, learning rate, balance, speed, share of the machine's peak, time left.</summary>
public static class StepLine
{
    /// <summary>Describes a step.</summary>
    public static string Of(RunProgress progress)
    {
        StepReport report = progress.Report;
        var culture = CultureInfo.InvariantCulture;
        var parts = new List<string>
        {
            progress.Steps is { } most ? string.Create(culture, $"step {report.Step + 1}/{most}") : string.Create(culture, $"step {report.Step + 1}"),
        };
        if (double.IsFinite(progress.Share))
            parts.Add(string.Create(culture, $"{progress.Share * 100:0} %"));
        parts.Add(string.Create(culture, $"loss {report.Loss:0.0000}"));
        if (progress.Evaluation is { } evaluation)
            parts.Add(string.Create(culture, $"valid {evaluation.Loss:0.0000}"));
        if (report.IndexerLosses.Count > 0)
            parts.Add(string.Create(culture, $"KL {report.IndexerLosses.Average():0.0000}"));
        parts.Add(string.Create(culture, $"grad {report.GradientNorm:0.000}"));
        parts.Add(string.Create(culture, $"lr {report.LearningRate:0.##e+0}"));
        if (report.Experts.Count > 0)
            parts.Add(string.Create(culture, $"MaxVio {report.Experts.Max(load => load.MaxVio):0.00}"));
        parts.Add($"{Short(progress.TokensPerSecond)} tokens/s");
        if (progress.ShareOfPeak is { } peak)
            parts.Add(string.Create(culture, $"{peak * 100:0} % of peak"));
        if (progress.Remaining is { } left)
            parts.Add("left " + Clock(left));
        if (report.SkippedBecauseOf is { } name)
            parts.Add($"skipped: '{name}' is not finite");
        return string.Join("  ", parts);
    }

    /// <summary>A time as <c>1:02:03</c> or <c>2:03</c>.</summary>
    public static string Clock(TimeSpan time) => time.TotalHours >= 1
        ? string.Create(CultureInfo.InvariantCulture, $"{(long)time.TotalHours}:{time.Minutes:00}:{time.Seconds:00}")
        : string.Create(CultureInfo.InvariantCulture, $"{time.Minutes}:{time.Seconds:00}");

    private static string Short(double value) => value switch
    {
        >= 999_500 => string.Create(CultureInfo.InvariantCulture, $"{value / 1e6:0.00} M"),
        >= 9_995 => string.Create(CultureInfo.InvariantCulture, $"{value / 1e3:0.0} k"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{value:0}"),
    };
}
