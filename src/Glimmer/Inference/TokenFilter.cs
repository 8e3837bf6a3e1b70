namespace Glimmer.Inference;

/// <summary>Keeps the tokens that may be drawn: top-k, then top-p of what is left, then min-p.</summary>
/// <remarks>
/// Top-k keeps exactly k, the lower id among equals. Top-p keeps the shortest run of most likely tokens whose probabilities, renormalised over what top-k left, reach p.
/// Min-p keeps tokens at least <c>minP</c> times as likely as the most likely one. Probabilities are added in fp64 in descending order. Allocates nothing.
/// </remarks>
internal static class TokenFilter
{
    /// <summary>Filters scores.</summary>
    /// <param name="options">Top-k, top-p and min-p.</param>
    /// <param name="scores">Logits after penalties, bias, mask and temperature, [V]; negative infinity is never kept.</param>
    /// <param name="best">Highest score.</param>
    /// <param name="scratch">Receives the ids: ascending when nothing has to be sorted, else most likely first.</param>
    /// <returns>Number of ids kept.</returns>
    public static int Keep(SamplingOptions options, ReadOnlySpan<float> scores, float best, SamplingScratch scratch)
    {
        float floor = options.MinP > 0 ? best + MathF.Log(options.MinP) : float.MinValue;
        if (options.TopK == 0 && options.TopP >= 1)
            return KeepAbove(scores, floor, scratch.Kept);

        Span<ulong> keys = scratch.Keys;
        int count = Gather(scores, float.MinValue, keys);
        if (options.TopK > 0 && options.TopK < count)
        {
            SelectSmallest(keys[..count], options.TopK);
            count = options.TopK;
        }

        if (options.TopP < 1)
        {
            count = Nucleus(scores, best, options, keys[..count]);
        }
        else
        {
            keys[..count].Sort();
        }

        int kept = 0;
        for (int i = 0; i < count; i++)
        {
            int id = (int)(uint)keys[i];
            if (i == 0 || scores[id] >= floor)
                scratch.Kept[kept++] = id;
        }

        return kept;
    }

    /// <summary>Ids of the <paramref name="ids"/>.Length highest values, highest first, the lower id among equals.</summary>
    /// <returns>Number of ids written; less than asked for when fewer are above negative infinity.</returns>
    public static int Highest(ReadOnlySpan<float> values, SamplingScratch scratch, Span<int> ids)
    {
        Span<ulong> keys = scratch.Keys;
        int count = Gather(values, float.MinValue, keys);
        int wanted = Math.Min(ids.Length, count);
        if (wanted < count)
            SelectSmallest(keys[..count], wanted);
        keys[..wanted].Sort();
        for (int i = 0; i < wanted; i++)
            ids[i] = (int)(uint)keys[i];
        return wanted;
    }

    private static int KeepAbove(ReadOnlySpan<float> scores, float floor, int[] kept)
    {
        int count = 0;
        for (int i = 0; i < scores.Length; i++)
        {
            if (scores[i] >= floor)
                kept[count++] = i;
        }

        return count;
    }

    // Ascending keys are descending scores, then ascending ids. Adding zero makes -0 equal +0.
    private static int Gather(ReadOnlySpan<float> scores, float floor, Span<ulong> keys)
    {
        int count = 0;
        for (int i = 0; i < scores.Length; i++)
        {
            if (scores[i] >= floor)
                keys[count++] = Key(scores[i], i);
        }

        return count;
    }

    private static ulong Key(float score, int id)
    {
        uint bits = BitConverter.SingleToUInt32Bits(score + 0f);
        uint ascending = (bits & 0x80000000) != 0 ? ~bits : bits | 0x80000000;
        return (ulong)~ascending << 32 | (uint)id;
    }

    // Sorts only what the nucleus can reach: tokens within some distance of the best, the distance growing until their mass suffices.
    private static int Nucleus(ReadOnlySpan<float> scores, float best, SamplingOptions options, Span<ulong> keys)
    {
        double total = 0;
        foreach (ulong key in keys)
            total += Math.Exp((double)scores[(int)(uint)key] - best);
        double wanted = options.TopP * total;
        for (float distance = 4; ; distance *= 4)
        {
            float floor = distance > 200 ? float.MinValue : best - distance;
            int near = Partition(scores, floor, keys);
            keys[..near].Sort();
            double mass = 0;
            for (int i = 0; i < near; i++)
            {
                mass += Math.Exp((double)scores[(int)(uint)keys[i]] - best);
                if (mass >= wanted)
                    return i + 1;
            }

            if (near == keys.Length)
                return near;
        }
    }

    private static int Partition(ReadOnlySpan<float> scores, float floor, Span<ulong> keys)
    {
        int near = 0;
        for (int i = 0; i < keys.Length; i++)
        {
            if (scores[(int)(uint)keys[i]] < floor)
                continue;
            (keys[near], keys[i]) = (keys[i], keys[near]);
            near++;
        }

        return near;
    }

    // Quickselect: the k smallest keys come first, in any order. Keys are distinct.
    private static void SelectSmallest(Span<ulong> keys, int k)
    {
        int low = 0, high = keys.Length - 1;
        while (low < high)
        {
            ulong pivot = Median(keys[low], keys[(low + high) >>> 1], keys[high]);
            int i = low, j = high;
            while (i <= j)
            {
                while (keys[i] < pivot)
                    i++;
                while (keys[j] > pivot)
                    j--;
                if (i <= j)
                {
                    (keys[i], keys[j]) = (keys[j], keys[i]);
                    i++;
                    j--;
                }
            }

            if (k - 1 <= j)
                high = j;
            else if (k - 1 >= i)
                low = i;
            else
                return;
        }
    }

    private static ulong Median(ulong a, ulong b, ulong c) => Math.Max(Math.Min(a, b), Math.Min(Math.Max(a, b), c));
}
