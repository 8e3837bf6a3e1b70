using Glimmer.Training.Loops;
using Glimmer.Training.Runs;

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
        string text = StepLine.Of(value);
        if (value.Report.NextTokenLosses is [var mtp, ..])
            text += Invariant($"  mtp {mtp:f4}");
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
    /// <param name="result">Its end.</param>
    /// <param name="resume">How an interrupted run goes on.</param>
    public static string Summary(RunResult result, string resume = "the same command goes on from here")
    {
        string why = result.End switch
        {
            RunEnd.Complete => "complete",
            RunEnd.DataEnded => "the data has come to its end",
            RunEnd.EarlyStop => "ended early: the held-out loss became no better",
            _ => "interrupted; " + resume,
        };
        string loss = result.Evaluation is { } figures ? Invariant($", held-out loss {figures.Loss:f4}, accuracy {figures.Accuracy:p1}") : "";
        return Invariant($"{result.Checkpoint}: {result.Steps} steps, {result.TokensSeen} tokens{loss} ({why})");
    }

    /// <inheritdoc/>
    public void Dispose() => _line.Dispose();

    private static string Invariant(FormattableString text) => FormattableString.Invariant(text);
}
