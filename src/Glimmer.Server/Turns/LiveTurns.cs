using System.Collections.Concurrent;

namespace Glimmer.Server.Turns;

/// <summary>The requests that are being answered, by id, so that they can be aborted.</summary>
internal sealed class LiveTurns
{
    private readonly ConcurrentDictionary<string, Turn> _turns = new(StringComparer.Ordinal);

    /// <summary>Number of requests.</summary>
    public int Count => _turns.Count;

    /// <summary>Adds a request.</summary>
    public void Add(string id, Turn turn) => _turns[id] = turn;

    /// <summary>Whether a request of this id is being answered.</summary>
    public bool Contains(string id) => _turns.ContainsKey(id);

    /// <summary>Removes a request that is answered.</summary>
    public void Remove(string id, Turn turn) => _turns.TryRemove(new KeyValuePair<string, Turn>(id, turn));

    /// <summary>Aborts requests.</summary>
    /// <param name="prefix">Beginning of their ids; empty for all.</param>
    /// <returns>How many.</returns>
    public int Abort(string prefix)
    {
        int aborted = 0;
        foreach ((string id, Turn turn) in _turns)
        {
            if (!id.StartsWith(prefix, StringComparison.Ordinal))
                continue;
            turn.Abort();
            aborted++;
        }

        return aborted;
    }
}
