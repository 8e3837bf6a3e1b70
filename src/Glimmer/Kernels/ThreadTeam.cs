using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using Glimmer.Tensors;

namespace Glimmer.Kernels;

/// <summary>A fixed team of threads that runs jobs together; the caller of <c>Run</c> is thread 0.</summary>
/// <remarks>
/// A job is published by raising a generation number that the workers watch. A waiting thread spins for about
/// 50 microseconds and then sleeps, so back-to-back jobs cost a few hundred nanoseconds and an idle team costs nothing. A team with more
/// threads than cores never spins: it yields at once. Running a job allocates nothing. A team runs one job at a time: a second <c>Run</c>,
/// from inside a job or from another thread, is an error. Threads that a team starts end with <see cref="Dispose"/>.
/// </remarks>
public sealed unsafe class ThreadTeam : IDisposable
{
    private const int SpinMicroseconds = 50;
    private const int SharedSlots = 2;

    private static readonly long s_spinTicks = SpinMicroseconds * Stopwatch.Frequency / 1_000_000;

    private readonly Thread[] _workers;
    private readonly SemaphoreSlim[] _wake;
    private readonly SemaphoreSlim _finished = new(0);
    private readonly PaddedInt[] _asleep;
    private readonly NativeBuffer?[] _scratch;
    private readonly bool _spins;

    // The job, valid while it runs.
    private delegate*<void*, int, int, void> _body;
    private void* _state;
    private TeamJob? _job;
    private ExceptionDispatchInfo? _error;
    private int _running;
    private bool _disposed;

    // Each counter on cache lines of its own: a waiting thread reads one of them all the time.
    private PaddedInt _generation;
    private PaddedInt _pending;
    private PaddedInt _callerAsleep;
    private PaddedInt _failed;
    private PaddedInt _barrierArrived;
    private PaddedInt _barrierGeneration;

