namespace Glimmer.Inference;

/// <summary>Drafts what followed the same last tokens earlier in the sequence: quotes, code that is edited, tables.</summary>
/// <remarks>Looks for the last 4, 3 or 2 tokens, the latest occurrence first, among the last 16,384 tokens.</remarks>
internal static class PromptLookup
{
    private const int Window = 16384;

    /// <summary>Drafts tokens.</summary>
    /// <param name="tokens">The sequence so far.</param>
    /// <param name="drafts">Receives the drafts.</param>
    /// <returns>Number of drafts, 0 when the last tokens did not occur before.</returns>
    public static int Draft(ReadOnlySpan<int> tokens, Span<int> drafts)
    {
        if (drafts.IsEmpty)
            return 0;
        ReadOnlySpan<int> window = tokens[Math.Max(0, tokens.Length - Window)..];
        for (int length = Math.Min(4, window.Length - 1); length >= 2; length--)
        {
            int at = window[..^1].LastIndexOf(window[^length..]);
            if (at < 0)
                continue;
            ReadOnlySpan<int> following = window[(at + length)..];
            int count = Math.Min(following.Length, drafts.Length);
            following[..count].CopyTo(drafts);
            return count;
        }

        return 0;
    }
}
