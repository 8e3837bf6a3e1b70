using System.Buffers;
using System.Text;
using Glimmer.Tokenization;

namespace Glimmer.Inference.Constraints;

/// <summary>The tokens of a vocabulary that consist of some characters, the last one perhaps unfinished, and a trie of all others.</summary>
internal sealed class CharacterTokens
{
    private readonly (int Characters, int Id)[] _tokens;
    private readonly ulong[]?[] _masks; // by most characters, made when asked for

    private CharacterTokens(int words, List<(int Characters, int Id)> tokens, TokenNodes rest)
    {
        (_tokens, Rest) = ([.. tokens], rest);
        Longest = _tokens.Length == 0 ? 1 : _tokens.Max(t => t.Characters);
        _masks = new ulong[]?[Longest + 1];
        Mask = new ulong[words];
        _masks[Longest] = Mask;
        foreach ((_, int id) in _tokens)
            Mask[id >> 6] |= 1UL << (id & 63);
    }

    /// <summary>The tokens, a bit each.</summary>
    public ulong[] Mask { get; }

    /// <summary>Most characters of one of them.</summary>
    public int Longest { get; }

    /// <summary>The other tokens.</summary>
    public TokenNodes Rest { get; }

    /// <summary>Those of at most some characters.</summary>
    public ulong[] MaskOf(int characters)
    {
        ref ulong[]? known = ref _masks[Math.Min(characters, Longest)];
        if (known is null)
        {
            var mask = new ulong[Mask.Length];
            foreach ((int count, int id) in _tokens)
            {
                if (count <= characters)
                    mask[id >> 6] |= 1UL << (id & 63);
            }

            Volatile.Write(ref known, mask);
        }

        return known;
    }

    /// <summary>Finds the tokens.</summary>
    /// <param name="tokenizer">The vocabulary.</param>
    /// <param name="order">Tokens ordered by their bytes.</param>
    /// <param name="ascii">The characters of ASCII.</param>
    /// <param name="others">Whether all other characters belong to them.</param>
    public static CharacterTokens Of(Tokenizer tokenizer, int[] order, AsciiSet ascii, bool others)
    {
        var tokens = new List<(int, int)>(order.Length);
        var rest = new List<int>();
        foreach (int id in order)
        {
            int characters = Characters(tokenizer.TokenBytes(id), ascii, others);
            if (characters < 0)
                rest.Add(id);
            else
                tokens.Add((characters, id));
        }

        return new CharacterTokens((tokenizer.VocabularySize + 63) / 64, tokens, new TokenNodes(tokenizer, [.. rest]));
    }

    // The number of characters; -1 when one is not among them.
    private static int Characters(ReadOnlySpan<byte> bytes, AsciiSet ascii, bool others)
    {
        int count = 0;
        for (int i = 0; i < bytes.Length; count++)
        {
            int length = 1;
            if (bytes[i] < 128 ? !ascii.Contains(bytes[i]) : !others || Rune.DecodeFromUtf8(bytes[i..], out _, out length) == OperationStatus.InvalidData)
                return -1;
            i += length;
        }

        return count;
    }
}
