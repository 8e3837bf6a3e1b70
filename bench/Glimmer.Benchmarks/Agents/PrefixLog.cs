namespace Glimmer.Benchmarks.Agents;

/// <summary>How much of a turn's prompt and answer the next turn's prompt begins with: what a prefix cache can reuse.</summary>
internal sealed class PrefixLog
{
    private readonly Lock _lock = new();
    private readonly List<int[]> _turns = [];
    private int _followUps;
    private int _lost;

    /// <summary>Takes a turn.</summary>
    public void Add(ReadOnlySpan<int> prompt, IReadOnlyList<int> answer)
    {
        lock (_lock)
        {
            int[] best = [];
            int common = 0;
            foreach (int[] turn in _turns)
            {
                int shared = prompt.CommonPrefixLength(turn);
                if (shared > common)
                    (best, common) = (turn, shared);
            }

            // A conversation goes on when most of an earlier turn comes again.
            if (best.Length > 0 && common > best.Length / 2)
            {
                _followUps++;
                _lost = Math.Max(_lost, best.Length - common);
            }

            _turns.Add([.. prompt, .. answer]);
        }
    }

    /// <summary>Turns that continue an earlier one, and the most tokens of an earlier turn that one of them did not begin with.</summary>
    public string Take()
    {
        lock (_lock)
            return $"\"follow_ups\":{_followUps},\"prefix_lost\":{_lost}";
    }
}
