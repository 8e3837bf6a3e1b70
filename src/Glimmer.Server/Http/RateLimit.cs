using System.Collections.Concurrent;
using Microsoft.AspNetCore.Http;

namespace Glimmer.Server.Http;

/// <summary>Limits the requests of each key: a bucket of one minute's requests that fills up evenly.</summary>
/// <param name="perMinute">Requests a minute, and most of them at once.</param>
/// <param name="time">The clock.</param>
internal sealed class RateLimit(int perMinute, TimeProvider time)
{
    private const int MaxKept = 10_000;
    private readonly ConcurrentDictionary<string, Bucket> _buckets = new(StringComparer.Ordinal);

    /// <summary>Takes one request from the bucket of the caller's key. On a server without keys all share one.</summary>
    /// <exception cref="ApiException">The bucket is empty; says when to come back.</exception>
    public void Take(HttpContext context)
    {
        if (_buckets.Count > MaxKept)
            _buckets.Clear(); // Full buckets again for all, rather than memory without bounds.
        Bucket bucket = _buckets.GetOrAdd(AccessCheck.KeyOf(context.Request) ?? "", _ => new Bucket(perMinute, time.GetTimestamp()));
        if (bucket.TryTake(perMinute, time) is { } wait)
        {
            throw new ApiException(ApiErrorKind.RateLimited, $"This key may send {perMinute} requests a minute. Try again in {Math.Ceiling(wait.TotalSeconds):0} s.", code: "rate_limit_exceeded")
            {
                RetryAfter = wait,
            };
        }
    }

    private sealed class Bucket(double tokens, long last)
    {
        private readonly Lock _lock = new();
        private double _tokens = tokens;
        private long _last = last;

        public TimeSpan? TryTake(int perMinute, TimeProvider time)
        {
            lock (_lock)
            {
                long now = time.GetTimestamp();
                _tokens = Math.Min(perMinute, _tokens + (time.GetElapsedTime(_last, now).TotalMinutes * perMinute));
                _last = now;
                if (_tokens < 1)
                    return TimeSpan.FromMinutes((1 - _tokens) / perMinute);
                _tokens--;
                return null;
            }
        }
    }
}
