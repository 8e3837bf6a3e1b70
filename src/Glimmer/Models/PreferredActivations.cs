using System.Text;
using Glimmer.Formats;

namespace Glimmer.Models;

/// <summary>The metadata key by which a GGUF file says that 8-bit activations are good enough to be its default.</summary>
internal static class PreferredActivations
{
    private const string Key = "glimmer.q8_activations";
    private const int LongestHeader = 256 << 20;

    /// <summary>The key with a value, for a file to be written.</summary>
    public static KeyValuePair<string, GgufValue> Metadata(bool q8) => new(Key, GgufValue.Of(q8));

    /// <summary>What a file says; false where it says nothing.</summary>
    public static bool Read(GgufFile? file) => file is not null && file.TryGetValue(Key, out GgufValue? value) && value.Type == GgufValueType.Bool && value.AsBool();

    /// <summary>Changes the value in a file that was written with <see cref="Metadata"/>: quality is known only when the weights are there.</summary>
    /// <exception cref="ModelFormatException">The file lacks the key.</exception>
    public static void Write(string path, bool q8)
    {
        // A key is its length (8 bytes), its text, the number of the type (4 bytes), then the value.
        byte[] key = [.. BitConverter.GetBytes((ulong)Key.Length), .. Encoding.UTF8.GetBytes(Key), 7, 0, 0, 0];
        using var file = new FileStream(path, FileMode.Open, FileAccess.ReadWrite);
        var header = new byte[(int)Math.Min(file.Length, LongestHeader)];
        file.ReadExactly(header);
        int at = header.AsSpan().IndexOf(key);
        if (at < 0)
            throw new ModelFormatException($"'{path}' lacks the metadata key '{Key}'.");
        file.Position = at + key.Length;
        file.WriteByte(q8 ? (byte)1 : (byte)0);
        file.Flush(flushToDisk: true);
    }
}
