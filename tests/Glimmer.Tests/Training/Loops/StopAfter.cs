using Glimmer.Training.Loops;

namespace Glimmer.Tests.Training.Loops;

/// <summary>Interrupts a run when so many steps are taken.</summary>
internal sealed class StopAfter(int steps, CancellationTokenSource interrupt) : IProgress<RunProgress>
{
    public void Report(RunProgress value)
    {
        if (value.Report.Step + 1 == steps)
            interrupt.Cancel();
    }
}
