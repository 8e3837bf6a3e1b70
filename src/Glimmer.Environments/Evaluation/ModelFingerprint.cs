using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace Glimmer.Environments.Evaluation;

/// <summary>Tells two models apart whose files have the same names: checkpoints of a run, adapters of a base.</summary>
internal static class ModelFingerprint
{
    private const int WholeBytes = 1 << 20;
    private const int SampleBytes = 1 << 16;
    private const int Stride = 8 << 20;

    private static readonly string[] s_endings = [".safetensors", ".gguf", ".json", ".jinja"];

    /// <summary>A hash of names, sizes and content of files; of large files 64 KiB in every 8 MiB, and their ends.</summary>
    /// <param name="paths">Each file counts once. Files, or folders with weights, configuration, tokenizer and template.</param>
    /// <returns>16 hexadecimal digits.</returns>
    /// <exception cref="IOException">A file cannot be read.</exception>
    public static string Of(params IEnumerable<string> paths)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (string file in paths.SelectMany(FilesOf).Select(Path.GetFullPath).Distinct())
            Append(hash, file);
        return Convert.ToHexStringLower(hash.GetHashAndReset())[..16];
    }

    private static IEnumerable<string> FilesOf(string path) =>
        Directory.Exists(path) ? Directory.EnumerateFiles(path).Where(file => s_endings.Contains(Path.GetExtension(file))).Order(StringComparer.Ordinal) : [path];

    private static void Append(IncrementalHash hash, string path)
    {
        using FileStream file = File.OpenRead(path);
        Span<byte> length = stackalloc byte[sizeof(long)];
        BinaryPrimitives.WriteInt64LittleEndian(length, file.Length);
        hash.AppendData(Encoding.UTF8.GetBytes(Path.GetFileName(path)));
        hash.AppendData(length);
        var bytes = new byte[WholeBytes];
        if (file.Length <= WholeBytes)
        {
            hash.AppendData(bytes, 0, file.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false));
            return;
        }

        for (long at = 0; at < file.Length - SampleBytes; at += Stride)
            Sample(at);
        Sample(file.Length - SampleBytes);

        void Sample(long at)
        {
            file.Position = at;
            file.ReadExactly(bytes, 0, SampleBytes);
            hash.AppendData(bytes, 0, SampleBytes);
        }
    }
}
