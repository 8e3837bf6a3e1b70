using System.Diagnostics;
using Glimmer.Tensors;
using Microsoft.Win32.SafeHandles;

namespace Glimmer.Operations;

/// <summary>Routed experts of a model larger than memory: all are in a file, those used last are in memory too, within a budget.</summary>
/// <remarks>
/// A layer says which experts its tokens chose (<see cref="Begin"/>); those in memory are ready at once, the others are read by a thread of the store while the first ones
/// compute, least recently used ones making room. <see cref="Next"/> hands out what is ready until all were. An expert is the same packed bytes wherever it lies, and every
/// expert's output is complete before outputs are combined, so the order in which they become ready changes no bit. What was read is dropped from the system's page cache: the
/// budget is all the memory that experts take. One forward pass at a time; nothing is allocated in a step once every slot exists.
/// </remarks>
internal sealed unsafe class ExpertStore : IDisposable
{
    private readonly long _budget;
    private readonly List<StoredExpert> _all = [];
    private readonly ExpertReader _reader;
    private readonly Queue<(int Index, StoredExpert Expert)> _missing = new();
    private readonly List<(int Index, StoredExpert Expert)> _reading = [];
    private readonly List<(int Index, StoredExpert Expert)> _handedOut = [];
    private readonly List<int> _ready = [];
    private byte* _mapping;
    private StoredExpert? _newest;
    private StoredExpert? _oldest;
    private long _residentBytes;
    private int _resident;
    private long _hits;
    private long _misses;
    private long _foreseen;
    private long _bytesRead;
    private long _waitedTicks;

    /// <summary>A store without experts.</summary>
    /// <param name="budgetBytes">Most bytes of experts in memory.</param>
    public ExpertStore(long budgetBytes)
    {
        _budget = budgetBytes;
        _reader = new ExpertReader();
    }

    /// <summary>What happened so far.</summary>
    public ExpertStatistics Statistics => new(
        _all.Count, _resident, _budget, _residentBytes, _hits, _misses, _foreseen, _bytesRead, Stopwatch.GetElapsedTime(0, _waitedTicks));

    /// <summary>Takes the experts of a layer; called while the model loads.</summary>
    public StoredExpert[] Add(Expert[] experts)
    {
        StoredExpert[] stored = [.. experts.Select(e => new StoredExpert(e.Gate.PackedOrNull!, e.Up.PackedOrNull!, e.Down.PackedOrNull!))];
        _all.AddRange(stored);
        return stored;
    }

    /// <summary>Begins to serve.</summary>
    /// <param name="file">The file, for reading.</param>
    /// <param name="mapping">Its mapping, at which all matrices point now.</param>
    /// <param name="length">Bytes of the file.</param>
    /// <param name="owner">Keeps the mapping alive.</param>
    public void Start(SafeFileHandle file, byte* mapping, long length, object owner)
    {
        _mapping = mapping;
        foreach (StoredExpert expert in _all)
            expert.Locate(mapping, length, owner);
        long largest = _all.Count == 0 ? 0 : _all.Max(expert => expert.Bytes);
        if (largest > _budget)
            throw new UnsupportedModelException($"One expert takes {largest / 1e6:0.0} MB, but the memory budget leaves {_budget / 1e6:0.0} MB for experts.");
        _reader.Start(file);
    }

    /// <summary>Asks the system to read ahead what a layer will probably choose.</summary>
    /// <param name="layer">Its experts.</param>
    /// <param name="chosen">Indices, possibly with repetitions.</param>
    public void Foresee(StoredExpert[] layer, ReadOnlySpan<int> chosen)
    {
        foreach (int e in chosen)
        {
            StoredExpert expert = layer[e];
            if (expert.Slot is not null || expert.IsForeseen || expert.Bytes == 0)
                continue;
            expert.IsForeseen = true;
            _reader.ReadAhead(expert, urgent: false);
        }
    }

    /// <summary>Starts a layer: pins the chosen experts that are in memory and begins to read the others.</summary>
    /// <param name="layer">Its experts.</param>
    /// <param name="chosen">Indices, possibly with repetitions.</param>
    public void Begin(StoredExpert[] layer, ReadOnlySpan<int> chosen)
    {
        Abandon();
        foreach (int e in chosen)
        {
            StoredExpert expert = layer[e];
            if (expert.IsPinned)
                continue;
            expert.IsPinned = true;
            if (expert.Bytes == 0 || expert.Slot is not null)
            {
                _hits++;
                _handedOut.Add((e, expert));
                if (expert.Slot is not null)
                    Touch(expert);
                continue;
            }

            _misses++;
            _foreseen += expert.IsForeseen ? 1 : 0;
            _missing.Enqueue((e, expert));
        }

        foreach ((_, StoredExpert expert) in _missing)
        {
            if (!expert.IsForeseen)
                _reader.ReadAhead(expert, urgent: true);
            expert.IsForeseen = false;
        }

        foreach ((int index, _) in _handedOut)
            _ready.Add(index);
        FillSlots();
    }

