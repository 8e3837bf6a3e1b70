namespace Glimmer.Quantization;

/// <summary>The values that decide the scale of a block.</summary>
internal static class BlockExtremes
{
    /// <summary>The value of largest magnitude with its sign; the first one wins; +0 for a block of zeros of either sign.</summary>
    public static float Largest(ReadOnlySpan<float> values)
    {
        float largest = 0;
        float magnitude = 0;
        foreach (float value in values)
        {
            if (MathF.Abs(value) > magnitude)
            {
                magnitude = MathF.Abs(value);
                largest = value;
            }
        }

        return largest;
    }

    /// <summary>Smallest and largest value.</summary>
    public static (float Min, float Max) Range(ReadOnlySpan<float> values)
    {
        float min = float.MaxValue;
        float max = -float.MaxValue;
        foreach (float value in values)
        {
            if (value < min)
                min = value;
            if (value > max)
                max = value;
        }

        return (min, max);
    }
}
