using Glimmer.Server.Http;

namespace Glimmer.Server.Turns;

/// <summary>Cancels a turn that waits or runs too long.</summary>
internal sealed class TurnClock : IDisposable
{
    private readonly TurnDefaults _limits;
    private readonly CancellationTokenSource? _wait;
    private readonly CancellationTokenSource? _whole;
    private readonly CancellationTokenSource? _linked;

    /// <summary>Starts to count.</summary>
    /// <param name="limits">How long a turn may wait and run.</param>
    /// <param name="time">The clock.</param>
    /// <param name="client">Cancelled when the client goes.</param>
    public TurnClock(TurnDefaults limits, TimeProvider time, CancellationToken client)
    {
        (_limits, Token) = (limits, client);
        if (limits.QueueTimeout is null && limits.RequestTimeout is null)
            return;
        _wait = limits.QueueTimeout is { } wait ? new CancellationTokenSource(wait, time) : null;
        _whole = limits.RequestTimeout is { } whole ? new CancellationTokenSource(whole, time) : null;
        _linked = CancellationTokenSource.CreateLinkedTokenSource(client, _wait?.Token ?? default, _whole?.Token ?? default);
        Token = _linked.Token;
    }

    /// <summary>Cancelled when the client goes or a limit is reached.</summary>
    public CancellationToken Token { get; }

    /// <summary>The first token is there: the wait is over.</summary>
    public void Started() => _wait?.CancelAfter(Timeout.InfiniteTimeSpan);

    /// <summary>Throws when a limit is reached.</summary>
    /// <exception cref="ApiException">Says which.</exception>
    public void ThrowIfLate()
    {
        if (_whole is { IsCancellationRequested: true })
            throw new ApiException(ApiErrorKind.Timeout, $"The request ran longer than {_limits.RequestTimeout!.Value.TotalSeconds:0.###} s, the most this server allows.");
        if (_wait is { IsCancellationRequested: true })
            throw new ApiException(ApiErrorKind.Timeout, $"The request waited longer than {_limits.QueueTimeout!.Value.TotalSeconds:0.###} s for its first token. Try again later.");
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _linked?.Dispose();
        _wait?.Dispose();
        _whole?.Dispose();
    }
}
