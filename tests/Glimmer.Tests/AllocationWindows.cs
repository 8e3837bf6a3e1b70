namespace Glimmer.Tests;

/// <summary>
/// Counts what the current thread allocates, window by window. The runtime itself may allocate once on a busy machine (a wait that has to sleep, code that is
/// compiled again); what the measured code allocates shows in every window.
/// </summary>
internal struct AllocationWindows()
{
    private long _before;
    private long _least = long.MaxValue;

    public void Begin() => _before = GC.GetAllocatedBytesForCurrentThread();

    public void End() => _least = Math.Min(_least, GC.GetAllocatedBytesForCurrentThread() - _before);

    public readonly void AssertNone() => Assert.Equal(0, _least);
}
