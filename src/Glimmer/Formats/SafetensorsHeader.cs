using System.Text.Json;
using System.Text.Unicode;
using Glimmer.Tensors;

namespace Glimmer.Formats;

/// <summary>One tensor of a header: its description and where its data lies, relative to the end of the header.</summary>
internal sealed record SafetensorsEntry(TensorInfo Info, long Begin, long End);

/// <summary>The checked JSON header of a safetensors file.</summary>
internal sealed class SafetensorsHeader
{
    /// <summary>Longest header the reference implementation takes.</summary>
    public const int MaxBytes = 100_000_000;

    private readonly string _path;

    private SafetensorsHeader(string path)
    {
        _path = path;
    }

    /// <summary>The tensors in the order of their data.</summary>
    public List<SafetensorsEntry> Entries { get; } = [];

    /// <summary>The string pairs of <c>__metadata__</c>.</summary>
    public Dictionary<string, string> Metadata { get; } = new(StringComparer.Ordinal);

    /// <summary>Parses and checks a header.</summary>
    /// <param name="path">For messages.</param>
    /// <param name="json">The header bytes.</param>
    /// <param name="dataBytes">Bytes of the file after the header.</param>
    /// <exception cref="ModelFormatException">Anything is wrong with it.</exception>
    public static SafetensorsHeader Parse(string path, ReadOnlySpan<byte> json, long dataBytes)
    {
        var header = new SafetensorsHeader(path);
        if (json[0] != (byte)'{')
            throw header.Wrong("does not start with '{'");
        if (!Utf8.IsValid(json))
            throw header.Wrong("is not UTF-8");
        try
        {
            header.ReadObject(json);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException)
        {
            // Utf8JsonReader reports lone surrogate escapes as InvalidOperationException.
            throw new ModelFormatException($"'{path}': the header is not valid JSON: {e.Message}", e);
        }

        header.CheckRanges(dataBytes);
        return header;
    }

    /// <summary>The type a header names, or null.</summary>
    public static DType? TypeOf(string name) => name switch
    {
        "F32" => DType.F32,
        "BF16" => DType.BF16,
        "F16" => DType.F16,
        "F64" => DType.F64,
        "F8_E4M3" => DType.F8E4M3,
        "F8_E5M2" => DType.F8E5M2,
        "I8" => DType.I8,
        "I16" => DType.I16,
        "I32" => DType.I32,
        "I64" => DType.I64,
        "U8" => DType.U8,
        "U16" => DType.U16,
        "U32" => DType.U32,
        "U64" => DType.U64,
        "BOOL" => DType.Bool,
        _ => null,
    };

    private void ReadObject(ReadOnlySpan<byte> json)
    {
        var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = 8 });
        reader.Read();
        var names = new HashSet<string>(StringComparer.Ordinal);
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string name = reader.GetString()!;
            if (!names.Add(name))
                throw Wrong($"names '{name}' twice");
            reader.Read();
            if (name == "__metadata__")
                ReadMetadata(ref reader);
            else
                Entries.Add(ReadEntry(name, ref reader));
        }

        // Only blanks may follow the object: the format pads the header with them.
        if (reader.Read())
            throw Wrong("has text after the JSON object");
    }

    private void ReadMetadata(ref Utf8JsonReader reader)
    {
        if (reader.TokenType != JsonTokenType.StartObject)
            throw Wrong("has a __metadata__ that is no object");
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string key = reader.GetString()!;
            reader.Read();
            if (reader.TokenType != JsonTokenType.String)
                throw Wrong($"has a __metadata__ value '{key}' that is no string");
            if (!Metadata.TryAdd(key, reader.GetString()!))
                throw Wrong($"has the __metadata__ key '{key}' twice");
        }
    }

    private SafetensorsEntry ReadEntry(string name, ref Utf8JsonReader reader)
    {
        if (reader.TokenType != JsonTokenType.StartObject)
            throw Wrong($"describes '{name}' by something other than an object");
        DType? type = null;
        List<long>? shape = null;
        List<long>? offsets = null;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string field = reader.GetString()!;
            reader.Read();
            switch (field)
            {
                case "dtype" when type is null:
                    string word = reader.TokenType == JsonTokenType.String ? reader.GetString()! : throw Wrong($"has a dtype for '{name}' that is no string");
                    type = TypeOf(word) ?? throw Wrong($"gives '{name}' the type '{word}', which Glimmer does not know");
                    break;
                case "shape" when shape is null:
                    shape = ReadNumbers(name, field, ref reader);
                    break;
                case "data_offsets" when offsets is null:
                    offsets = ReadNumbers(name, field, ref reader);
                    break;
                default:
                    throw Wrong($"has an unknown or repeated field '{field}' for '{name}'");
            }
        }

        if (type is null || shape is null || offsets is null)
            throw Wrong($"lacks dtype, shape or data_offsets for '{name}'");
        if (offsets.Count != 2 || offsets[1] < offsets[0])
            throw Wrong($"has data_offsets [{string.Join(", ", offsets)}] for '{name}'; begin and end, ascending, are expected");
        return Checked(name, type.Value, shape, offsets[0], offsets[1]);
    }

    private List<long> ReadNumbers(string name, string field, ref Utf8JsonReader reader)
    {
        if (reader.TokenType != JsonTokenType.StartArray)
            throw Wrong($"has a {field} for '{name}' that is no array");
        var numbers = new List<long>();
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            if (reader.TokenType != JsonTokenType.Number || !reader.TryGetInt64(out long number) || number < 0)
                throw Wrong($"has an entry in {field} of '{name}' that is no whole number from 0 to 2^63");
            if (numbers.Count == 64)
                throw Wrong($"has more than 64 numbers in {field} of '{name}'");
            numbers.Add(number);
        }

        return numbers;
    }

    private SafetensorsEntry Checked(string name, DType type, List<long> shape, long begin, long end)
    {
        Int128 bytes = type.BlockBytes();
        foreach (long size in shape)
        {
            if (size > int.MaxValue)
                throw Wrong($"gives '{name}' a dimension of {size}; at most {int.MaxValue} is supported");
            bytes *= size;
            if (bytes > long.MaxValue)
                throw Wrong($"gives '{name}' the shape [{string.Join(", ", shape)}], whose size overflows");
        }

        if (bytes != end - begin)
            throw Wrong($"gives '{name}' {end - begin} bytes of data, but {type} of shape [{string.Join(", ", shape)}] takes {bytes}");
        return new SafetensorsEntry(new TensorInfo(name, type, [.. shape.Select(s => (int)s)], end - begin), begin, end);
    }

    private void CheckRanges(long dataBytes)
    {
        Entries.Sort((a, b) => a.Begin != b.Begin ? a.Begin.CompareTo(b.Begin) : a.End.CompareTo(b.End));
        long expected = 0;
        foreach (SafetensorsEntry entry in Entries)
        {
            if (entry.End > dataBytes)
                throw Wrong($"places '{entry.Info.Name}' at bytes {entry.Begin}..{entry.End}, but only {dataBytes} bytes of data follow. The download may "
                    + "be incomplete");
            if (entry.Begin != expected)
                throw Wrong($"{(entry.Begin < expected ? "lets tensors overlap" : "leaves a hole")}: '{entry.Info.Name}' starts at {entry.Begin}, the data "
                    + $"before it ends at {expected}");
            expected = entry.End;
        }

        if (expected != dataBytes)
            throw Wrong($"describes {expected} bytes of data, but {dataBytes} follow");
    }

    private ModelFormatException Wrong(string what) => new($"'{_path}': the header {what}.");
}
