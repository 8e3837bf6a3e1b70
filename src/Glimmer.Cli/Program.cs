using System.Runtime.InteropServices;
using Glimmer.Cli;

// The first signal asks the command to stop between two steps, a second one does not wait for it.
using var interrupt = new CancellationTokenSource();
int signalled = 0;

void Stop(PosixSignalContext context)
{
    context.Cancel = true;
    int code = context.Signal == PosixSignal.SIGINT ? ExitCodes.Interrupted : ExitCodes.Terminated;
    if (Interlocked.Exchange(ref signalled, code) != 0)
        Environment.Exit(code);
    interrupt.Cancel();
}

using PosixSignalRegistration onInterrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
using PosixSignalRegistration onTerminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
int exitCode = GlimmerCommand.Run(args, Terminal.System(interrupt.Token));
return exitCode == ExitCodes.Interrupted && signalled != 0 ? signalled : exitCode;
