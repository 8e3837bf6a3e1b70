using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Glimmer.Data.Synthesis.Nano;

/// <summary>Random choices of one generated item: a function of seed, name of the family and number of the item, so that any item can be made without those before it.</summary>
internal sealed class Draws
{
    private ulong _state;

    /// <summary>Creates the choices of an item.</summary>
    public Draws(ulong seed, string family, long index) => _state = Mix(seed ^ Mix(Hash(family) ^ Mix((ulong)index)));

    /// <summary>A whole number from <paramref name="low"/> to <paramref name="high"/>, both included.</summary>
    public int Int(int low, int high) => low + (int)(Next() % (ulong)(high - low + 1));

    /// <summary>Whether something happens that happens in <paramref name="percent"/> of 100 cases.</summary>
    public bool Chance(int percent) => Int(1, 100) <= percent;

    /// <summary>One of several.</summary>
    public T Of<T>(params IReadOnlyList<T> values) => values[Int(0, values.Count - 1)];

    /// <summary>Some of several, each once, in random order.</summary>
    public T[] Some<T>(IReadOnlyList<T> values, int count)
    {
        T[] copy = [.. values];
        Shuffle(copy);
        return copy[..Math.Min(count, copy.Length)];
    }

    /// <summary>Puts values in random order.</summary>
    public void Shuffle<T>(T[] values)
    {
        for (int i = values.Length - 1; i > 0; i--)
        {
            int j = Int(0, i);
            (values[i], values[j]) = (values[j], values[i]);
        }
    }

    /// <summary>Which part of a split a key belongs to, 0 to 99: the same for one key in every version and on every machine.</summary>
    public static int Bucket(string key) => (int)(Hash(key) % 100);

    /// <summary>A whole number as text.</summary>
    public static string Text(long value) => value.ToString(CultureInfo.InvariantCulture);

    private static ulong Hash(string text) => BitConverter.ToUInt64(SHA256.HashData(Encoding.UTF8.GetBytes(text)));

    private ulong Next() => Mix(_state += 0x9E3779B97F4A7C15);

    // The finaliser of SplitMix64, Steele et al. 2014.
    private static ulong Mix(ulong z)
    {
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }
}
