using Glimmer.Chat;

namespace Glimmer.Server.OpenAi;

/// <summary>A response that can be asked for again or continued.</summary>
/// <param name="Json">The response.</param>
/// <param name="Conversation">What was said, the answer included, without instructions.</param>
/// <param name="Stored">When.</param>
internal sealed record StoredResponse(byte[] Json, IReadOnlyList<ChatMessage> Conversation, DateTimeOffset Stored);

/// <summary>Keeps the last responses in memory, for an hour at most.</summary>
/// <param name="time">The clock.</param>
internal sealed class ResponseStore(TimeProvider time)
{
    private const int MaxKept = 1000;
    private static readonly TimeSpan s_age = TimeSpan.FromHours(1);
    private readonly Lock _lock = new();
    private readonly OrderedDictionary<string, StoredResponse> _responses = new(StringComparer.Ordinal);

    /// <summary>Keeps a response.</summary>
    public void Add(string id, byte[] json, IReadOnlyList<ChatMessage> conversation)
    {
        lock (_lock)
        {
            _responses[id] = new StoredResponse(json, conversation, time.GetUtcNow());
            while (_responses.Count > MaxKept)
                _responses.RemoveAt(0);
        }
    }

    /// <summary>A kept response; null when there is none of this id any more.</summary>
    public StoredResponse? Find(string id)
    {
        lock (_lock)
        {
            if (!_responses.TryGetValue(id, out StoredResponse? stored))
                return null;
            if (time.GetUtcNow() - stored.Stored <= s_age)
                return stored;
            _responses.Remove(id);
            return null;
        }
    }

    /// <summary>Forgets a response.</summary>
    /// <returns>Whether it was there.</returns>
    public bool Remove(string id)
    {
        lock (_lock)
            return _responses.Remove(id);
    }
}
