using System.Globalization;
using Glimmer.Data.Synthesis.Miniature;
using Glimmer.Tokenization;

namespace Glimmer.Data.Synthesis.Passkeys;

/// <summary>
/// Texts that hide pass keys of five digits among lines that have nothing to do with them, and ask for them at the end: whether a model finds something anywhere in its context.
/// Lengths count tokens.
/// </summary>
/// <remarks>
/// The lines are those of <see cref="MiniatureCorpus"/>. A key of the test occurs in no training text. Questions hide one key, at depths that are spread evenly. Four in five texts for
/// training are short and hide as many keys as fit, because a small model learns to copy from many near copies, long before it would from a few far ones. The others hide one to four keys and
/// have any length up to the longest, half of them that one.
/// After the passkey retrieval test of Mohtashami and Jaggi 2023 (landmark attention), section 4.2.
/// </remarks>
public sealed class PasskeyCorpus
{
    /// <summary>Version of the generator: equal versions, seeds and tokenizers give equal texts.</summary>
    public const int Version = 2;

    /// <summary>Shortest length that holds a key and a question.</summary>
    public const int ShortestLength = 64;

    private const int MostKeys = 4;
    private const double FullShare = 0.8;
    private const int TokensOfKey = 40; // at the least, of statement and question
    private const int NearEnough = 12; // tokens that may be missing to the length
    private const int MostTries = 40;

    private static readonly MiniatureFamily[] s_families = [MiniatureFamily.World, MiniatureFamily.Stories, MiniatureFamily.Lists, MiniatureFamily.Arithmetic, MiniatureFamily.ChineseStories];

    private readonly ulong _seed;
    private readonly Tokenizer _tokenizer;
    private readonly int _length;
    private readonly MiniatureCorpus _lines;

    /// <summary>Creates the corpus.</summary>
    /// <param name="seed">Its seed.</param>
    /// <param name="tokenizer">Counts the tokens.</param>
    /// <param name="length">Tokens of the longest text.</param>
    public PasskeyCorpus(ulong seed, Tokenizer tokenizer, int length)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        ArgumentOutOfRangeException.ThrowIfLessThan(length, ShortestLength);
        (_seed, _tokenizer, _length, _lines) = (seed, tokenizer, length, new MiniatureCorpus(seed));
    }

    /// <summary>A text.</summary>
    /// <param name="index">Its number, from 0.</param>
    /// <param name="split">Its split; those for validation are as long as can be.</param>
    public SyntheticDocument Document(long index, CorpusSplit split = CorpusSplit.Train)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        var choices = new Choices(_seed, "passkeys", index, split);
        bool isFull = split == CorpusSplit.Train && choices.Chance(FullShare);
        int length = isFull ? choices.Between(ShortestLength, Math.Min(2 * ShortestLength, _length))
            : split != CorpusSplit.Train || choices.Chance(0.5) ? _length
            : choices.Between(ShortestLength, _length);
        int count = isFull ? length / TokensOfKey : choices.Between(1, Math.Clamp(length / ShortestLength, 1, MostKeys));
        WorldEntity[] owners = choices.Some(People(), count);
        string[] keys = [.. owners.Select(_ => Key(choices))];
        int TakenBy(int i) => Count(Statement(owners[i], keys[i])) + Count(Question(owners[i]) + Answer(keys[i])) + 2;
        int taken = Enumerable.Range(0, count).Sum(TakenBy);
        // Keys that find no room are left out; their bits stay in the count, which is an upper bound.
        while (count > 1 && taken > length - 1)
            taken -= TakenBy(--count);
        (List<string> lines, double bits) = Lines(index, split, length - taken - 1); // one for the end of the text
        for (int i = 0; i < count; i++)
            lines.Insert(choices.Below(lines.Count + 1), Statement(owners[i], keys[i]));
        foreach (int i in choices.Some([.. Enumerable.Range(0, count)], count))
            lines.Add(Question(owners[i]) + Answer(keys[i]));
        return new SyntheticDocument("passkeys", KeyOf(keys[0]), split, Text(lines), choices.Bits + bits);
    }

    /// <summary>The texts, up to so many tokens in all.</summary>
    /// <param name="tokens">Tokens to reach.</param>
    /// <param name="split">The split.</param>
    public IEnumerable<SyntheticDocument> Stream(long tokens, CorpusSplit split = CorpusSplit.Train)
    {
        long total = 0;
        for (long index = 0; total < tokens; index++)
        {
            SyntheticDocument document = Document(index, split);
            total += Count(document.Text);
            yield return document;
        }
    }

    /// <summary>Questions for one key each, as texts to go on with; text and answer have the length of the longest text. No key is asked for twice.</summary>
    /// <param name="count">How many. The task of each names the fifth of the text in which the key stands.</param>
    public IReadOnlyList<SyntheticQuestion> Questions(int count)
    {
        var asked = new HashSet<string>();
        var questions = new List<SyntheticQuestion>();
        for (long index = 0; questions.Count < count; index++)
        {
            var choices = new Choices(_seed, "passkeys/questions", index, CorpusSplit.Test);
            WorldEntity owner = choices.Pick(People());
            string key = Key(choices);
            if (!asked.Add(key))
                continue;
            (List<string> lines, _) = Lines(index, CorpusSplit.Test, _length - Count(Statement(owner, key)) - Count(Question(owner) + Answer(key)) - 3);
            double depth = (questions.Count + 0.5) / count;
            lines.Insert((int)(depth * (lines.Count + 1)), Statement(owner, key));
            string task = string.Create(CultureInfo.InvariantCulture, $"passkey in fifth {1 + (int)(5 * depth)}");
            questions.Add(new SyntheticQuestion(task, KeyOf(key), Question(owner), key) { Completion = Text([.. lines, Question(owner)]) });
        }

        return questions;
    }

    private static WorldEntity[] People() => [.. MiniatureWorld.Instance.Entities.Where(entity => entity.Kind == "person")];

    private static string Key(Choices choices) => choices.Draw(c => string.Create(CultureInfo.InvariantCulture, $"{c.Below(100_000):00000}"), key => CorpusKey.SplitOf(KeyOf(key)));

    private static ulong KeyOf(string key) => CorpusKey.Of("passkey", key);

    private static string Statement(WorldEntity owner, string key) => $"Note that the pass key of {owner.English} is {key}. Remember it: {key}.";

    private static string Question(WorldEntity owner) => $"Once more: the pass key of {owner.English} is";

    private static string Answer(string key) => $" {key}.";

    private static string Text(IEnumerable<string> lines) => string.Join('\n', lines);

    // Lines of the miniature with as many tokens as fit. Texts share none: each has a range of documents of its own.
    private (List<string> Lines, double Bits) Lines(long index, CorpusSplit split, int tokens)
    {
        var lines = new List<string>();
        double bits = 0;
        for (int i = 0, tries = 0; tokens > NearEnough && tries < MostTries; i++)
        {
            SyntheticDocument document = _lines.Document(s_families[i % s_families.Length], (index << 10) + i, split);
            int count = Count(document.Text) + 1; // and the end of the line
            // Thoughts are between control tokens, which a question's text cannot have.
            if (count > tokens || document.Text.Contains('<', StringComparison.Ordinal))
            {
                tries++;
                continue;
            }

            lines.Add(document.Text);
            (tokens, bits, tries) = (tokens - count, bits + document.EntropyBits, 0);
        }

        return (lines, bits);
    }

    private int Count(string text) => _tokenizer.Encode(text).Length;
}
