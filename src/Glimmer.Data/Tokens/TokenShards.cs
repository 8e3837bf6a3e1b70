using System.Collections;
using Glimmer.Tokenization;

namespace Glimmer.Data.Tokens;

/// <summary>How documents become shards.</summary>
public sealed record TokenShardOptions
{
    /// <summary>Tokens after which a new shard begins.</summary>
    public long ShardTokens { get; init; } = 1L << 30;

    /// <summary>The token put behind every document; null for none.</summary>
    public string? EndOfText { get; init; } = "<|endoftext|>";
}

/// <summary>How far tokenising is.</summary>
/// <param name="Documents">Documents written.</param>
/// <param name="Tokens">Tokens written.</param>
/// <param name="TextBytes">Bytes of their text in UTF-8.</param>
public readonly record struct TokenizingProgress(long Documents, long Tokens, long TextBytes);

/// <summary>A folder of shards as one list of tokenised documents.</summary>
public sealed class TokenShards : IReadOnlyList<int[]>, IDisposable
{
    private const string Pattern = "*.tokens";
    private const int ReportEvery = 256;

    private readonly TokenShard[] _shards;
    private readonly int[] _ends;

    private TokenShards(TokenShard[] shards)
    {
        _shards = shards;
        _ends = new int[shards.Length];
        int count = 0;
        for (int i = 0; i < shards.Length; i++)
            _ends[i] = count = checked(count + shards[i].Count);
    }

    /// <summary>The shards in order of their names.</summary>
    public IReadOnlyList<TokenShard> Shards => _shards;

    /// <summary>Number of documents.</summary>
    public int Count => _ends[^1];

    /// <summary>Tokens of all documents.</summary>
    public long TokenCount => _shards.Sum(shard => shard.TokenCount);

    /// <summary>The tokens of a document.</summary>
    public int[] this[int index]
    {
        get
        {
            ArgumentOutOfRangeException.ThrowIfNegative(index);
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, Count);
            int shard = Array.BinarySearch(_ends, index + 1);
            shard = shard < 0 ? ~shard : shard;
            // Shards without documents share the end of their neighbour: the first of them holds the document.
            while (shard > 0 && _ends[shard - 1] > index)
                shard--;
            return _shards[shard][index - (shard > 0 ? _ends[shard - 1] : 0)];
        }
    }

    /// <summary>Tokenises documents into <c>00000.tokens</c>, <c>00001.tokens</c> ... of a folder that holds no shards yet.</summary>
    /// <param name="folder">The folder; created where it is missing.</param>
    /// <param name="documents">The documents, read once.</param>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="options">How.</param>
    /// <param name="progress">Told how far it is.</param>
    /// <param name="cancellation">Ends the work with an <see cref="OperationCanceledException"/>; complete shards stay.</param>
    /// <returns>What was written in all.</returns>
    /// <exception cref="ArgumentException">The tokenizer has no such end-of-text token.</exception>
    /// <exception cref="IOException">The folder holds shards, or the disk is full; a shard that is not complete leaves nothing behind.</exception>
    public static TokenizingProgress Write(
        string folder,
        IEnumerable<Document> documents,
        Tokenizer tokenizer,
        TokenShardOptions? options = null,
        IProgress<TokenizingProgress>? progress = null,
        CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(documents);
        ArgumentNullException.ThrowIfNull(tokenizer);
        options ??= new TokenShardOptions();
        ArgumentOutOfRangeException.ThrowIfLessThan(options.ShardTokens, 1);
        int end = options.EndOfText is null ? -1
            : tokenizer.TokenToId(options.EndOfText) ?? throw new ArgumentException($"The tokenizer has no token '{options.EndOfText}'; name another end of text, or none.");
        Directory.CreateDirectory(folder);
        if (Directory.EnumerateFiles(folder, Pattern).Any())
            throw new IOException($"'{folder}' holds shards already; name another folder, or delete them.");
        byte[] hash = Convert.FromHexString(TokenizerFingerprint.Of(tokenizer));
        var done = default(TokenizingProgress);
        var tokens = new List<int>();
        TokenShardWriter? writer = null;
        int shards = 0;
        try
        {
            foreach (Document document in documents)
            {
                cancellation.ThrowIfCancellationRequested();
                writer ??= new TokenShardWriter(Path.Combine(folder, $"{shards++:D5}.tokens"), tokenizer.VocabularySize, end, hash);
                tokens.Clear();
                tokenizer.Encode(document.Text, tokens, document.HasControlTokens ? EncodeOptions.RenderedPrompt : EncodeOptions.UserText);
                if (end >= 0)
                    tokens.Add(end);
                writer.Add(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(tokens));
                done = new TokenizingProgress(done.Documents + 1, done.Tokens + tokens.Count, done.TextBytes + System.Text.Encoding.UTF8.GetByteCount(document.Text));
                if (done.Documents % ReportEvery == 0)
                    progress?.Report(done);
                if (writer.Tokens < options.ShardTokens)
                    continue;
                writer.Commit();
                writer.Dispose();
                writer = null;
            }

            if (shards == 0)
                throw new ModelFormatException("There are no documents to tokenise.");
            writer?.Commit();
            progress?.Report(done);
            return done;
        }
        finally
        {
            writer?.Dispose();
        }
    }

    /// <summary>Opens a folder of shards, or one shard.</summary>
    /// <param name="path">Folder or file.</param>
    /// <param name="tokenizer">The tokenizer that the model uses; null: any.</param>
    /// <exception cref="ModelFormatException">There are no shards, they are damaged, of different tokenizers, or of another tokenizer than the model's.</exception>
    public static TokenShards Open(string path, Tokenizer? tokenizer = null)
    {
        string[] files = Directory.Exists(path) ? Directory.GetFiles(path, Pattern) : [path];
        if (files.Length == 0)
            throw new ModelFormatException($"'{path}' holds no shards (*.tokens). 'glimmer tokenize-corpus' writes them.");
        Array.Sort(files, StringComparer.Ordinal);
        var shards = new List<TokenShard>();
        try
        {
            foreach (string file in files)
                shards.Add(TokenShard.Open(file));
            string expected = tokenizer is null ? shards[0].TokenizerHash : TokenizerFingerprint.Of(tokenizer);
            TokenShard? other = shards.Find(shard => shard.TokenizerHash != expected);
            if (other is not null)
            {
                throw new ModelFormatException(
                    $"'{other.Path}' was made with the tokenizer {other.TokenizerHash[..12]}, {(tokenizer is null ? "other shards of the folder" : "the model")} with {expected[..12]}. Tokenise the text again.");
            }

            return new TokenShards([.. shards]);
        }
        catch
        {
            shards.ForEach(shard => shard.Dispose());
            throw;
        }
    }

    /// <inheritdoc/>
    public IEnumerator<int[]> GetEnumerator()
    {
        foreach (TokenShard shard in _shards)
        {
            foreach (int[] document in shard)
                yield return document;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (TokenShard shard in _shards)
            shard.Dispose();
    }

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}
