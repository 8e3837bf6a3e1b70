using System.Runtime.InteropServices;
using Glimmer.Kernels;
using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Tensors;
using Glimmer.Tokenization;

namespace Glimmer.Inference;

/// <summary>The engine without its thread: a step plans, runs one forward pass over all planned tokens, samples, and drafts.</summary>
/// <remarks>
/// What a request gets does not depend on what it shares a step with: logits are the same bits in every batch and chunking, draws are keyed by seed and position, and a draft
/// is kept only when it is the token that would have been drawn. Not thread-safe.
/// </remarks>
internal sealed class EngineCore : IDisposable
{
    private readonly Compute _compute;
    private readonly EngineOptions _options;
    private readonly Tokenizer? _tokenizer;
    private readonly KeyValueCache _cache;
    private readonly PrefixTree _tree;
    private readonly Scheduler _scheduler;
    private readonly SamplingScratch _scratch;
    private readonly AdapterSet _adapters;
    private readonly DraftSource _drafts;
    private CausalLm _model;
    private RoutedExpertRecorder _routes;
    private NextTokenDrafter? _drafter;
    private readonly Batch _batch = new();
    private readonly List<int> _rows = [];
    private readonly List<Sequence> _step = [];
    private readonly List<Sequence> _done = [];
    private bool _returnRoutes;
    private long _arrivals;
    private long _steps;
    private long _promptTokens;
    private long _generatedTokens;
    private long _draftedTokens;
    private long _acceptedTokens;
    private long _verifiedDrafts;
    private long _positions;
    private readonly long[] _acceptedByPlace;
    private readonly float[]? _draftCosts;
    private readonly long[] _stepSizes = new long[StepSizes.Bounds.Count + 1];

