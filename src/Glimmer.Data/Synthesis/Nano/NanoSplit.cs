namespace Glimmer.Data.Synthesis.Nano;

/// <summary>The splits of Nano's data: 90 parts for training, 2 for validation, 8 for the test, because two-digit problems and functions are few.</summary>
internal static class NanoSplit
{
    /// <summary>The split of a key.</summary>
    public static CorpusSplit Of(ulong key) => CorpusKey.SplitOf(key, validation: 2, test: 8);
}
