using System.Globalization;
using Glimmer.Training.Loops;

namespace Glimmer.Cli;

/// <summary>Shows how far a training run is: a line that is replaced on a screen, and a line that stays now and then.</summary>
internal sealed class TrainingView(Terminal terminal) : IProgress<RunProgress>, IDisposable
{
    private static readonly TimeSpan s_interval = TimeSpan.FromSeconds(20);

    private readonly ProgressLine _line = new(terminal);
    private long _last;

    /// <inheritdoc/>
    public void Report(RunProgress value)
    {
        string text = Line(value);
        bool stays = value.Evaluation is not null || _last == 0 || TimeProvider.System.GetElapsedTime(_last) >= s_interval;
        if (!stays)
        {
            _line.Show(text);
            return;
        }

        _last = TimeProvider.System.GetTimestamp();
        _line.Clear();
        terminal.Error.WriteLine(text);
    }

    /// <summary>How the run ended, for the output.</summary>
    public static string Summary(RunResult result)
    {
        string why = result.End switch
        {
            RunEnd.Complete => "complete",
            RunEnd.DataEnded => "the data has come to its end",
            RunEnd.EarlyStop => "ended early: the held-out loss became no better",
            _ => "interrupted; the same command goes on from here",
        };
        string loss = result.Evaluation is { } figures ? Invariant($", held-out loss {figures.Loss:f4}, accuracy {figures.Accuracy:p1}") : "";
        return Invariant($"{result.Checkpoint}: {result.Steps} steps, {result.TokensSeen} tokens{loss} ({why})");
    }

    /// <inheritdoc/>
    public void Dispose() => _line.Dispose();

    private static string Line(RunProgress now)
    {
        string share = double.IsNaN(now.Share) ? "" : Invariant($"{now.Share:p0} ");
        string mtp = now.Report.NextTokenLosses.Count > 0 ? Invariant($" mtp {now.Report.NextTokenLosses[0]:f4}") : "";
        string skipped = now.Report.SkippedBecauseOf is { } name ? $" SKIPPED, the gradient of {name} is not finite" : "";
        string left = now.Remaining is { } time ? Invariant($" left {Duration(time)}") : "";
        string evaluation = now.Evaluation is { } figures ? Invariant($" | held-out loss {figures.Loss:f4}") : "";
        return Invariant($"{share}step {now.Report.Step + 1} loss {now.Report.Loss:f4}{mtp} norm {now.Report.GradientNorm:f2} lr {now.Report.LearningRate:g3} {now.TokensPerSecond:f0} tok/s{left}{evaluation}{skipped}");
    }

    private static string Duration(TimeSpan time) =>
        time.TotalHours >= 1 ? Invariant($"{(int)time.TotalHours}:{time.Minutes:00}:{time.Seconds:00}") : Invariant($"{time.Minutes}:{time.Seconds:00}");

    private static string Invariant(FormattableString text) => FormattableString.Invariant(text);
}
