using System.Text;

namespace Glimmer.Tokenization;

/// <summary>Trains byte-level BPE vocabularies: the same merges and ids as Hugging Face's <c>BpeTrainer</c>, whatever the number of threads.</summary>
/// <remarks>
/// Words are counted; then the most frequent pair of neighbouring symbols (ties: smallest left id, then right id) becomes a token, again and
/// again. Gage 1994; Sennrich et al. 2016, algorithm 1; ids as in <c>tokenizers/src/models/bpe/trainer.rs</c>.
/// </remarks>
public static class BpeTrainer
{
    private const int ReportEvery = 256;

    /// <summary>Trains a vocabulary.</summary>
    /// <param name="documents">The corpus; each document is cut into pieces by itself.</param>
    /// <param name="options">What to train.</param>
    /// <param name="progress">Told how far it is; possibly from several threads.</param>
    /// <param name="cancellation">Ends the training with an <see cref="OperationCanceledException"/>.</param>
    public static BpeTrainingResult Train(
        IEnumerable<string> documents,
        BpeTrainerOptions options,
        IProgress<BpeTrainingProgress>? progress = null,
        CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(documents);
        ArgumentNullException.ThrowIfNull(options);
        ArgumentOutOfRangeException.ThrowIfNegative(options.VocabularySize);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(options.VocabularySize, TokenStore.MaxIds);

        Dictionary<string, long> words = WordCounter.Count(documents, options, progress, cancellation);
        var tokens = new List<string>();
        var ids = new Dictionary<string, int>();
        foreach (string token in options.SpecialTokens)
            IdOf(token);
        string[] alphabet = Alphabet(words, options);
        foreach (string character in alphabet)
            IdOf(character);

        PairCounts pairs = CountPairs(words, alphabet, ids, options);
        var merges = new List<BpeMerge>();
        while (tokens.Count < options.VocabularySize)
        {
            cancellation.ThrowIfCancellationRequested();
            if (!pairs.TryTake(out int left, out int right, out long count) || count < options.MinFrequency)
                break;
            int id = IdOf(tokens[left] + tokens[right]);
            pairs.AddSymbol(id, pairs.LengthOf(left) + pairs.LengthOf(right));
            merges.Add(new BpeMerge(tokens[left], tokens[right], count));
            pairs.Merge(left, right, id);
            if (merges.Count % ReportEvery == 0)
                progress?.Report(new BpeTrainingProgress(BpeTrainingStage.Merging, tokens.Count, options.VocabularySize));
        }

        progress?.Report(new BpeTrainingProgress(BpeTrainingStage.Merging, tokens.Count, options.VocabularySize));
        return new BpeTrainingResult(options, tokens, merges, alphabet);

        // The id of a token: an old one where the text is a token already, else the next.
        int IdOf(string token)
        {
            if (ids.TryAdd(token, tokens.Count))
                tokens.Add(token);
            return ids[token];
        }
    }

    /// <summary>The characters that are tokens, in order of their code points.</summary>
    private static string[] Alphabet(Dictionary<string, long> words, BpeTrainerOptions options)
    {
        var counts = new long[256];
        foreach ((string word, long count) in words)
        {
            foreach (char b in word)
                counts[b] += count;
        }

        var characters = new Dictionary<string, long>();
        for (int b = 0; b < 256; b++)
        {
            if (counts[b] > 0)
                characters[ByteAlphabet.CharOf((byte)b).ToString()] = counts[b];
        }

        foreach (string character in options.InitialAlphabet)
        {
            if (character.Length > 0)
                characters[Rune.GetRuneAt(character, 0).ToString()] = long.MaxValue;
        }

        IEnumerable<KeyValuePair<string, long>> kept = characters;
        if (options.LimitAlphabet is int limit)
            kept = kept.OrderByDescending(c => c.Value).ThenBy(c => CodePoint(c.Key)).Take(limit);
        return [.. kept.Select(c => c.Key).OrderBy(CodePoint)];

        static int CodePoint(string character) => Rune.GetRuneAt(character, 0).Value;
    }

    private static PairCounts CountPairs(Dictionary<string, long> words, string[] alphabet, Dictionary<string, int> ids, BpeTrainerOptions options)
    {
        var symbolOf = new int[256];
        Array.Fill(symbolOf, -1);
        var pairs = new PairCounts(options.MaxTokenLength ?? int.MaxValue);
        foreach (string character in alphabet)
        {
            int value = ByteAlphabet.ByteOf(Rune.GetRuneAt(character, 0).Value);
            if (value < 0)
                continue; // no text has it
            symbolOf[value] = ids[character];
            pairs.AddSymbol(ids[character], 1);
        }

        foreach ((string word, long count) in words)
        {
            int[] symbols = [.. word.Select(b => symbolOf[b]).Where(id => id >= 0)];
            if (symbols.Length > 1)
                pairs.AddWord(symbols, count);
        }

        pairs.Start();
        return pairs;
    }
}