    public EngineCore(CausalLm model, Compute compute, EngineOptions options, Tokenizer? tokenizer)
    {
        options.Check();
        (_model, _compute, _options, _tokenizer) = (model, compute, options, tokenizer);
        _routes = new RoutedExpertRecorder(model);
        _acceptedByPlace = new long[options.MaxDrafts];
        int context = options.ContextLength == 0 ? model.Config.MaxPositionEmbeddings : options.ContextLength;
        _cache = model.NewCache(Blocks(model, options, context), options.CacheType);
        ContextLength = (int)Math.Min(context, (long)_cache.MaxBlocks * KeyValueLayout.PagePositions);
        _tree = new PrefixTree(_cache);
        _scheduler = new Scheduler(_cache, _tree, options);
        _scratch = new SamplingScratch(model.Config.VocabSize);
        _drafts = options.MaxDrafts == 0 ? DraftSource.None : options.Drafts switch
        {
            DraftSource.Auto => model.NextToken is null ? DraftSource.PromptLookup : DraftSource.NextTokenLayer,
            DraftSource.NextTokenLayer when model.NextToken is null => throw new UnsupportedModelException(
                "The checkpoint has no MTP layer to draft with. Set EngineOptions.Drafts to Auto or PromptLookup."),
            var source => source,
        };
        if (_drafts == DraftSource.NextTokenLayer)
            _drafter = NewDrafter(model);
        if (_drafts != DraftSource.None)
            _draftCosts = WeightTraffic.Of(model, compute.Team).DraftCosts(options.MaxDrafts, model.Config.SparseLayers.Any(sparse => sparse) ? model.Config.NRoutedExperts : 0, _drafts == DraftSource.NextTokenLayer);
        _adapters = new AdapterSet(model);
        try
        {
            foreach ((string name, string folder) in options.Adapters)
                _adapters.Load(name, folder);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Most positions of prompt and answer together: what the options say, at most what the cache can hold.</summary>
    public int ContextLength { get; }

    /// <summary>Measurements say here, for a position, whether a draft is to count as right, whatever the model says; null otherwise.</summary>
    public Func<int, bool>? ForcedAcceptance { get; init; }

    /// <summary>Whether a step would do anything.</summary>
    public bool HasWork => _scheduler.Running.Count + _scheduler.Waiting.Count > 0;

    /// <summary>Sequences with memory, with the drafts that the next step verifies.</summary>
    public IReadOnlyList<Sequence> Running => _scheduler.Running;

    public EngineStatistics Statistics => new(
        _scheduler.Running.Count, _scheduler.Waiting.Count, _steps, _promptTokens, _scheduler.CachedTokens, _generatedTokens, _scheduler.Preemptions, _draftedTokens,
        _acceptedTokens, _cache.BlocksInUse, _tree.BlockCount, _cache.MaxBlocks, _scheduler.WeightVersion)
    {
        Experts = _model.ExpertStatistics,
        Drafts = _verifiedDrafts,
        AcceptedByPlace = [.. _acceptedByPlace],
        Sizes = new StepSizes([.. _stepSizes], _positions),
    };

    /// <summary>Throws when a request cannot be taken.</summary>
    public void Check(GenerationRequest request)
    {
        request.Check(_model.Config.VocabSize);
        _adapters.Check(request.Adapter);
        if (request.Prompt.Length >= ContextLength)
            throw new PromptTooLongException(request.Prompt.Length, ContextLength);
        if (request.ReturnRoutedExperts && _routes.RowLength == 0)
            throw new ArgumentException("The model has no routed experts to return.", nameof(request));
        if (request.StopStrings.Count > 0 && _tokenizer is null)
            throw new InvalidOperationException("Stop strings need a tokenizer. Create the engine with one, or stop at tokens.");
    }

    /// <summary>Takes a checked request.</summary>
    public void Add(Generation generation)
    {
        try
        {
            if (generation.Request.ReturnRoutedExperts)
                generation.PromptRoutes = new int[(generation.Request.Prompt.Length - 1) * _routes.RowLength];
            _scheduler.Add(NewSequence(generation, 0, generation.Request.Count));
            _promptTokens += generation.Request.Prompt.Length;
        }
        catch (Exception error) when (error is ArgumentException or InvalidOperationException)
        {
            generation.Complete(error);
        }
    }

    /// <summary>Ends a generation and frees what it holds.</summary>
    public void Cancel(Generation generation) => End(generation, new OperationCanceledException("The generation was cancelled."));

    /// <summary>Ends every generation with an error.</summary>
    public void FailAll(Exception error)
    {
        while (_scheduler.Running.Count > 0)
            End(_scheduler.Running[0].Owner, error);
        while (_scheduler.Waiting.Count > 0)
            End(_scheduler.Waiting[0].Owner, error);
    }

    /// <summary>Changes the weights between two steps. Sequences in progress keep their tokens and are computed again with the new weights; cached prefixes are forgotten.</summary>
    /// <returns>The new version.</returns>
    public int UpdateWeights(Action<CausalLm> update)
    {
        _scheduler.ForgetAll();
        update(_model);
        return ++_scheduler.WeightVersion;
    }

    /// <summary>Runs another model of the same shape from the next step on. Sequences in progress keep their tokens and are computed again; cached prefixes are forgotten.</summary>
    /// <returns>The new version of the weights.</returns>
    /// <exception cref="UnsupportedModelException">The model has another shape.</exception>
    public int Replace(CausalLm model)
    {
        if (model.Config.VocabSize != _model.Config.VocabSize || !model.CacheSlots.SequenceEqual(_model.CacheSlots) || model.NextToken is null != _model.NextToken is null)
            throw new UnsupportedModelException("The new weights have another shape (vocabulary, layers, heads or MTP layer) than the running model. Start a server of its own for them.");
        int version = UpdateWeights(_ => _model = model);
        _routes = new RoutedExpertRecorder(model);
        _adapters.MoveTo(model);
        if (_drafter is not null)
            _drafter = NewDrafter(model);
        return version;
    }

    /// <summary>Names of the adapters.</summary>
    public IReadOnlyList<string> Adapters => _adapters.Names;

    /// <summary>Adds an adapter or replaces it. Sequences of a replaced one keep their tokens and are computed again with the new one.</summary>
    public void LoadAdapter(string name, string folder)
    {
        if (_adapters.Has(name))
            _scheduler.RetractAll();
        _adapters.Load(name, folder);
        foreach (Sequence sequence in _scheduler.Waiting)
        {
            if (sequence.Adapter.Name == name)
                sequence.Adapter = _adapters.Find(name);
        }
    }

    /// <summary>Takes an adapter away; its generations fail.</summary>
    public void UnloadAdapter(string name)
    {
        _adapters.Check(name);
        var error = new InvalidOperationException($"The adapter '{name}' was taken away.");
        foreach (List<Sequence> list in (ReadOnlySpan<List<Sequence>>)[_scheduler.Running, _scheduler.Waiting])
        {
            while (list.Find(sequence => sequence.Adapter.Name == name) is { } sequence)
                End(sequence.Owner, error);
        }

        _adapters.Unload(name);
    }

    /// <summary>Gives the memory of all running sequences back; they keep their tokens and are computed again later.</summary>
    public void Retract() => _scheduler.RetractAll();

    /// <summary>Frees the cached prefixes.</summary>
    public void ClearPrefixes() => _tree.Clear();

    /// <summary>Forgets cached prefixes and gives the memory of unused blocks back to the system.</summary>
    /// <returns>Bytes given back.</returns>
    public long ReleaseMemory()
    {
        _tree.Clear();
        return _cache.Trim();
    }

    /// <summary>Runs one step.</summary>
    public void Step()
    {
        _scheduler.Plan();
        FillBatch();
        if (_step.Count == 0)
            return;
        _steps++;
        _positions += _batch.TokenCount;
        _stepSizes[StepSizes.Place(_batch.TokenCount)]++;
        _compute.Begin();
        Tensor hidden = _returnRoutes ? _routes.Forward(_model, _compute, _batch) : _model.Forward(_compute, _batch);
        ScorePrompts(hidden);
        if (_returnRoutes)
            KeepPromptRoutes();
        Tensor? logits = _rows.Count == 0 ? null : _model.Logits(_compute, hidden, CollectionsMarshal.AsSpan(_rows));
        int count = _step.Count; // Forks are added behind.
        for (int i = 0; i < count; i++)
            Advance(_step[i], logits);
        foreach (Sequence sequence in _done)
            Leave(sequence);
        _done.Clear();
        Draft(hidden);
    }

    public void Dispose()
    {
        FailAll(new ObjectDisposedException(nameof(Engine)));
        _tree.Dispose();
        _cache.Dispose();
        _adapters.Dispose();
    }

    private static NextTokenDrafter NewDrafter(CausalLm model) => new(model.NextToken!, model.Config.IndexTopk > 0 && model.Config.IndexShareForMtpIteration);

    private static int Blocks(CausalLm model, EngineOptions options, int context)
    {
        if (options.CacheTokens > 0)
            return KeyValueLayout.PagesFor(options.CacheTokens);
        using KeyValueCache probe = model.NewCache(type: options.CacheType);
        long affordable = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 4 / probe.BlockBytes;
        long wanted = (long)KeyValueLayout.PagesFor(context) * options.MaxRunning;
        return (int)Math.Clamp(affordable, 1, wanted);
    }

    private Sequence NewSequence(Generation generation, int answer, int answers)
    {
        long order = _arrivals++ - (64L * generation.Request.Priority);
        return new Sequence(generation, answer, order, _scratch, _tokenizer, _drafts, _draftCosts, _options) { Answers = answers, Adapter = _adapters.Find(generation.Request.Adapter) };
    }

    private void FillBatch()
    {
        _batch.Clear();
        _rows.Clear();
        _step.Clear();
        _returnRoutes = false;
        // Rows of one adapter lie together, so that it runs once a layer. The order of sequences changes no number.
        int last = 0;
        for (int i = 0; i < _scheduler.Running.Count && !_adapters.IsEmpty; i++)
            last = Math.Max(last, _scheduler.Running[i].Adapter.Number);
        for (int adapter = 0; adapter <= last; adapter++)
        {
            foreach (Sequence sequence in _scheduler.Running)
            {
                if (sequence.Planned > 0 && sequence.Adapter.Number == adapter)
                    AddToBatch(sequence);
            }
        }
    }

    private void AddToBatch(Sequence sequence)
    {
        _step.Add(sequence);
        _returnRoutes |= sequence.Owner.Request.ReturnRoutedExperts;
        (sequence.FirstRow, sequence.FirstPosition) = (_batch.TokenCount, sequence.Computed);
        sequence.FirstLogits = _rows.Count;
        bool last = sequence.Planned == sequence.Pending;
        ReadOnlySpan<int> tokens = sequence.Tokens.Slice(sequence.Computed, sequence.Planned);
        if (!last || sequence.DraftCount == 0)
        {
            _batch.AddCached(sequence.Cache!, tokens, sequence.FirstPosition, sequence.Adapter.Number);
        }
        else
        {
            _batch.AddCached(sequence.Cache!, tokens, sequence.FirstPosition, sequence.Drafts.AsSpan(0, sequence.DraftCount), sequence.Adapter.Number);
            _draftedTokens += sequence.DraftCount;
            _verifiedDrafts++;
        }

        // Logits of the last known token and of every draft.
        for (int row = sequence.FirstRow + sequence.Planned - 1; last && row < _batch.TokenCount; row++)
            _rows.Add(row);
    }

    // Counts what was computed as final, and chooses the next tokens.
    private void Advance(Sequence sequence, Tensor? logits)
    {
        CachedSequence cached = sequence.Cache!;
        bool last = sequence.Planned == sequence.Pending;
        cached.Commit(sequence.FirstPosition + sequence.Planned);
        if (!last)
            return;
        int vocabulary = _model.Config.VocabSize;
        Tensor rows = logits!;
        int lastRow = sequence.FirstRow + sequence.Planned - 1;
        if (sequence.Answers > 1)
            Fork(sequence, rows.F32.Slice(sequence.FirstLogits * vocabulary, vocabulary), lastRow);
        int drafts = sequence.DraftCount, accepted = 0;
        sequence.DraftCount = 0;
        for (int row = 0; row <= drafts && !sequence.IsFinished; row++)
        {
            int token = Choose(sequence, rows.F32.Slice((sequence.FirstLogits + row) * vocabulary, vocabulary), lastRow + row, row < drafts ? Forced(sequence, row) : null);
            if (row == drafts || token != sequence.Drafts[row])
                break;
            _acceptedByPlace[accepted++]++;
        }

        // A draft that was kept is in the cache already; the newest token never is.
        cached.Commit(Math.Min(cached.Length + accepted, sequence.TokenCount - 1));
        cached.Truncate(cached.Length);
        sequence.Length.Learn(drafts, accepted);
        _acceptedTokens += accepted;
    }

    private int? Forced(Sequence sequence, int draft)
    {
        if (ForcedAcceptance is not { } accepts)
            return null;
        int token = sequence.Drafts[draft];
        return accepts(sequence.TokenCount) ? token : (token + 1) % _model.Config.VocabSize;
    }

    /// <returns>The token; -1 when the request failed.</returns>
    private int Choose(Sequence sequence, ReadOnlySpan<float> logits, int row, int? forced = null)
    {
        try
        {
            GenerationRequest request = sequence.Owner.Request;
            if (request.MaxTokens == 0)
            {
                Finish(sequence); // Only the prompt was wanted.
                return -1;
            }

            bool wantKept = request.SamplingLogprobs || request.TopLogprobs > 0;
            int token = sequence.Sampler.Choose(logits, sequence.TokenCount, sequence.Forbidden, sequence.EarlyStops, wantKept);
            token = forced ?? token;
            float lse = Sampler.LogSumExp(logits);
            float? sampling = wantKept ? (float)(sequence.Sampler.Scores[token] - sequence.Sampler.KeptLogSumExp()) : null;
            TokenAlternatives? alternatives = request.TopLogprobs == 0 && request.WatchedTokens.Count == 0 ? null : Alternatives(
                request.TopLogprobs > 0 ? sequence.Sampler : null, logits, lse, request.TopLogprobs, request.WatchedTokens);
            sequence.Sampler.Accept(token);
            FinishReason? finish = sequence.Append(token, ContextLength, out string? stopString);
            _generatedTokens++;
            sequence.Owner.Emit(new EngineToken(
                sequence.Answer, token, logits[token] - lse, request.SamplingLogprobs ? sampling : null, alternatives, finish, stopString)
            { RoutedExperts = request.ReturnRoutedExperts ? _routes.Rows(row, 1).ToArray() : default });
            if (finish is not null)
                Finish(sequence);
            return token;
        }
        catch (Exception error) when (error is InvalidOperationException or ArithmeticException)
        {
            // The request's own constraint or the model's output for it: the others go on.
            sequence.Error = error;
            Finish(sequence);
            return -1;
        }
    }

    // Without a sampler only the model's own alternatives.
    private TokenAlternatives Alternatives(Sampler? sampler, ReadOnlySpan<float> logits, float lse, int count, IReadOnlyList<int> watched)
    {
        ReadOnlySpan<int> kept = sampler is null ? [] : sampler.Kept;
        double keptLse = sampler?.KeptLogSumExp() ?? 0;
        var sampling = new TokenLogprob[kept.Length];
        for (int i = 0; i < kept.Length; i++)
            sampling[i] = new TokenLogprob(kept[i], (float)(sampler!.Scores[kept[i]] - keptLse));
        Array.Sort(sampling, static (a, b) => b.Logprob.CompareTo(a.Logprob) is not 0 and var order ? order : a.Token.CompareTo(b.Token));
        var ids = new int[count];
        int found = count == 0 ? 0 : TokenFilter.Highest(logits, _scratch, ids);
        var model = new TokenLogprob[found];
        for (int i = 0; i < found; i++)
            model[i] = new TokenLogprob(ids[i], logits[ids[i]] - lse);
        var watch = new float[watched.Count];
        for (int i = 0; i < watch.Length; i++)
            watch[i] = logits[watched[i]] - lse;
        return new TokenAlternatives(model, sampling.AsSpan(0, Math.Min(count, sampling.Length)).ToArray(), watch);
    }

    // The other answers begin where the prompt ends: they share its blocks, or compute it again when there is no room for a copy of the last one.
    private void Fork(Sequence first, ReadOnlySpan<float> logits, int row)
    {
        int answers = first.Answers;
        first.Answers = 1;
        for (int answer = 1; answer < answers; answer++)
        {
            Sequence fork = NewSequence(first.Owner, answer, 1);
            if (!_scheduler.TryFreeBlock())
            {
                _scheduler.Add(fork);
                continue;
            }

            fork.Cache = first.Cache!.Fork();
            (fork.FirstRow, fork.FirstPosition) = (first.FirstRow, first.FirstPosition);
            // The copied block lacks the MTP keys of this step.
            int copied = (fork.Computed - 1) / KeyValueLayout.PagePositions * KeyValueLayout.PagePositions;
            fork.DraftKeys = Math.Max(first.FirstPosition, copied);
            _scheduler.AddRunning(fork);
            _step.Add(fork);
            Choose(fork, logits, row);
        }
    }

    private void Finish(Sequence sequence)
    {
        sequence.IsFinished = true;
        _done.Add(sequence);
    }

    private void Leave(Sequence sequence)
    {
        if (sequence.Error is not null)
        {
            End(sequence.Owner, sequence.Error);
            return;
        }

        if (sequence.Cache is null)
            return; // Another answer of the request failed.
        _scheduler.Remove(sequence);
        if (--sequence.Owner.Unfinished == 0)
            sequence.Owner.Complete();
    }

    private void End(Generation generation, Exception error)
    {
        RemoveAll(_scheduler.Running, generation);
        RemoveAll(_scheduler.Waiting, generation);
        generation.Complete(error);
    }

    private void RemoveAll(List<Sequence> list, Generation generation)
    {
        for (int i = list.Count - 1; i >= 0; i--)
        {
            if (ReferenceEquals(list[i].Owner, generation))
                _scheduler.Remove(list[i]);
        }
    }

    // Writes drafts for the next step, and the MTP keys of the positions that became final.
    private void Draft(Tensor hidden)
    {
        _drafter?.Clear();
        foreach (Sequence sequence in _step)
        {
            if (sequence.Cache is null)
                continue; // It has ended.
            bool generates = sequence.Pending == 1 && sequence.Drafting != DraftSource.None;
            int worthwhile = generates ? sequence.Length.Next() : 0, wanted = worthwhile == 0 ? 0 : Math.Min(worthwhile, Room(sequence));
            bool pauses = generates && worthwhile == 0 && sequence.Computed - sequence.DraftKeys == 1; // What a prompt lacks is always computed.
            if (sequence.Drafting == DraftSource.NextTokenLayer && pauses)
                _drafter!.Skip(_compute, sequence);
            else if (sequence.Drafting == DraftSource.NextTokenLayer)
                _drafter!.Add(sequence, wanted);
            else if (sequence.Drafting == DraftSource.PromptLookup)
                sequence.DraftCount = PromptLookup.Draft(sequence.Tokens, sequence.Drafts.AsSpan(0, wanted));
        }

        _drafter?.Run(_compute, hidden);
        foreach (Sequence sequence in _step)
        {
            // The prompt is computed: others may use it from the next step on.
            if (sequence.Cache is not null && sequence.TokenCount == sequence.PromptLength + 1)
                _scheduler.Share(sequence);
        }
    }

    // Drafts that the answer may still use and that the cache has room for.
    private int Room(Sequence sequence)
    {
        int most = Math.Min(sequence.Owner.Request.MaxTokens, ContextLength - sequence.PromptLength);
        int left = sequence.PromptLength + most - sequence.TokenCount - 1;
        int drafts = Math.Clamp(left, 0, _options.MaxDrafts);
        while (drafts > 0 && !_scheduler.TryReserve(sequence, sequence.TokenCount + drafts))
            drafts--;
        return drafts;
    }

    private void ScorePrompts(Tensor hidden)
    {
        foreach (Sequence sequence in _step)
        {
            Generation owner = sequence.Owner;
            int end = Math.Min(sequence.FirstPosition + sequence.Planned, owner.PromptScores.Length);
            int count = end - sequence.FirstPosition;
            if (count <= 0 || owner.PromptScored >= end)
                continue;
            var rows = new int[count];
            var weights = new float[count];
            for (int i = 0; i < count; i++)
                (rows[i], weights[i]) = (sequence.FirstRow + i, 1);
            ReadOnlySpan<int> targets = sequence.Tokens.Slice(sequence.FirstPosition + 1, count);
            List<AdapterRun>? runs = _compute.AdapterRuns;
            _compute.SelectRows(rows);
            _model.Loss(_compute, Rows.Gather(_compute, hidden, rows), targets, weights, owner.PromptScores.Slice(sequence.FirstPosition, count));
            _compute.AdapterRuns = runs;
            if (owner.PromptAlternatives.Count > 0)
                AddPromptAlternatives(owner, hidden, sequence.FirstRow, sequence.FirstPosition, count);
            owner.PromptScored = end;
        }
    }

    private void KeepPromptRoutes()
    {
        foreach (Sequence sequence in _step)
        {
            Generation owner = sequence.Owner;
            int end = Math.Min(sequence.FirstPosition + sequence.Planned, sequence.PromptLength - 1);
            if (owner.PromptRoutes.Length == 0 || owner.PromptRouted >= end)
                continue;
            _routes.Rows(sequence.FirstRow, end - sequence.FirstPosition).CopyTo(owner.PromptRoutes.AsSpan(sequence.FirstPosition * _routes.RowLength));
            owner.PromptRouted = end;
        }
    }

    // A few rows of logits at a time: all of a long prompt would not fit.
    private void AddPromptAlternatives(Generation owner, Tensor hidden, int firstRow, int firstPosition, int count)
    {
        const int Slice = 16;
        var alternatives = (TokenAlternatives[])owner.PromptAlternatives;
        int vocabulary = _model.Config.VocabSize;
        for (int start = 0; start < count; start += Slice)
        {
            int[] rows = [.. Enumerable.Range(firstRow + start, Math.Min(Slice, count - start))];
            ReadOnlySpan<float> logits = _model.Logits(_compute, hidden, rows).F32;
            for (int i = 0; i < rows.Length; i++)
            {
                ReadOnlySpan<float> row = logits.Slice(i * vocabulary, vocabulary);
                alternatives[firstPosition + start + i] = Alternatives(null, row, Sampler.LogSumExp(row), owner.Request.PromptTopLogprobs, owner.Request.WatchedTokens);
            }
        }
    }
}
