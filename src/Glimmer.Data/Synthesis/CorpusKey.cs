namespace Glimmer.Data.Synthesis;

/// <summary>What a generated item is for.</summary>
public enum CorpusSplit
{
    /// <summary>Training.</summary>
    Train,

    /// <summary>Watching training: losses during a run.</summary>
    Validation,

    /// <summary>Report cards only.</summary>
    Test,
}

/// <summary>Keys of generated problems. The key of a problem decides its split, so that the splits share no problem in any wording.</summary>
public static class CorpusKey
{
    /// <summary>Hash of a problem: its kind and what it is about. Operands of commutative operations are given in order, so that 3 + 5 and 5 + 3 are one problem.</summary>
    /// <remarks>FNV-1a over UTF-8 with the finaliser of SplitMix64, so that neighbours fall into unrelated splits.</remarks>
    public static ulong Of(params ReadOnlySpan<string> parts)
    {
        ulong hash = 14695981039346656037;
        foreach (string part in parts)
        {
            foreach (char c in part)
                hash = (hash ^ c) * 1099511628211;
            hash = (hash ^ 0x1F) * 1099511628211;
        }

        hash = (hash ^ (hash >> 30)) * 0xBF58476D1CE4E5B9;
        hash = (hash ^ (hash >> 27)) * 0x94D049BB133111EB;
        return hash ^ (hash >> 31);
    }

    /// <summary>The split of a key: of 100 parts the first ones are for training, then validation, then test.</summary>
    /// <param name="key">The key.</param>
    /// <param name="validation">Parts for validation.</param>
    /// <param name="test">Parts for the test.</param>
    public static CorpusSplit SplitOf(ulong key, int validation = 1, int test = 1)
    {
        int part = (int)(key % 100);
        return part < 100 - validation - test ? CorpusSplit.Train : part < 100 - test ? CorpusSplit.Validation : CorpusSplit.Test;
    }
}
