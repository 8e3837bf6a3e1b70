namespace Glimmer.Kernels;

/// <summary>The part of a range of equal items that one thread of a team takes.</summary>
internal static class Share
{
    /// <summary>First item and end of thread <paramref name="thread"/> of <paramref name="threads"/>.</summary>
    public static (int From, int To) Of(int items, int thread, int threads) =>
        ((int)((long)items * thread / threads), (int)((long)items * (thread + 1) / threads));
}
