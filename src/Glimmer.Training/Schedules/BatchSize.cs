namespace Glimmer.Training.Schedules;

/// <summary>Tokens of a global batch, rising linearly with the tokens seen and rounded down to whole micro-batches.</summary>
/// <param name="StartTokens">Tokens at the beginning.</param>
/// <param name="EndTokens">Tokens after the ramp.</param>
/// <param name="RampTokens">Tokens seen at the end of the ramp.</param>
/// <param name="Multiple">Tokens of one micro-batch of all ranks.</param>
/// <remarks><c>floor((start + (end - start) min(1, seen / ramp)) / multiple) multiple</c>. GLM-4.5: 16 M to 64 M tokens over the first 500 G.</remarks>
public sealed record BatchSize(long StartTokens, long EndTokens, double RampTokens, long Multiple)
{
    /// <summary>Tokens of the next batch after <paramref name="tokensSeen"/>.</summary>
    public long At(double tokensSeen)
    {
        double tokens = StartTokens + ((EndTokens - StartTokens) * Math.Min(1, tokensSeen / RampTokens));
        return (long)Math.Floor(tokens / Multiple) * Multiple;
    }
}

/// <summary>A batch that grows by a fixed number of samples at equal distances (Megatron-core's ramp-up).</summary>
/// <param name="Start">Samples at the beginning.</param>
/// <param name="End">Samples after the ramp.</param>
/// <param name="Increment">Samples added at each stage.</param>
/// <param name="RampSamples">Samples seen at the end of the ramp.</param>
public sealed record SteppedBatchSize(long Start, long End, long Increment, long RampSamples)
{
    /// <summary>Samples of the next batch after <paramref name="samplesSeen"/>.</summary>
    public long At(long samplesSeen)
    {
        long stages = (End - Start) / Increment;
        return samplesSeen > RampSamples || stages == 0 ? End : Start + ((long)(samplesSeen / ((double)RampSamples / stages)) * Increment);
    }
}
