namespace Glimmer.Inference;

/// <summary>What a random draw is for: part of its key, so that draws for different purposes never coincide.</summary>
public enum DrawPurpose : uint
{
    /// <summary>Gumbel noise of a sampled token; one draw a vocabulary entry.</summary>
    Sampling = 1,
    /// <summary>Initial weights.</summary>
    Initialisation = 2,
    /// <summary>Order of training data.</summary>
    Shuffling = 3,
    /// <summary>Choices of generated training data.</summary>
    Synthesis = 4,
    /// <summary>Which drafts count as right in a measurement.</summary>
    ForcedAcceptance = 64,
}

/// <summary>
/// Counter-based random numbers: a draw is a function of (seed, purpose, position, index) and of nothing else, so it does not depend on neighbours, on drafts
/// or on restarts.
/// </summary>
/// <remarks>Philox4x32-10: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".</remarks>
public static class CounterRandom
{
    /// <summary>Four 32-bit words.</summary>
    public readonly record struct Words(uint X, uint Y, uint Z, uint W);

    /// <summary>Philox4x32 with 10 rounds.</summary>
    /// <param name="counter">What is drawn.</param>
    /// <param name="key0">First key word.</param>
    /// <param name="key1">Second key word.</param>
    public static Words Philox(Words counter, uint key0, uint key1)
    {
        (uint x, uint y, uint z, uint w) = (counter.X, counter.Y, counter.Z, counter.W);
        for (int round = 0; round < 10; round++)
        {
            ulong a = (ulong)x * 0xD2511F53;
            ulong b = (ulong)z * 0xCD9E8D57;
            (x, y, z, w) = ((uint)(b >> 32) ^ y ^ key0, (uint)b, (uint)(a >> 32) ^ w ^ key1, (uint)a);
            key0 += 0x9E3779B9;
            key1 += 0xBB67AE85;
        }

        return new Words(x, y, z, w);
    }

    /// <summary>Uniform numbers in (0, 1), 52 bits, never an end point.</summary>
    /// <param name="seed">Seed of the request or run.</param>
    /// <param name="purpose">What the draw is for.</param>
    /// <param name="position">Position in the sequence, or step.</param>
    /// <param name="index">Which draw at that position.</param>
    public static double Uniform(ulong seed, DrawPurpose purpose, long position, uint index)
    {
        Words words = Philox(new Words(index, (uint)position, (uint)(position >> 32), (uint)purpose), (uint)seed, (uint)(seed >> 32));
        // 52 bits: with one more, the largest value would round to 1.
        ulong bits = ((ulong)words.X << 32 | words.Y) >> 12;
        return (bits + 0.5) * (1.0 / (1UL << 52));
    }

    /// <summary>Standard Gumbel noise, <c>-log(-log(u))</c>, in fp64: adding it to log-probabilities and taking the maximum samples from them.</summary>
    public static double Gumbel(ulong seed, DrawPurpose purpose, long position, uint index) =>
        -Math.Log(-Math.Log(Uniform(seed, purpose, position, index)));
}
