using System.Runtime.InteropServices;
using Glimmer.Cli;

// The first signal asks the command to stop between two steps, a second one does not wait for it.
using var interrupt = new CancellationTokenSource();
int signalled = 0;
const int LinuxUserSignal = 10; // SIGUSR1

void Stop(PosixSignalContext context)
{
    context.Cancel = true;
    int code = context.Signal == PosixSignal.SIGINT ? ExitCodes.Interrupted : ExitCodes.Terminated;
    if (Interlocked.Exchange(ref signalled, code) != 0)
        Environment.Exit(code);
    interrupt.Cancel();
}

void StopGently(PosixSignalContext context)
{
    context.Cancel = true;
    interrupt.Cancel();
}

using PosixSignalRegistration onInterrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
using PosixSignalRegistration onTerminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
// mpirun hands SIGUSR1 on to its ranks, while Ctrl-C makes it kill them after a second or two. It may come more than once.
using PosixSignalRegistration? onUser = OperatingSystem.IsLinux() ? PosixSignalRegistration.Create((PosixSignal)LinuxUserSignal, StopGently) : null;
int exitCode = GlimmerCommand.Run(args, Terminal.System(interrupt.Token));
return exitCode == ExitCodes.Interrupted && signalled != 0 ? signalled : exitCode;
