namespace Glimmer.Operations;

/// <summary>Consecutive rows of activations that compute with one adapter.</summary>
/// <param name="Adapter">Number of the adapter: 0 is the one that is attached to the model as a whole, if any; others are attached beside it.</param>
/// <param name="First">First row.</param>
/// <param name="Count">Rows.</param>
internal readonly record struct AdapterRun(int Adapter, int First, int Count)
{
    /// <summary>Appends rows to a list of runs; rows of the same adapter become one run.</summary>
    public static void Append(List<AdapterRun> runs, int adapter, int count)
    {
        if (runs.Count > 0 && runs[^1].Adapter == adapter)
            runs[^1] = runs[^1] with { Count = runs[^1].Count + count };
        else
            runs.Add(new AdapterRun(adapter, runs.Count == 0 ? 0 : runs[^1].First + runs[^1].Count, count));
    }

    /// <summary>The adapter of a row.</summary>
    public static int Of(List<AdapterRun>? runs, int row)
    {
        for (int i = 0; runs is not null && i < runs.Count; i++)
        {
            if (row < runs[i].First + runs[i].Count)
                return runs[i].Adapter;
        }

        return 0;
    }
}
