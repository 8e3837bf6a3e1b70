using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Glimmer.Formats;

namespace Glimmer.Data.Tokens;

/// <summary>Writes one shard. The file appears under its name when it is complete.</summary>
internal sealed class TokenShardWriter : IDisposable
{
    private readonly AtomicFile _file;
    private readonly string _path;
    private readonly IncrementalHash _hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    private readonly List<long> _starts = [];
    private readonly int _vocabulary, _endOfText, _tokenBytes;
    private readonly byte[] _tokenizer;

    /// <summary>Begins a shard.</summary>
    public TokenShardWriter(string path, int vocabulary, int endOfText, byte[] tokenizer)
    {
        (_path, _vocabulary, _endOfText, _tokenizer, _tokenBytes) = (path, vocabulary, endOfText, tokenizer, vocabulary <= ushort.MaxValue + 1 ? 2 : 4);
        _file = new AtomicFile(path);
        _file.Stream.Write(new byte[TokenShardHeader.Bytes]);
    }

    /// <summary>Tokens written.</summary>
    public long Tokens { get; private set; }

    /// <summary>Documents written.</summary>
    public int Documents => _starts.Count;

    /// <summary>Appends a document.</summary>
    /// <exception cref="ArgumentException">An id lies outside the vocabulary.</exception>
    public void Add(ReadOnlySpan<int> tokens)
    {
        _starts.Add(Tokens);
        foreach (int token in tokens)
        {
            if ((uint)token >= (uint)_vocabulary)
                throw new ArgumentException($"'{_path}': token {token} lies outside the vocabulary of {_vocabulary}.");
        }

        if (_tokenBytes == 2)
        {
            var narrow = new ushort[tokens.Length];
            for (int i = 0; i < narrow.Length; i++)
                narrow[i] = (ushort)tokens[i];
            Write(MemoryMarshal.AsBytes(narrow.AsSpan()));
        }
        else
        {
            Write(MemoryMarshal.AsBytes(tokens));
        }

        Tokens += tokens.Length;
    }

    /// <summary>Writes table and header and gives the file its name.</summary>
    public void Commit()
    {
        Write(new byte[(int)(-(Tokens * _tokenBytes) & 7)]);
        var table = new byte[8 * (_starts.Count + 1)];
        for (int i = 0; i <= _starts.Count; i++)
            BinaryPrimitives.WriteInt64LittleEndian(table.AsSpan(8 * i), i < _starts.Count ? _starts[i] : Tokens);
        Write(table);
        var header = new TokenShardHeader(_tokenBytes, _starts.Count, Tokens, _vocabulary, _endOfText, _tokenizer, _hash.GetHashAndReset());
        _file.Stream.Position = 0;
        _file.Stream.Write(header.ToBytes());
        _file.Commit();
    }

    /// <summary>Removes what is not complete.</summary>
    public void Dispose()
    {
        _file.Dispose();
        _hash.Dispose();
    }

    private void Write(ReadOnlySpan<byte> bytes)
    {
        _hash.AppendData(bytes);
        _file.Stream.Write(bytes);
    }
}
