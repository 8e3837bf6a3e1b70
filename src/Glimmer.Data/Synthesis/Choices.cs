using Glimmer.Inference;

namespace Glimmer.Data.Synthesis;

/// <summary>The random choices behind one generated item: a function of (seed, stream, index), and the information that they carry.</summary>
/// <remarks>Every choice adds <c>-log2 p</c> bits, so <see cref="Bits"/> is at least the information of the text that follows from the choices; equal where different choices give different texts.</remarks>
internal sealed class Choices
{
    private const int MostTries = 100_000;

    private readonly ulong _seed, _index;
    private uint _count;

    /// <summary>Begins an item.</summary>
    /// <param name="seed">Seed of the corpus.</param>
    /// <param name="stream">Which series of items, such as a family of tasks.</param>
    /// <param name="index">Number of the item in its series.</param>
    /// <param name="split">The split that its problems must belong to.</param>
    public Choices(ulong seed, string stream, long index, CorpusSplit split)
    {
        (_seed, _index, Split) = (seed ^ CorpusKey.Of(stream, split.ToString()), (ulong)index, split);
    }

    /// <summary>The split that problems must belong to.</summary>
    public CorpusSplit Split { get; }

    /// <summary>Information of the choices so far, in bits.</summary>
    public double Bits { get; private set; }

    /// <summary>A number from 0 to <paramref name="count"/> - 1.</summary>
    public int Below(int count)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        Bits += Math.Log2(count);
        return (int)((ulong)Draw() * (uint)count >> 32);
    }

    /// <summary>A number between two, both included.</summary>
    public int Between(int first, int last) => first + Below(last - first + 1);

    /// <summary>True with a probability.</summary>
    public bool Chance(double probability)
    {
        bool value = Draw() * (1.0 / (1L << 32)) < probability;
        Bits -= Math.Log2(value ? probability : 1 - probability);
        return value;
    }

    /// <summary>One of several, equally likely.</summary>
    public T Pick<T>(IReadOnlyList<T> items) => items[Below(items.Count)];

    /// <summary>One of several, as likely as its weight.</summary>
    public T Weighted<T>(params ReadOnlySpan<(double Weight, T Item)> items)
    {
        double sum = 0;
        foreach ((double weight, _) in items)
            sum += weight;
        double at = Draw() * (1.0 / (1L << 32)) * sum;
        int chosen = 0;
        while (chosen < items.Length - 1 && at >= items[chosen].Weight)
            at -= items[chosen++].Weight;
        Bits -= Math.Log2(items[chosen].Weight / sum);
        return items[chosen].Item;
    }

    /// <summary>Several different ones in a random order.</summary>
    public T[] Some<T>(IReadOnlyList<T> items, int count)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, items.Count);
        T[] rest = [.. items];
        for (int i = 0; i < count; i++)
        {
            int j = i + Below(rest.Length - i);
            (rest[i], rest[j]) = (rest[j], rest[i]);
        }

        return rest[..count];
    }

    /// <summary>A number with an exact number of decimal digits.</summary>
    public int Digits(int count)
    {
        int first = count == 1 ? 0 : Power(count - 1);
        return Between(first, Power(count) - 1);

        static int Power(int exponent) => (int)Math.Pow(10, exponent);
    }

    /// <summary>A problem that belongs to the split: others are drawn again and cost no information.</summary>
    /// <param name="make">Draws a problem.</param>
    /// <param name="splitOf">The split of a problem.</param>
    /// <exception cref="InvalidOperationException">No problem of the split turned up: it has none, or as good as none.</exception>
    public T Draw<T>(Func<Choices, T> make, Func<T, CorpusSplit> splitOf)
    {
        double before = Bits;
        for (int i = 0; i < MostTries; i++)
        {
            T problem = make(this);
            if (splitOf(problem) == Split)
                return problem;
            Bits = before;
        }

        throw new InvalidOperationException($"None of {MostTries} problems belongs to the {Split} split.");
    }

    private uint Draw()
    {
        CounterRandom.Words words = CounterRandom.Philox(new CounterRandom.Words(_count++, (uint)_index, (uint)(_index >> 32), (uint)DrawPurpose.Synthesis), (uint)_seed, (uint)(_seed >> 32));
        return words.X;
    }
}
