using Glimmer.Kernels;
using Glimmer.Operations;

namespace Glimmer.Inference;

/// <summary>
/// Decides what each step runs: admits waiting sequences while there is room, gives every generating sequence its token and shares what is left among prompts; when
/// memory runs out, unused prefixes go first, then the newest sequence gives way and is computed again later.
/// </summary>
internal sealed class Scheduler(KeyValueCache cache, PrefixTree tree, EngineOptions options)
{
    private const int Page = KeyValueLayout.PagePositions;

    private readonly List<Sequence> _waiting = []; // in order
    private readonly List<Sequence> _running = []; // in order

    /// <summary>Sequences with memory, first come first.</summary>
    public List<Sequence> Running => _running;

    /// <summary>Sequences without.</summary>
    public List<Sequence> Waiting => _waiting;

    public int WeightVersion { get; set; }

    public long Preemptions { get; private set; }

    public long CachedTokens { get; private set; }

    /// <summary>Puts a sequence into the queue.</summary>
    public void Add(Sequence sequence) => Insert(_waiting, sequence);

    /// <summary>Puts a sequence that has its memory already among the running ones.</summary>
    public void AddRunning(Sequence sequence) => Insert(_running, sequence);

    /// <summary>Fills <see cref="Sequence.Planned"/> and <see cref="Sequence.DraftCount"/> of all running sequences.</summary>
    public void Plan()
    {
        Admit();
        int generating = 0, prompts = 0;
        foreach (Sequence sequence in _running)
        {
            sequence.Planned = 0;
            if (sequence.Pending == 1)
                generating++;
            else
                prompts++;
        }

        for (int i = 0; i < _running.Count; i++)
        {
            if (_running[i].Pending == 1)
                PlanToken(_running[i]);
        }

        // Beside many sequences a step is bound by its tokens: as many prompt tokens again at most double it.
        int budget = generating > 0 ? Math.Min(options.PrefillTokens, Math.Max(options.MixedPrefillTokens, generating)) : options.PrefillTokens;
        for (int i = 0; i < _running.Count && budget > 0; i++)
        {
            Sequence sequence = _running[i];
            if (sequence.Pending == 1)
                continue;
            int share = Math.Min(sequence.Pending, (budget + prompts - 1) / prompts--);
            sequence.DraftCount = 0;
            if (!Reserve(sequence, sequence.Computed + share))
                continue; // It gave way itself.
            sequence.Planned = share;
            budget -= share;
        }
    }

    /// <summary>Takes a finished or cancelled sequence out; its full blocks stay in the prefix tree.</summary>
    public void Remove(Sequence sequence)
    {
        if (sequence.Cache is null)
        {
            _waiting.Remove(sequence);
            return;
        }

        _running.Remove(sequence);
        Release(sequence);
    }

    /// <summary>Keeps the prefixes that a sequence has computed so far.</summary>
    public void Share(Sequence sequence)
    {
        if (!options.ReusePrefixes)
            return;
        int final = sequence.Drafting == DraftSource.NextTokenLayer ? sequence.DraftKeys : sequence.Computed;
        tree.Insert(SpaceOf(sequence), sequence.Tokens[..final], sequence.Cache!);
    }

    /// <summary>Makes room for positions without taking anything from a running sequence.</summary>
    public bool TryReserve(Sequence sequence, int positions)
    {
        int needed = KeyValueLayout.PagesFor(positions) - sequence.Cache!.BlockCount;
        if (needed > cache.AvailableBlocks)
            return false;
        while (needed > cache.MaxBlocks - cache.BlocksInUse)
        {
            if (!tree.EvictOne())
                return false;
        }

        sequence.Cache.EnsureCapacity(positions);
        return true;
    }

    /// <summary>Makes room for one block without taking anything from a running sequence.</summary>
    public bool TryFreeBlock() => cache.BlocksInUse < cache.MaxBlocks || tree.EvictOne();

    /// <summary>Sends every running sequence back to the queue; what it computed is forgotten.</summary>
    public void ForgetAll()
    {
        while (_running.Count > 0)
            Preempt(_running[^1], keepPrefix: false);
        tree.Clear();
    }

    /// <summary>Gives the memory of every sequence back; full blocks stay in the prefix tree.</summary>
    public void RetractAll()
    {
        while (_running.Count > 0)
            Preempt(_running[^1], keepPrefix: true);
    }

