namespace Glimmer.Inference;

/// <summary>How many tokens to draft next, from what became of a request's earlier drafts, what drafts cost in this model, and nothing else.</summary>
/// <remarks>
/// Keeps a running share <c>a</c> of accepted drafts. Draft number k is worth its cost when <c>a^k</c> is above 0.4 and above what the step gets dearer by times the tokens that a unit of cost buys so far: in a
/// mixture of experts every further token reads experts of its own. When not even the first is, drafting pauses and one draft is tried again after 16, 32, ... at most 256 steps; while tries are right,
/// the next one follows at once. Where even a draft that is always right would cost more than its token, nothing is drafted.
/// </remarks>
/// <param name="most">Most drafts.</param>
/// <param name="costs">Cost of a step with 0, 1, ... drafts, in steps without any (<see cref="WeightTraffic.DraftCosts"/>); null when drafts cost nothing.</param>
internal sealed class DraftLength(int most, float[]? costs = null)
{
    private const float Worth = 0.4f;
    private const float Memory = 0.85f;
    private const int ShortestPause = 16;
    private const int LongestPause = 256;

    private float _accepted = 0.8f;
    private int _pause = ShortestPause;
    private int _left;

    /// <summary>Number of drafts for the next step; counts as a step.</summary>
    public int Next()
    {
        if (costs is not null && costs[Math.Min(most, 1)] - costs[0] >= 1)
            return 0;
        if (_left > 0)
        {
            _left--;
            return 0;
        }

        return Math.Max(Worthwhile(), Math.Min(most, 1));
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
        if (Worthwhile() > 0)
            _pause = ShortestPause;
        else if (accepted == 0)
        {
            _left = _pause;
            _pause = Math.Min(_pause * 2, LongestPause);
        }
    }

    private int Worthwhile()
    {
        int length = 0;
        float tokens = 1;
        for (float chance = _accepted; length < most; chance *= _accepted, length++)
        {
            float least = costs is null ? Worth : Math.Max(Worth, (costs[length + 1] - costs[length]) * tokens / costs[length]);
            if (chance <= least)
                break;
            tokens += chance;
        }

        return length;
    }
}
