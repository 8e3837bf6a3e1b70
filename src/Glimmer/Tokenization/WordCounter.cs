using System.Runtime.InteropServices;
using System.Text;

namespace Glimmer.Tokenization;

/// <summary>Counts the pieces of documents, in parallel. A word is a string whose characters are the piece's bytes.</summary>
internal static class WordCounter
{
    /// <summary>How often each word occurs. Each document is normalised and cut by itself.</summary>
    public static Dictionary<string, long> Count(
        IEnumerable<string> documents, BpeTrainerOptions options, IProgress<BpeTrainingProgress>? progress, CancellationToken cancellation)
    {
        var total = new Dictionary<string, long>();
        long done = 0;
        var parallel = new ParallelOptions { CancellationToken = cancellation, MaxDegreeOfParallelism = options.Threads ?? Environment.ProcessorCount };
        Parallel.ForEach(
            documents,
            parallel,
            () => new Dictionary<string, long>(),
            (document, _, words) =>
            {
                CountDocument(document, options, words);
                progress?.Report(new BpeTrainingProgress(BpeTrainingStage.CountingWords, Interlocked.Increment(ref done), 0));
                return words;
            },
            words =>
            {
                lock (total)
                {
                    foreach ((string word, long count) in words)
                        CollectionsMarshal.GetValueRefOrAddDefault(total, word, out _) += count;
                }
            });
        return total;
    }

    private static void CountDocument(string document, BpeTrainerOptions options, Dictionary<string, long> words)
    {
        byte[] utf8 = Encoding.UTF8.GetBytes(document);
        if (options.NormalizeNfc && !Nfc.IsSurelyNormalized(utf8))
            utf8 = Nfc.Normalize(utf8);
        if (utf8.Length == 0)
            return;
        int space = options.AddPrefixSpace && utf8[0] != ' ' ? 1 : 0;
        byte[] text = new byte[space + utf8.Length + Utf8Text.Padding];
        text[0] = (byte)' ';
        utf8.CopyTo(text, space);
        int end = space + utf8.Length;
        switch (options.PreTokenizer)
        {
            case PreTokenizer.Glm:
                CountPieces<GlmSplitter>(text, end, words);
                break;
            case PreTokenizer.Qwen2:
                CountPieces<Qwen2Splitter>(text, end, words);
                break;
            case PreTokenizer.Gpt2:
                CountPieces<Gpt2Splitter>(text, end, words);
                break;
            case PreTokenizer.DigitsGpt2:
                CountPieces<DigitsGpt2Splitter>(text, end, words);
                break;
            default:
                CountPieces<DigitRunsGpt2Splitter>(text, end, words);
                break;
        }
    }

    private static void CountPieces<TSplitter>(byte[] text, int end, Dictionary<string, long> words)
        where TSplitter : struct, IPieceSplitter
    {
        var bySpan = words.GetAlternateLookup<ReadOnlySpan<char>>();
        var word = new char[256];
        for (int p = 0; p < end;)
        {
            int q = TSplitter.Next(ref text[0], p, end);
            if (word.Length < q - p)
                word = new char[2 * (q - p)];
            Encoding.Latin1.GetChars(text, p, q - p, word, 0);
            CollectionsMarshal.GetValueRefOrAddDefault(bySpan, word.AsSpan(0, q - p), out _)++;
            p = q;
        }
    }
}
