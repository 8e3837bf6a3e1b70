using System.Buffers.Binary;
using System.Collections;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Glimmer.Formats;

namespace Glimmer.Data.Tokens;

/// <summary>A file of tokenised documents, mapped into memory: opening it costs nothing whatever its size.</summary>
/// <remarks>The layout is that of <see cref="TokenShardHeader"/>. Several threads may read.</remarks>
public sealed class TokenShard : IReadOnlyList<int[]>, IDisposable
{
    private const int HashBlock = 1 << 24;

    private readonly MappedFile _file;
    private readonly TokenShardHeader _header;

    private TokenShard(MappedFile file, TokenShardHeader header) => (_file, _header) = (file, header);

    /// <summary>The file.</summary>
    public string Path => _file.Path;

    /// <summary>Number of documents.</summary>
    public int Count => (int)_header.Documents;

    /// <summary>Tokens of all documents.</summary>
    public long TokenCount => _header.Tokens;

    /// <summary>Bytes of a stored token: 2 for vocabularies up to 65,536, else 4.</summary>
    public int TokenBytes => _header.TokenBytes;

    /// <summary>Tokens of the vocabulary.</summary>
    public int VocabularySize => _header.Vocabulary;

    /// <summary>The token that ends every document; null when none was added.</summary>
    public int? EndOfText => _header.EndOfText < 0 ? null : _header.EndOfText;

    /// <summary>Fingerprint of the tokenizer, see <see cref="TokenizerFingerprint"/>.</summary>
    public string TokenizerHash => Convert.ToHexStringLower(_header.Tokenizer);

    /// <summary>The tokens of a document.</summary>
    /// <exception cref="ModelFormatException">The table of documents is damaged.</exception>
    public int[] this[int index]
    {
        get
        {
            ArgumentOutOfRangeException.ThrowIfNegative(index);
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, Count);
            ReadOnlySpan<byte> table = _file.Span(_header.TableStart + 8L * index, 16);
            long start = BinaryPrimitives.ReadInt64LittleEndian(table), end = BinaryPrimitives.ReadInt64LittleEndian(table[8..]);
            if (start < 0 || end < start || end > _header.Tokens || end - start > Array.MaxLength / 4)
                throw new ModelFormatException($"'{Path}': document {index} is said to be tokens {start} to {end} of {_header.Tokens}. The shard is damaged; write it again.");
            var tokens = new int[end - start];
            ReadOnlySpan<byte> bytes = _file.Span(TokenShardHeader.Bytes + start * TokenBytes, tokens.Length * TokenBytes);
            if (TokenBytes == 4)
            {
                bytes.CopyTo(MemoryMarshal.AsBytes(tokens.AsSpan()));
                return tokens;
            }

            ReadOnlySpan<ushort> narrow = MemoryMarshal.Cast<byte, ushort>(bytes);
            for (int i = 0; i < tokens.Length; i++)
                tokens[i] = narrow[i];
            return tokens;
        }
    }

    /// <summary>Opens a shard.</summary>
    /// <exception cref="ModelFormatException">There is no such file, or it is no shard, of another version or cut off.</exception>
    public static TokenShard Open(string path)
    {
        MappedFile file = MappedFile.Open(path);
        try
        {
            return new TokenShard(file, TokenShardHeader.Read(path, file.Span(0, (int)Math.Min(file.Length, TokenShardHeader.Bytes)), file.Length));
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Reads the whole file and compares it with its hash.</summary>
    /// <exception cref="ModelFormatException">They differ.</exception>
    public void Verify()
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        for (long start = TokenShardHeader.Bytes; start < _file.Length; start += HashBlock)
            hash.AppendData(_file.Span(start, (int)Math.Min(HashBlock, _file.Length - start)));
        if (!hash.GetHashAndReset().AsSpan().SequenceEqual(_header.Content))
            throw new ModelFormatException($"'{Path}': the content does not have the hash of its header. The shard is damaged; write it again.");
    }

    /// <inheritdoc/>
    public IEnumerator<int[]> GetEnumerator()
    {
        for (int i = 0; i < Count; i++)
            yield return this[i];
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}
