using System.Buffers.Binary;

namespace Glimmer.Data.Tokens;

/// <summary>The first 128 bytes of a shard.</summary>
/// <remarks>
/// Little-endian: magic <c>GLTOKENS</c> (8 bytes), version u32 = 1, bytes of a token u32 (2 or 4), documents u64, tokens u64, vocabulary u32, end-of-text id i32 (-1: none), SHA-256 of the
/// tokenizer (32 bytes, <see cref="TokenizerFingerprint"/>), SHA-256 of everything behind the header (32 bytes), zeros. Then the tokens, zeros up to a multiple of 8, and the first token of
/// each document as u64 with the number of tokens behind the last.
/// </remarks>
internal readonly record struct TokenShardHeader(int TokenBytes, long Documents, long Tokens, int Vocabulary, int EndOfText, byte[] Tokenizer, byte[] Content)
{
    public const int Bytes = 128;

    private const int HashBytes = 32;
    private const uint Version = 1;

    /// <summary>First byte of the table of documents.</summary>
    public long TableStart => Bytes + (Tokens * TokenBytes + 7) / 8 * 8;

    /// <summary>Bytes of the whole file.</summary>
    public long FileBytes => TableStart + 8 * (Documents + 1);

    private static ReadOnlySpan<byte> Magic => "GLTOKENS"u8;

    /// <summary>Writes the header.</summary>
    public byte[] ToBytes()
    {
        var bytes = new byte[Bytes];
        Magic.CopyTo(bytes);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(8), Version);
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(12), TokenBytes);
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(16), Documents);
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(24), Tokens);
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(32), Vocabulary);
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(36), EndOfText);
        Tokenizer.CopyTo(bytes.AsSpan(40));
        Content.CopyTo(bytes.AsSpan(40 + HashBytes));
        return bytes;
    }

    /// <summary>Reads and checks the header.</summary>
    /// <exception cref="ModelFormatException">The file is no shard, of another version, or cut off.</exception>
    public static TokenShardHeader Read(string path, ReadOnlySpan<byte> bytes, long fileBytes)
    {
        if (bytes.Length < Bytes || !bytes.StartsWith(Magic))
            throw new ModelFormatException($"'{path}' is no shard of tokens: it does not begin with GLTOKENS.");
        uint version = BinaryPrimitives.ReadUInt32LittleEndian(bytes[8..]);
        if (version != Version)
            throw new ModelFormatException($"'{path}' is a shard of version {version}; this program reads version {Version}. Write it again.");
        var header = new TokenShardHeader(
            BinaryPrimitives.ReadInt32LittleEndian(bytes[12..]), BinaryPrimitives.ReadInt64LittleEndian(bytes[16..]), BinaryPrimitives.ReadInt64LittleEndian(bytes[24..]),
            BinaryPrimitives.ReadInt32LittleEndian(bytes[32..]), BinaryPrimitives.ReadInt32LittleEndian(bytes[36..]),
            bytes.Slice(40, HashBytes).ToArray(), bytes.Slice(40 + HashBytes, HashBytes).ToArray());
        bool isSound = header.TokenBytes is 2 or 4 && header.Documents is >= 0 and < int.MaxValue && header.Tokens is >= 0 and < long.MaxValue / 16 && header.Vocabulary > 0;
        if (!isSound)
            throw new ModelFormatException($"'{path}': the header of the shard is damaged. Write it again.");
        if (header.FileBytes != fileBytes)
            throw new ModelFormatException($"'{path}' has {fileBytes} bytes, its header asks for {header.FileBytes}: it is cut off or damaged. Write it again.");
        return header;
    }
}