    private void Admit()
    {
        for (int i = 0; i < _waiting.Count;)
        {
            Sequence sequence = _waiting[i];
            if (RunningAnswers() + sequence.Answers > Math.Max(options.MaxRunning, sequence.Answers))
                return;
            if (WaitsForPrefix(sequence))
            {
                i++;
                continue;
            }

            sequence.Cache = cache.NewSequence();
            sequence.Owner.Admit();
            sequence.DraftKeys = 0;
            if (options.ReusePrefixes && !sequence.Owner.MustRunPrompt)
                sequence.DraftKeys = tree.Attach(SpaceOf(sequence), sequence.Tokens[..^1], sequence.Cache);
            int needed = KeyValueLayout.PagesFor(sequence.TokenCount) - sequence.Cache.BlockCount;
            // A block for each running sequence, so that one that is admitted does not have to give way at once.
            if (_running.Count > 0 && needed + Promised() + _running.Count > cache.AvailableBlocks)
            {
                sequence.Cache.Dispose();
                sequence.Cache = null;
                return; // Nobody overtakes: large requests would wait for ever.
            }

            if (sequence.TokenCount == sequence.PromptLength)
            {
                sequence.Owner.CachedTokens = sequence.Computed;
                CachedTokens += sequence.Computed;
            }

            _waiting.RemoveAt(i);
            Insert(_running, sequence);
        }
    }

    // Another sequence is computing a longer part of this prompt than the tree has: its blocks will be there soon.
    private bool WaitsForPrefix(Sequence sequence)
    {
        if (!options.ReusePrefixes || sequence.Owner.Request.RunsWholePrompt)
            return false;
        int known = -1;
        ReadOnlySpan<int> tokens = sequence.Tokens[..^1];
        foreach (Sequence other in _running)
        {
            if (other.Pending == 1 || other.Owner.Request.RunsWholePrompt || SpaceOf(other) != SpaceOf(sequence))
                continue;
            int common = tokens.CommonPrefixLength(other.Tokens) / Page * Page;
            if (common == 0)
                continue;
            if (known < 0)
                known = tree.MatchLength(SpaceOf(sequence), tokens);
            if (common > known)
                return true;
        }

        return false;
    }

    private int RunningAnswers()
    {
        int answers = 0;
        foreach (Sequence sequence in _running)
            answers += sequence.Answers;
        return answers;
    }

    // Blocks that running sequences will still need for tokens they have.
    private int Promised()
    {
        int blocks = 0;
        foreach (Sequence sequence in _running)
            blocks += Math.Max(0, KeyValueLayout.PagesFor(sequence.TokenCount) - sequence.Cache!.BlockCount);
        return blocks;
    }

    private void PlanToken(Sequence sequence)
    {
        if (sequence.DraftCount > 0 && !TryReserve(sequence, sequence.TokenCount + sequence.DraftCount))
            sequence.DraftCount = 0;
        if (Reserve(sequence, sequence.TokenCount))
            sequence.Planned = 1;
    }

    // Makes room, if need be by sending the newest sequences back to the queue; false when the sequence itself had to go.
    private bool Reserve(Sequence sequence, int positions)
    {
        while (!TryReserve(sequence, positions))
        {
            Sequence newest = _running[^1];
            Preempt(newest, keepPrefix: true);
            if (ReferenceEquals(newest, sequence))
                return false;
        }

        return true;
    }

    private void Preempt(Sequence sequence, bool keepPrefix)
    {
        Preemptions++;
        _running.Remove(sequence);
        if (keepPrefix)
            Release(sequence);
        else
            Drop(sequence);
        Insert(_waiting, sequence);
    }

    private void Release(Sequence sequence)
    {
        Share(sequence);
        Drop(sequence);
    }

    private static void Drop(Sequence sequence)
    {
        sequence.Cache!.Dispose();
        sequence.Cache = null;
        (sequence.Planned, sequence.DraftCount, sequence.DraftKeys) = (0, 0, 0);
    }

    private PrefixSpace SpaceOf(Sequence sequence) =>
        new(WeightVersion, sequence.Owner.Request.CacheNamespace, sequence.Drafting == DraftSource.NextTokenLayer, sequence.Adapter.Id);

    private static void Insert(List<Sequence> list, Sequence sequence)
    {
        int at = list.Count;
        while (at > 0 && list[at - 1].Order > sequence.Order)
            at--;
        list.Insert(at, sequence);
    }
}
