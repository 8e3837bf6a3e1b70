using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Glimmer.Formats;
using Glimmer.Operations;
using Glimmer.Quantization;
using Glimmer.Tensors;

namespace Glimmer.Models;

/// <summary>The packed weights of one checkpoint in a folder of such files: mapped when they are there, written while the model loads when they are not.</summary>
/// <remarks>
/// The file is named after the checkpoint and its path; inside it carries a key of the names, sizes, times and headers of the checkpoint's files and of its config.json. While it
/// is written only one matrix at a time is in memory, so a model larger than memory can be packed.
/// </remarks>
internal sealed unsafe class PackCache : IDisposable
{
    private readonly string _path;
    private readonly byte[] _key;
    private readonly bool _verify;
    private readonly List<(string Name, PackedMatrix Matrix)> _written = [];
    private PackCacheFile? _file;
    private PackCacheWriter? _writer;

    private PackCache(string path, byte[] key, bool verify) => (_path, _key, _verify) = (path, key, verify);

    /// <summary>The mapped file; null until <see cref="Complete"/> when it is being written.</summary>
    public PackCacheFile? File => _file;

    /// <summary>Opens the file of a checkpoint, or starts to write it.</summary>
    /// <param name="folder">Folder of packed weights; created when it is missing.</param>
    /// <param name="checkpoint">The checkpoint.</param>
    /// <param name="packedBytes">Size of the file to expect.</param>
    /// <param name="verify">Whether every matrix of an existing file is packed again and compared.</param>
    /// <exception cref="IOException">There is no room for the file.</exception>
    public static PackCache Open(string folder, Checkpoint checkpoint, long packedBytes, bool verify)
    {
        Directory.CreateDirectory(folder);
        var cache = new PackCache(System.IO.Path.Combine(folder, NameOf(checkpoint)), KeyOf(checkpoint), verify);
        cache._file = PackCacheFile.TryOpen(cache._path, cache._key);
        if (cache._file is null)
            cache.StartWriting(packedBytes);
        return cache;
    }

    /// <summary>Gives a matrix its packed bytes from the file.</summary>
    /// <param name="name">Checkpoint name.</param>
    /// <param name="matrix">The matrix, empty.</param>
    /// <param name="pack">Packs into it from the checkpoint; used to verify.</param>
    /// <returns>Whether it was there.</returns>
    /// <exception cref="ModelFormatException">It was there but differs from the checkpoint.</exception>
    public bool TryAttach(string name, PackedMatrix matrix, Action pack)
    {
        if (_file?.Find(name, matrix) is not { } entry)
            return false;
        if (_verify)
        {
            pack();
            if (!Equal(matrix.Data, _file.Data(entry), entry.Bytes))
                throw new ModelFormatException($"'{_path}': the packed '{name}' differs from the checkpoint. The file is damaged; delete it and it is written again.");
        }

        matrix.Attach(_file.Data(entry), _file);
        return true;
    }

    /// <summary>Appends a matrix that was packed now, when the file is being written; its memory is given back until <see cref="Complete"/>.</summary>
    public void Add(string name, PackedMatrix matrix)
    {
        // A file that matches the source but lacks a form that this version packs otherwise: this matrix stays in memory.
        if (_writer is null)
            return;
        _writer.Add(name, matrix);
        matrix.Release();
        _written.Add((name, matrix));
    }

    /// <summary>Whether one matrix is known to repeat another; null when the file does not know.</summary>
    public bool? IsSame(string name, string other) => _file is null ? null : _file.SameAs(name) == other;

    /// <summary>Notes that one matrix repeats another.</summary>
    public void AddSame(string name, string other) => _writer?.AddSame(name, other);

    /// <summary>Ends the writing, maps the file and gives every matrix its bytes.</summary>
    public void Complete()
    {
        if (_writer is null)
            return;
        _writer.Complete();
        _writer.Dispose();
        _writer = null;
        _file = PackCacheFile.TryOpen(_path, _key)
            ?? throw new IOException($"'{_path}' cannot be read back after it was written. Is another process changing the folder?");
        foreach ((string name, PackedMatrix matrix) in _written)
        {
            PackCacheEntry entry = _file.Find(name, matrix) ?? throw new IOException($"'{_path}' lacks '{name}' after it was written. Is another process changing the folder?");
            matrix.Attach(_file.Data(entry), _file);
        }

        _written.Clear();
    }

    /// <summary>Lets a store read experts from the finished file.</summary>
    public void StartExperts(ExpertStore experts) => experts.Start(_file!.Handle, _file.Pointer, _file.Length, _file);

    /// <summary>Removes an unfinished file and unmaps a finished one; no matrix may point there any more.</summary>
    public void Dispose()
    {
        _writer?.Dispose();
        _file?.Dispose();
    }

    // A file in an old packed form is as good as none.
    private void StartWriting(long packedBytes)
    {
        long free = new DriveInfo(System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(_path))!).AvailableFreeSpace;
        if (free < packedBytes)
            throw new IOException($"'{_path}' needs {packedBytes / 1e9:0.00} GB, but its disk has {free / 1e9:0.00} GB left. Choose another folder for packed weights.");
        _writer = new PackCacheWriter(_path, _key);
    }

    private static string NameOf(Checkpoint checkpoint)
    {
        string full = System.IO.Path.TrimEndingDirectorySeparator(System.IO.Path.GetFullPath(checkpoint.Path));
        return $"{System.IO.Path.GetFileNameWithoutExtension(full)}-{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(full)))[..16]}.glimmerpack";
    }

    private static byte[] KeyOf(Checkpoint checkpoint)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Span<byte> number = stackalloc byte[8];
        foreach ((MappedFile file, long header) in checkpoint.Weights.Files)
        {
            hash.AppendData(Encoding.UTF8.GetBytes(System.IO.Path.GetFileName(file.Path)));
            foreach (long value in (ReadOnlySpan<long>)[file.Length, System.IO.File.GetLastWriteTimeUtc(file.Path).Ticks, header])
            {
                BinaryPrimitives.WriteInt64LittleEndian(number, value);
                hash.AppendData(number);
            }

            hash.AppendData(file.Span(0, checked((int)header)));
        }

        hash.AppendData(Encoding.UTF8.GetBytes(checkpoint.ConfigJson));
        // A build with another packed form writes anew.
        foreach (DType type in checkpoint.Weights.Tensors.Select(tensor => tensor.RowType).Append(DType.F32).Distinct().Order())
        {
            using PackedMatrix form = PackedWeights.Create(type, 0, type.BlockElements());
            BinaryPrimitives.WriteUInt64LittleEndian(number, PackedWeights.FormOf(form.Type));
            hash.AppendData(number);
        }

        return hash.GetHashAndReset();
    }

    private static bool Equal(byte* a, byte* b, long bytes)
    {
        const int Step = 1 << 30;
        for (long done = 0; done < bytes; done += Step)
        {
            int count = (int)Math.Min(Step, bytes - done);
            if (!new ReadOnlySpan<byte>(a + done, count).SequenceEqual(new ReadOnlySpan<byte>(b + done, count)))
                return false;
        }

        return true;
    }
}