    /// <summary>Gives back what the last call handed out, and waits for more.</summary>
    /// <param name="experts">Receives the indices of experts that are in memory until the next call, ascending.</param>
    /// <returns>Whether there was more.</returns>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public bool Next(List<int> experts)
    {
        experts.Clear();
        if (_ready.Count > 0)
        {
            // Those that were in memory from the beginning.
            experts.AddRange(_ready);
            _ready.Clear();
            experts.Sort();
            return true;
        }

        foreach ((_, StoredExpert expert) in _handedOut)
            expert.IsPinned = false;
        _handedOut.Clear();
        FillSlots();
        if (_reading.Count == 0)
            return false;
        long start = Stopwatch.GetTimestamp();
        _reader.WaitForAny(_reading);
        _waitedTicks += Stopwatch.GetTimestamp() - start;
        for (int i = 0; i < _reading.Count;)
        {
            (int index, StoredExpert expert) = _reading[i];
            if (!expert.IsFilled)
            {
                i++;
                continue;
            }

            expert.UseSlot(_mapping);
            Touch(expert);
            _handedOut.Add((index, expert));
            experts.Add(index);
            _reading.RemoveAt(i);
        }

        experts.Sort();
        return true;
    }

    public void Dispose()
    {
        _reader.Dispose();
        foreach (StoredExpert expert in _all)
        {
            expert.Slot?.Dispose();
            expert.Slot = null;
        }

        _all.Clear();
    }

    // A step that failed half-way leaves pins and reads behind.
    private void Abandon()
    {
        while (_reading.Count > 0)
        {
            _reader.WaitForAny(_reading);
            _reading.RemoveAll(reading =>
            {
                if (!reading.Expert.IsFilled)
                    return false;
                reading.Expert.UseSlot(_mapping);
                Touch(reading.Expert);
                reading.Expert.IsPinned = false;
                return true;
            });
        }

        foreach ((_, StoredExpert expert) in _missing)
            expert.IsPinned = false;
        foreach ((_, StoredExpert expert) in _handedOut)
            expert.IsPinned = false;
        _missing.Clear();
        _handedOut.Clear();
        _ready.Clear();
    }

    // Hands missing experts to the reader as long as there is room.
    private void FillSlots()
    {
        while (_missing.TryPeek(out (int Index, StoredExpert Expert) next) && SlotFor(next.Expert.Bytes) is { } slot)
        {
            _missing.Dequeue();
            (next.Expert.Slot, next.Expert.IsFilled) = (slot, false);
            _bytesRead += next.Expert.Bytes;
            _reading.Add(next);
            _reader.Read(next.Expert);
        }
    }

    // Memory for an expert: new while the budget allows, else that of experts used longest ago.
    private NativeBuffer? SlotFor(long bytes)
    {
        while (_residentBytes + bytes > _budget)
        {
            StoredExpert? victim = _oldest;
            while (victim is not null && victim.IsPinned)
                victim = victim.Newer;
            if (victim is null)
                return null;
            NativeBuffer slot = victim.Slot!;
            Unlink(victim);
            victim.UseFile();
            (victim.Slot, victim.IsFilled) = (null, false);
            if (slot.Bytes == bytes)
                return slot; // what is resident stays as large
            _resident--;
            _residentBytes -= slot.Bytes;
            slot.Dispose();
        }

        _resident++;
        _residentBytes += bytes;
        return new NativeBuffer(bytes);
    }

    private void Touch(StoredExpert expert)
    {
        if (ReferenceEquals(_newest, expert))
            return;
        if (expert.Newer is not null)
            Unlink(expert);
        expert.Older = _newest;
        if (_newest is not null)
            _newest.Newer = expert;
        _newest = expert;
        _oldest ??= expert;
    }

    private void Unlink(StoredExpert expert)
    {
        if (expert.Newer is not null)
            expert.Newer.Older = expert.Older;
        else
            _newest = expert.Older;
        if (expert.Older is not null)
            expert.Older.Newer = expert.Newer;
        else
            _oldest = expert.Newer;
        (expert.Newer, expert.Older) = (null, null);
    }
}
