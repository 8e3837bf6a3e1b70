using System.Threading.Channels;
using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Tokenization;

namespace Glimmer.Inference;

/// <summary>Generates for many requests at once: one thread runs the model, requests reach it through a channel and tokens come back through others.</summary>
/// <remarks>
/// <para>The life of a request: it waits until there is memory for its prompt, takes over the blocks of the longest prefix that was computed before, has the rest computed in
/// chunks beside the tokens of the others, then gets a token a step, or several when drafts are right. When memory runs out, the newest request gives its own back and is
/// computed again later.</para>
/// <para>Its tokens and log-probabilities are those it would get alone, bit for bit. Thread-safe. While the engine lives, nothing else may run the model or the context.</para>
/// </remarks>
public sealed class Engine : IDisposable
{
    private readonly Channel<Action<EngineCore>> _inbox = Channel.CreateUnbounded<Action<EngineCore>>(new UnboundedChannelOptions { SingleReader = true });
    private readonly EngineCore _core;
    private readonly EngineOptions _options;
    private readonly Thread _thread;
    private Exception? _failure;
    private int _arriving;
    private volatile bool _isPaused;

    /// <summary>Starts an engine.</summary>
    /// <param name="model">The model; not owned.</param>
    /// <param name="compute">Where to run; not owned, and used by the engine alone.</param>
    /// <param name="options">Limits and habits.</param>
    /// <param name="tokenizer">Needed for stop strings.</param>
    /// <exception cref="ArgumentOutOfRangeException">An option makes no sense.</exception>
    /// <exception cref="UnsupportedModelException">The options ask for drafts of an MTP layer that the model does not have.</exception>
    public Engine(CausalLm model, Compute compute, EngineOptions? options = null, Tokenizer? tokenizer = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(compute);
        _options = options ?? new EngineOptions();
        _core = new EngineCore(model, compute, _options, tokenizer);
        _thread = new Thread(Run) { Name = "glimmer engine", IsBackground = true };
        _thread.Start();
    }

    /// <summary>Starts an engine on a loaded model.</summary>
    /// <param name="model">The model; not owned.</param>
    /// <param name="options">Limits and habits.</param>
    public Engine(LoadedModel model, EngineOptions? options = null)
        : this((model ?? throw new ArgumentNullException(nameof(model))).Model, model.Compute, OptionsFor(model, options), model.Tokenizer)
    {
    }

    /// <summary>Most positions of prompt and answer together.</summary>
    public int ContextLength => _core.ContextLength;

    /// <summary>What the engine has done and is doing; the counts may be those of a step in progress.</summary>
    public EngineStatistics Statistics => _core.Statistics;

    /// <summary>Hands in a request.</summary>
    /// <param name="request">What to generate.</param>
    /// <param name="cancellationToken">Cancels the generation at any time.</param>
    /// <returns>The generation, whose tokens come as they are made.</returns>
    /// <exception cref="ArgumentException">The request makes no sense.</exception>
    /// <exception cref="PromptTooLongException">The prompt does not fit into the context.</exception>
    /// <exception cref="EngineBusyException">The queue is full.</exception>
    /// <exception cref="InvalidOperationException">The engine has failed or ended.</exception>
    public Generation Submit(GenerationRequest request, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(request);
        _core.Check(request);
        EngineStatistics now = _core.Statistics;
        int waiting = Volatile.Read(ref _arriving) + now.Waiting;
        if (waiting >= _options.MaxWaiting + Math.Max(0, _options.MaxRunning - now.Running))
            throw new EngineBusyException(waiting);
        var generation = new Generation(request, Cancel);
        Interlocked.Increment(ref _arriving);
        Post(core =>
        {
            Interlocked.Decrement(ref _arriving);
            if (generation.IsCancelled)
                core.Cancel(generation);
            else
                core.Add(generation);
        });
        if (cancellationToken.CanBeCanceled)
            cancellationToken.UnsafeRegister(static state => ((Generation)state!).Cancel(), generation);
        return generation;
    }

    /// <summary>Whether no steps are run; requests are taken and wait.</summary>
    public bool IsPaused => _isPaused;

    /// <summary>Changes the weights between two steps. Generations in progress keep their tokens and go on with the new weights; cached prefixes are forgotten.</summary>
    /// <param name="update">Writes the weights, on the engine's thread.</param>
    /// <returns>The new version of the weights.</returns>
    public Task<int> UpdateWeightsAsync(Action<CausalLm> update)
    {
        ArgumentNullException.ThrowIfNull(update);
        return CallAsync(core => core.UpdateWeights(update));
    }

    /// <summary>Runs another model of the same shape from the next step on, as <see cref="UpdateWeightsAsync"/> would with its weights.</summary>
    /// <param name="model">The model; not owned. The old one is not used any more when the task is done.</param>
    /// <returns>The new version of the weights.</returns>
    /// <exception cref="UnsupportedModelException">The model has another shape; nothing has changed.</exception>
    public Task<int> ReplaceModelAsync(CausalLm model)
    {
        ArgumentNullException.ThrowIfNull(model);
        return CallAsync(core => core.Replace(model));
    }

