namespace Glimmer.Training.Sft;

/// <summary>What happens to samples that are longer than allowed.</summary>
public enum TruncationStrategy
{
    /// <summary>They are left out and counted.</summary>
    Delete,

    /// <summary>Their beginning is cut off.</summary>
    Left,

    /// <summary>Their end is cut off.</summary>
    Right,

    /// <summary>They become several samples.</summary>
    Split,
}

/// <summary>Samples of records, and what became of the others.</summary>
/// <param name="Samples">The samples in the order of the records.</param>
/// <param name="Bad">Records that make no sample, each with its reason.</param>
/// <param name="TooLong">Records longer than allowed that were left out.</param>
/// <param name="Truncated">Records that were cut.</param>
public sealed record SftSamples(IReadOnlyList<SftSample> Samples, IReadOnlyList<BadRecord> Bad, int TooLong, int Truncated)
{
    /// <summary>Makes samples.</summary>
    /// <param name="records">The records.</param>
    /// <param name="builder">Renders them.</param>
    /// <param name="maxLength">Most tokens of a sample.</param>
    /// <param name="strategy">What happens to longer ones.</param>
    /// <param name="cancellation">Stops between two records.</param>
    /// <exception cref="UnsupportedModelException">The template cannot be trained with.</exception>
    public static SftSamples Build(IReadOnlyList<SftRecord> records, SftSampleBuilder builder, int maxLength, TruncationStrategy strategy, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(records);
        ArgumentNullException.ThrowIfNull(builder);
        ArgumentOutOfRangeException.ThrowIfLessThan(maxLength, 2);
        var samples = new List<SftSample>();
        var bad = new List<BadRecord>();
        int tooLong = 0, truncated = 0;
        foreach (SftRecord record in records)
        {
            cancellation.ThrowIfCancellationRequested();
            try
            {
                SftSample sample = builder.Build(record);
                if (sample.Tokens.Length <= maxLength)
                {
                    samples.Add(sample);
                    continue;
                }

                SftSample[] pieces = [.. Cut(sample, maxLength, strategy).Where(piece => piece.TargetCount > 0)];
                samples.AddRange(pieces);
                if (strategy == TruncationStrategy.Delete)
                    tooLong++;
                else if (pieces.Length == 0)
                    bad.Add(new BadRecord(record.Place, $"cut to {maxLength} tokens, nothing of it carries loss."));
                else
                    truncated++;
            }
            catch (FormatException error)
            {
                bad.Add(new BadRecord(record.Place, error.Message));
            }
        }

        return new SftSamples(samples, bad, tooLong, truncated);
    }

    /// <summary>What a strategy makes of a sample that is too long.</summary>
    internal static IEnumerable<SftSample> Cut(SftSample sample, int maxLength, TruncationStrategy strategy)
    {
        int length = sample.Tokens.Length;
        switch (strategy)
        {
            case TruncationStrategy.Left:
                yield return Part(sample, length - maxLength, length);
                break;
            case TruncationStrategy.Right:
                yield return Part(sample, 0, maxLength);
                break;
            case TruncationStrategy.Split:
                for (int start = 0; start < length; start += maxLength)
                    yield return Part(sample, start, Math.Min(length, start + maxLength));
                break;
        }
    }

    // The first token of a part has nothing to be predicted from.
    private static SftSample Part(SftSample sample, int from, int to)
    {
        float[] weights = sample.Weights[from..to];
        weights[0] = 0;
        return sample with { Tokens = sample.Tokens[from..to], Weights = weights };
    }
}
