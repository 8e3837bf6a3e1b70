using Glimmer.Server.Accounting;
using Glimmer.Server.Diagnostics;
using Glimmer.Server.Http;
using Glimmer.Server.Metrics;
using Glimmer.Server.Turns;

namespace Glimmer.Server;

/// <summary>What the dialects of one server share.</summary>
internal sealed class ServerState : IAsyncDisposable
{
    private readonly Lock _lock = new();
    private readonly TaskCompletionSource _idle = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _running;
    private volatile TurnRunner? _runner;
    private volatile bool _isStopping;

    public ServerState(ServerOptions options, TimeProvider time)
    {
        (Options, Time, Started) = (options, time, time.GetUtcNow());
        Names = new ModelNames(options, () => _runner?.Model.Source.Adapters ?? []);
        Usage = options.UsageDatabase is { } database ? UsageLog.Open(database) : null;
        Limit = options.RequestsPerMinute is { } most ? new RateLimit(most, time) : null;
        Telemetry = new Telemetry(() => _runner?.Model.Source.Statistics);
    }

    /// <summary>How the model is served.</summary>
    public ServerOptions Options { get; }

    /// <summary>Which names mean the model.</summary>
    public ModelNames Names { get; }

    /// <summary>Where requests are charged; null for nowhere.</summary>
    public UsageLog? Usage { get; }

    /// <summary>Limits the requests of each key; null for no limit.</summary>
    public RateLimit? Limit { get; }

    /// <summary>Counts of answers.</summary>
    public HttpCounts Http { get; } = new();

    /// <summary>Traces and metrics.</summary>
    public Telemetry Telemetry { get; }

    /// <summary>The clock.</summary>
    public TimeProvider Time { get; }

    /// <summary>When the server started; reported as the model's age.</summary>
    public DateTimeOffset Started { get; }

    /// <summary>Whether requests are taken.</summary>
    public bool IsReady => _runner is not null && !_isStopping;

    /// <summary>Answers requests.</summary>
    /// <exception cref="ApiException">The model is still loading, or the server stops.</exception>
    public TurnRunner Runner =>
        _isStopping ? throw Unavailable("The server is stopping.") : _runner ?? throw Unavailable("The model is still loading.");

    /// <summary>The model is loaded.</summary>
    public void Use(TurnRunner runner) => _runner = runner;

    /// <summary>Counts a request in; dispose of the result when it is answered.</summary>
    public Visit Enter()
    {
        lock (_lock)
            _running++;
        return new Visit(this);
    }

    /// <summary>No more requests are taken.</summary>
    /// <returns>Done when those in progress are answered.</returns>
    public Task StopAsync()
    {
        lock (_lock)
        {
            _isStopping = true;
            if (_running == 0)
                _idle.TrySetResult();
        }

        return _idle.Task;
    }

    /// <summary>Writes what is left of the usage log.</summary>
    public async ValueTask DisposeAsync()
    {
        Telemetry.Dispose();
        if (Usage is not null)
            await Usage.DisposeAsync().ConfigureAwait(false);
    }

    private void Leave()
    {
        lock (_lock)
        {
            if (--_running == 0 && _isStopping)
                _idle.TrySetResult();
        }
    }

    /// <summary>A request in progress.</summary>
    /// <param name="state">The server.</param>
    internal readonly struct Visit(ServerState state) : IDisposable
    {
        /// <inheritdoc/>
        public void Dispose() => state.Leave();
    }

    private static ApiException Unavailable(string message) => new(ApiErrorKind.Unavailable, message) { RetryAfter = TimeSpan.FromSeconds(2) };
}