    /// <summary>Starts a team.</summary>
    /// <param name="threads">Threads including the caller, at least 1. One a core is best.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="threads"/> is below 1.</exception>
    public ThreadTeam(int threads)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(threads, 1);
        Threads = threads;
        _spins = threads <= Environment.ProcessorCount;
        _scratch = new NativeBuffer?[threads + SharedSlots];
        _workers = new Thread[threads - 1];
        _wake = new SemaphoreSlim[threads - 1];
        _asleep = new PaddedInt[threads - 1];
        for (int i = 0; i < _workers.Length; i++)
        {
            int thread = i + 1;
            _wake[i] = new SemaphoreSlim(0);
            _workers[i] = new Thread(() => Work(thread), 1 << 20) { IsBackground = true, Name = $"Glimmer {thread}" };
            _workers[i].Start();
        }
    }

    /// <summary>Threads in the team, the caller included.</summary>
    public int Threads { get; }

    /// <summary>Runs <paramref name="job"/> on every thread and returns when all are done.</summary>
    /// <exception cref="InvalidOperationException">A job is running already.</exception>
    /// <remarks>The first exception of any thread is rethrown here after all threads have stopped.</remarks>
    public void Run(TeamJob job)
    {
        ArgumentNullException.ThrowIfNull(job);
        Enter();
        _job = job;
        RunAll();
    }

    /// <summary>Runs <c>body(state, thread, threads)</c> on every thread and returns when all are done.</summary>
    /// <exception cref="InvalidOperationException">A job is running already.</exception>
    internal void Run(delegate*<void*, int, int, void> body, void* state)
    {
        Enter();
        _body = body;
        _state = state;
        RunAll();
    }

    /// <summary>Waits inside a job until every thread of the team has arrived.</summary>
    /// <param name="thread">Index of the calling thread.</param>
    /// <exception cref="OperationCanceledException">Another thread of the job failed and will never arrive; do not catch it.</exception>
    public void Barrier(int thread)
    {
        Debug.Assert((uint)thread < (uint)Threads, "thread index outside of the team");
        if (Threads == 1)
            return;
        int generation = Volatile.Read(ref _barrierGeneration.Value);
        if (Interlocked.Increment(ref _barrierArrived.Value) == Threads)
        {
            _barrierArrived.Value = 0;
            Volatile.Write(ref _barrierGeneration.Value, generation + 1);
            return;
        }

        long start = 0;
        for (int round = 0; Volatile.Read(ref _barrierGeneration.Value) == generation; round++)
        {
            if (Volatile.Read(ref _failed.Value) != 0)
                throw new OperationCanceledException("Another thread of the team failed.");
            if (!SpinOnce(round, ref start))
                Thread.Yield();
        }
    }

    /// <summary>Memory of one thread, for use inside a job: at least <paramref name="bytes"/> bytes aligned to 64, with undefined content.</summary>
    /// <remarks>The next call for the same thread returns the same memory unless it has to grow, so a job asks once for all it needs.</remarks>
    internal byte* Scratch(int thread, long bytes) => Grow(ref _scratch[thread], bytes);

    /// <summary>Memory shared by all threads of a job, in one of two slots; only the caller of <c>Run</c> may ask for it, before the job.</summary>
    internal byte* SharedScratch(int slot, long bytes)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)slot, (uint)SharedSlots, nameof(slot));
        return Grow(ref _scratch[Threads + slot], bytes);
    }

    /// <summary>Ends the threads and frees the scratch memory. No job may be running.</summary>
    public void Dispose()
    {
        if (_disposed)
            return;
        Enter();
        _disposed = true;
        Publish();
        foreach (Thread worker in _workers)
            worker.Join();
        foreach (NativeBuffer? buffer in _scratch)
            buffer?.Dispose();
        foreach (SemaphoreSlim wake in _wake)
            wake.Dispose();
        _finished.Dispose();
    }

    private static byte* Grow(ref NativeBuffer? buffer, long bytes)
    {
        if (buffer is null || buffer.Bytes < bytes)
        {
            buffer?.Dispose();
            buffer = new NativeBuffer(bytes + bytes / 4);
        }

        return buffer.Pointer;
    }

    private void Enter()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (Interlocked.Exchange(ref _running, 1) != 0)
        {
            throw new InvalidOperationException(
                "The team is running a job already: a job must not start another one, and only one thread may call Run at a time.");
        }
    }

    private void RunAll()
    {
        if (Threads > 1)
        {
            _barrierArrived.Value = 0;
            _pending.Value = Threads - 1;
            Publish();
        }

        Execute(0);
        if (Threads > 1)
            AwaitWorkers();

        ExceptionDispatchInfo? error = _error;
        _body = null;
        _job = null;
        _error = null;
        _failed.Value = 0;
        Volatile.Write(ref _running, 0);
        error?.Throw();
    }

    // The interlocked increment is a full fence: either a worker that is about to sleep sees the new generation, or its flag is seen here.
    private void Publish()
    {
        Interlocked.Increment(ref _generation.Value);
        for (int i = 0; i < _wake.Length; i++)
        {
            if (Volatile.Read(ref _asleep[i].Value) != 0 && Interlocked.Exchange(ref _asleep[i].Value, 0) != 0)
                _wake[i].Release();
        }
    }

    private void AwaitWorkers()
    {
        long start = 0;
        for (int round = 0; Volatile.Read(ref _pending.Value) != 0; round++)
        {
            if (SpinOnce(round, ref start))
                continue;
            Interlocked.Exchange(ref _callerAsleep.Value, 1);
            // A release may be left over from an earlier job: whoever wakes looks again.
            if (Volatile.Read(ref _pending.Value) != 0)
                _finished.Wait();
        }

        _callerAsleep.Value = 0;
    }

    private void Work(int thread)
    {
        int seen = 0;
        while (true)
        {
            AwaitGeneration(thread, seen);
            seen++;
            if (_disposed)
                return;
            Execute(thread);
            if (Interlocked.Decrement(ref _pending.Value) == 0 && Interlocked.Exchange(ref _callerAsleep.Value, 0) != 0)
                _finished.Release();
        }
    }

    private void AwaitGeneration(int thread, int seen)
    {
        long start = 0;
        for (int round = 0; Volatile.Read(ref _generation.Value) == seen; round++)
        {
            if (SpinOnce(round, ref start))
                continue;
            Interlocked.Exchange(ref _asleep[thread - 1].Value, 1);
            if (Volatile.Read(ref _generation.Value) == seen)
                _wake[thread - 1].Wait();
        }

        _asleep[thread - 1].Value = 0;
    }

    private void Execute(int thread)
    {
        try
        {
            if (_job is not null)
                _job.Execute(thread, Threads);
            else
                _body(_state, thread, Threads);
        }
        catch (Exception exception)
        {
            // The first error wins; the others are usually threads that a barrier released because of it.
            if (Interlocked.Exchange(ref _failed.Value, 1) == 0)
                _error = ExceptionDispatchInfo.Capture(exception);
        }
    }

    // One step of a wait: true while spinning goes on, false when it is time to give the core away.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool SpinOnce(int round, ref long start)
    {
        if (!_spins)
            return false;
        if (X86Base.IsSupported)
            X86Base.Pause();
        else
            Thread.SpinWait(1);
        if ((round & 15) != 0)
            return true;
        long now = Stopwatch.GetTimestamp();
        if (start == 0)
            start = now;
        return now - start < s_spinTicks;
    }

    [StructLayout(LayoutKind.Explicit, Size = 256)]
    private struct PaddedInt
    {
        [FieldOffset(128)]
        public int Value;
    }
}
