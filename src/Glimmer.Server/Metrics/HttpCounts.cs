using System.Collections.Concurrent;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Glimmer.Server.Metrics;

/// <summary>Counts answers by API, route and status, and clients that went away before theirs.</summary>
internal sealed class HttpCounts
{
    private readonly ConcurrentDictionary<(string Dialect, string Endpoint, int Status), long> _answers = [];
    private long _disconnects;

    /// <summary>Clients that went away.</summary>
    public long Disconnects => Interlocked.Read(ref _disconnects);

    /// <summary>The answers, in an order that stays.</summary>
    public IEnumerable<((string Dialect, string Endpoint, int Status) Key, long Count)> Answers =>
        _answers.OrderBy(pair => pair.Key).Select(pair => (pair.Key, pair.Value));

    /// <summary>Counts an answer.</summary>
    /// <param name="context">The request, answered or given up. Its route counts, not its path, so that there are never more counts than routes.</param>
    /// <param name="dialect">Name of the API.</param>
    public void Add(HttpContext context, string dialect)
    {
        if (context.RequestAborted.IsCancellationRequested)
        {
            Interlocked.Increment(ref _disconnects);
            return;
        }

        string endpoint = (context.GetEndpoint() as RouteEndpoint)?.RoutePattern.RawText ?? "none";
        _answers.AddOrUpdate((dialect, endpoint, context.Response.StatusCode), 1, (_, count) => count + 1);
    }
}
