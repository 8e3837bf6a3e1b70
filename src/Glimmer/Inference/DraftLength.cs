namespace Glimmer.Inference;

/// <summary>How many tokens to draft next, from what became of a request's earlier drafts and from nothing else.</summary>
/// <remarks>
/// Keeps a running share <c>a</c> of accepted drafts. Draft number k is worth its cost when <c>a^k</c> is above 0.4. When not even the first is, drafting pauses and one draft is tried
/// again after 8, 16, ... at most 256 steps.
/// </remarks>
internal sealed class DraftLength(int most)
{
    private const float Worth = 0.4f;
    private const float Memory = 0.85f;
    private const int LongestPause = 256;

    private float _accepted = 0.8f;
    private int _pause = 8;
    private int _left;

    /// <summary>Number of drafts for the next step; counts as a step.</summary>
    public int Next()
    {
        if (_left > 0)
        {
            _left--;
            return 0;
        }

        int length = 0;
        for (float chance = _accepted; length < most && chance > Worth; chance *= _accepted)
            length++;
        return Math.Max(length, Math.Min(most, 1));
    }

    /// <summary>Learns what became of the drafts of a step.</summary>
    /// <param name="drafted">Drafts verified.</param>
    /// <param name="accepted">Drafts that were right.</param>
    public void Learn(int drafted, int accepted)
    {
        if (drafted == 0)
            return;
        // Drafts behind the first wrong one say nothing.
        for (int i = 0; i < Math.Min(accepted + 1, drafted); i++)
            _accepted = (Memory * _accepted) + (i < accepted ? 1 - Memory : 0);
        if (_accepted > Worth)
        {
            _pause = 8;
            return;
        }

        _left = _pause;
        _pause = Math.Min(_pause * 2, LongestPause);
    }
}