    /// <summary>Names of the adapters that requests can name.</summary>
    public IReadOnlyList<string> Adapters => _core.Adapters;

    /// <summary>Adds an adapter between two steps, or replaces the one of this name: its generations keep their tokens and go on with the new one.</summary>
    /// <param name="name">The name that requests use.</param>
    /// <param name="folder">Folder with <c>adapter_config.json</c> and <c>adapter_model.safetensors</c>.</param>
    /// <exception cref="ModelFormatException">A file is missing or malformed; nothing has changed.</exception>
    /// <exception cref="UnsupportedModelException">The adapter is for another model or of a kind that is not supported; nothing has changed.</exception>
    public Task LoadAdapterAsync(string name, string folder) => CallAsync(core =>
    {
        core.LoadAdapter(name, folder);
        return 0;
    });

    /// <summary>Takes an adapter away between two steps. Its generations fail with <see cref="InvalidOperationException"/>.</summary>
    /// <param name="name">Its name.</param>
    /// <exception cref="ArgumentException">There is no such adapter.</exception>
    public Task UnloadAdapterAsync(string name) => CallAsync(core =>
    {
        core.UnloadAdapter(name);
        return 0;
    });

    /// <summary>Stops between two steps. Requests are still taken, and wait.</summary>
    /// <param name="mode">What becomes of running generations.</param>
    /// <returns>How many generations were running or waiting.</returns>
    public Task<int> PauseAsync(PauseMode mode) => CallAsync(core =>
    {
        _isPaused = true;
        EngineStatistics now = core.Statistics;
        if (mode == PauseMode.Abort)
            core.FailAll(new OperationCanceledException("The generation was aborted."));
        else if (mode == PauseMode.Retract)
            core.Retract();
        return now.Running + now.Waiting;
    });

    /// <summary>Goes on after a pause.</summary>
    public Task ContinueAsync() => CallAsync(core =>
    {
        _isPaused = false;
        return 0;
    });

    /// <summary>Forgets cached prefixes, unless requests run or wait.</summary>
    /// <returns>Whether they were forgotten.</returns>
    public Task<bool> FlushCacheAsync() => CallAsync(core =>
    {
        bool isIdle = !core.HasWork;
        if (isIdle)
            core.ClearPrefixes();
        return isIdle;
    });

    /// <summary>Forgets cached prefixes, gives the memory of keys and values back to the system and pauses, unless requests run or wait. <see cref="ContinueAsync"/> ends it.</summary>
    /// <returns>Bytes given back; null while requests run or wait.</returns>
    public Task<long?> ReleaseMemoryAsync() => CallAsync<long?>(core =>
    {
        if (core.HasWork)
            return null;
        _isPaused = true;
        return core.ReleaseMemory();
    });

    /// <summary>Ends the thread; generations in progress fail with <see cref="ObjectDisposedException"/>.</summary>
    public void Dispose()
    {
        if (_inbox.Writer.TryComplete())
            _thread.Join();
    }

    private static EngineOptions OptionsFor(LoadedModel model, EngineOptions? options)
    {
        options ??= new EngineOptions();
        return options.ForbiddenTokens.IsEmpty ? options with { ForbiddenTokens = model.UnusedTokens } : options;
    }

    private Task<T> CallAsync<T>(Func<EngineCore, T> call)
    {
        var done = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        Post(core =>
        {
            try
            {
                done.SetResult(call(core));
            }
            catch (Exception error)
            {
                done.SetException(error);
            }
        });
        return done.Task;
    }

    private void Cancel(Generation generation) => _inbox.Writer.TryWrite(core => core.Cancel(generation));

    private void Post(Action<EngineCore> action)
    {
        if (!_inbox.Writer.TryWrite(action))
            throw new InvalidOperationException("The engine does not run any more.", _failure);
    }

    private void Run()
    {
        try
        {
            while (TakeMessages())
                _core.Step();
        }
        catch (Exception error)
        {
            // A forward pass that fails has no owner: every request hears of it.
            _failure = error;
            _inbox.Writer.TryComplete();
            while (_inbox.Reader.TryRead(out Action<EngineCore>? action))
                action(_core);
            _core.FailAll(error);
        }
        finally
        {
            _core.Dispose();
        }
    }

    // Waits when there is nothing to do; false when the engine ends.
    private bool TakeMessages()
    {
        while (true)
        {
            while (_inbox.Reader.TryRead(out Action<EngineCore>? action))
                action(_core);
            if (_inbox.Reader.Completion.IsCompleted)
                return false;
            if (_core.HasWork && !_isPaused)
                return true;
            ValueTask<bool> wait = _inbox.Reader.WaitToReadAsync();
            if (!wait.AsTask().GetAwaiter().GetResult())
                return false;
        }
    }
}
