using Glimmer.Tensors;
using Microsoft.Win32.SafeHandles;

namespace Glimmer.Operations;

/// <summary>The thread that reads experts from the file into their slots, in the order of the requests. What is needed now is announced to the disk first; what may be needed later waits until nothing else is to do.</summary>
internal sealed unsafe class ExpertReader : IDisposable
{
    private const int ChunkBytes = 8 << 20;

    private readonly object _lock = new();
    private readonly Queue<StoredExpert> _reads = new();
    private readonly Queue<(long Offset, long Bytes)> _urgent = new();
    private readonly Queue<(long Offset, long Bytes)> _later = new();
    private Thread? _thread;
    private SafeFileHandle? _file;
    private IOException? _error;
    private bool _stop;

    /// <summary>Starts the thread.</summary>
    public void Start(SafeFileHandle file)
    {
        _file = file;
        _thread = new Thread(Run) { IsBackground = true, Name = "Glimmer experts" };
        _thread.Start();
    }

    /// <summary>Asks the system to bring an expert into the page cache.</summary>
    /// <param name="expert">The expert.</param>
    /// <param name="urgent">Whether <see cref="Read"/> of it follows at once.</param>
    public void ReadAhead(StoredExpert expert, bool urgent)
    {
        lock (_lock)
        {
            (urgent ? _urgent : _later).Enqueue((expert.Offset, expert.Bytes));
            Monitor.PulseAll(_lock);
        }
    }

    /// <summary>Fills the slot of an expert; <see cref="StoredExpert.IsFilled"/> says when.</summary>
    public void Read(StoredExpert expert)
    {
        lock (_lock)
        {
            _reads.Enqueue(expert);
            Monitor.PulseAll(_lock);
        }
    }

    /// <summary>Returns when at least one of the experts is filled.</summary>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public void WaitForAny(List<(int Index, StoredExpert Expert)> experts)
    {
        lock (_lock)
        {
            while (!AnyFilled(experts))
            {
                if (_error is not null)
                    throw new IOException(_error.Message, _error);
                ObjectDisposedException.ThrowIf(_stop, this);
                Monitor.Wait(_lock);
            }
        }
    }

    public void Dispose()
    {
        lock (_lock)
        {
            _stop = true;
            Monitor.PulseAll(_lock);
        }

        _thread?.Join();
    }

    private static bool AnyFilled(List<(int Index, StoredExpert Expert)> experts)
    {
        foreach ((_, StoredExpert expert) in experts)
        {
            if (expert.IsFilled)
                return true;
        }

        return false;
    }

    private void Run()
    {
        while (true)
        {
            StoredExpert? expert = null;
            (long Offset, long Bytes) ahead = default;
            lock (_lock)
            {
                while (!_stop && _reads.Count + _urgent.Count + _later.Count == 0)
                    Monitor.Wait(_lock);
                if (_stop)
                    return;
                if (!_urgent.TryDequeue(out ahead) && !_reads.TryDequeue(out expert))
                    ahead = _later.Dequeue();
            }

            if (expert is null)
            {
                MemoryAdvice.WillNeed(_file!, ahead.Offset, ahead.Bytes);
                continue;
            }

            IOException? error = Fill(expert);
            lock (_lock)
            {
                if (error is null)
                    expert.IsFilled = true;
                else
                    _error = error;
                Monitor.PulseAll(_lock);
            }
        }
    }

    private IOException? Fill(StoredExpert expert)
    {
        try
        {
            byte* target = expert.Slot!.Pointer;
            for (long done = 0; done < expert.Bytes;)
            {
                int read = RandomAccess.Read(_file!, new Span<byte>(target + done, (int)Math.Min(ChunkBytes, expert.Bytes - done)), expert.Offset + done);
                if (read == 0)
                    return new IOException($"The file of packed weights ended at byte {expert.Offset + done}. Did something change it while the model runs?");
                done += read;
            }

            // Memory holds it now; a second copy would take the place of what others need.
            MemoryAdvice.DropCached(_file!, expert.Offset, expert.Bytes);
            return null;
        }
        catch (IOException e)
        {
            return e;
        }
    }
}
