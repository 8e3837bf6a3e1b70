using System.Buffers.Binary;
using System.Text;

namespace Glimmer.Formats;

/// <summary>Types of GGUF metadata values, with the numbers of the format.</summary>
public enum GgufValueType
{
    /// <summary>Unsigned 8-bit integer.</summary>
    UInt8 = 0,
    /// <summary>Signed 8-bit integer.</summary>
    Int8 = 1,
    /// <summary>Unsigned 16-bit integer.</summary>
    UInt16 = 2,
    /// <summary>Signed 16-bit integer.</summary>
    Int16 = 3,
    /// <summary>Unsigned 32-bit integer.</summary>
    UInt32 = 4,
    /// <summary>Signed 32-bit integer.</summary>
    Int32 = 5,
    /// <summary>IEEE 754 binary32.</summary>
    Float32 = 6,
    /// <summary>One byte, 0 or 1.</summary>
    Bool = 7,
    /// <summary>u64 length and UTF-8 bytes.</summary>
    String = 8,
    /// <summary>u32 element type, u64 count and the elements.</summary>
    Array = 9,
    /// <summary>Unsigned 64-bit integer.</summary>
    UInt64 = 10,
    /// <summary>Signed 64-bit integer.</summary>
    Int64 = 11,
    /// <summary>IEEE 754 binary64.</summary>
    Float64 = 12,
}

/// <summary>One metadata value of a GGUF file. Read from the mapped file when it is asked for, so long token lists cost nothing until then.</summary>
public sealed class GgufValue
{
    private static readonly UTF8Encoding s_strictUtf8 = new(false, throwOnInvalidBytes: true);

    private readonly string _key;
    private readonly MappedFile? _file;
    private readonly long _offset;
    private object? _value;

    /// <summary>A value in a file whose bounds have been checked.</summary>
    internal GgufValue(string key, GgufValueType type, GgufValueType elementType, long count, MappedFile file, long offset)
    {
        _key = key;
        Type = type;
        ElementType = elementType;
        Count = count;
        _file = file;
        _offset = offset;
    }

    private GgufValue(GgufValueType type, GgufValueType elementType, object value)
    {
        _key = "value";
        Type = type;
        ElementType = elementType;
        Count = value is Array array ? array.Length : 1;
        _value = value;
    }

    /// <summary>The type in the file.</summary>
    public GgufValueType Type { get; }

    /// <summary>The type of the elements of an array; <see cref="Type"/> otherwise.</summary>
    public GgufValueType ElementType { get; }

    /// <summary>Elements of an array, known without reading them; 1 otherwise.</summary>
    public long Count { get; }

    /// <summary>The value as byte, sbyte, ushort, short, uint, int, float, bool, string, ulong, long or double, or an array of one of these.</summary>
    /// <exception cref="ModelFormatException">A string is not UTF-8.</exception>
    public object Value => _value ??= Decode();

    /// <summary>A string value.</summary>
    public static GgufValue Of(string value) => new(GgufValueType.String, GgufValueType.String, value);

    /// <summary>A u32 value.</summary>
    public static GgufValue Of(uint value) => new(GgufValueType.UInt32, GgufValueType.UInt32, value);

    /// <summary>An f32 value.</summary>
    public static GgufValue Of(float value) => new(GgufValueType.Float32, GgufValueType.Float32, value);

    /// <summary>A truth value.</summary>
    public static GgufValue Of(bool value) => new(GgufValueType.Bool, GgufValueType.Bool, value);

    /// <summary>An array of strings.</summary>
    public static GgufValue Of(string[] values) => new(GgufValueType.Array, GgufValueType.String, values);

    /// <summary>An array of i32.</summary>
    public static GgufValue Of(int[] values) => new(GgufValueType.Array, GgufValueType.Int32, values);

    /// <summary>An array of truth values.</summary>
    public static GgufValue Of(bool[] values) => new(GgufValueType.Array, GgufValueType.Bool, values);

    /// <summary>The string.</summary>
    /// <exception cref="ModelFormatException">The value is no string.</exception>
    public string AsString() => Value as string ?? throw Wrong("a string");

    /// <summary>The whole number, whatever its width.</summary>
    /// <exception cref="ModelFormatException">The value is no whole number or exceeds 2^63-1.</exception>
    public long AsInteger() => Value switch
    {
        byte v => v,
        sbyte v => v,
        ushort v => v,
        short v => v,
        uint v => v,
        int v => v,
        long v => v,
        ulong v when v <= long.MaxValue => (long)v,
        _ => throw Wrong("a whole number"),
    };

    /// <summary>The number, whole or not. An fp32 value is given as the shortest decimal that stands for it, so 1e-5 stays 1e-5.</summary>
    /// <exception cref="ModelFormatException">The value is no number.</exception>
    public double AsNumber() => Value switch
    {
        float v => double.Parse(v.ToString("R", System.Globalization.CultureInfo.InvariantCulture), System.Globalization.CultureInfo.InvariantCulture),
        double v => v,
        _ => AsInteger(),
    };

    /// <summary>The truth value.</summary>
    /// <exception cref="ModelFormatException">The value is no truth value.</exception>
    public bool AsBool() => Value is bool v ? v : throw Wrong("a truth value");

    /// <summary>The strings of an array.</summary>
    /// <exception cref="ModelFormatException">The value is no array of strings.</exception>
    public IReadOnlyList<string> AsStrings() => Value as string[] ?? throw Wrong("an array of strings");

    /// <summary>The truth values of an array.</summary>
    /// <exception cref="ModelFormatException">The value is no array of truth values.</exception>
    public IReadOnlyList<bool> AsBools() => Value as bool[] ?? throw Wrong("an array of truth values");

    /// <summary>The whole numbers of an array, whatever their width.</summary>
    /// <exception cref="ModelFormatException">The value is no array of whole numbers, or one does not fit 32 bits.</exception>
    public IReadOnlyList<int> AsIntegers() => Value switch
    {
        int[] v => v,
        uint[] v => Array.ConvertAll(v, x => x <= int.MaxValue ? (int)x : throw Wrong("an array of 32-bit whole numbers")),
        byte[] v => Array.ConvertAll(v, x => (int)x),
        ushort[] v => Array.ConvertAll(v, x => (int)x),
        long[] v => Array.ConvertAll(v, x => x is >= int.MinValue and <= int.MaxValue ? (int)x : throw Wrong("an array of 32-bit whole numbers")),
        Array v and (sbyte[] or short[]) => [.. v.Cast<object>().Select(System.Convert.ToInt32)],
        _ => throw Wrong("an array of whole numbers"),
    };

    /// <summary>Bytes of one scalar; 0 for strings and arrays.</summary>
    internal static int SizeOf(GgufValueType type) => type switch
    {
        GgufValueType.UInt8 or GgufValueType.Int8 or GgufValueType.Bool => 1,
        GgufValueType.UInt16 or GgufValueType.Int16 => 2,
        GgufValueType.UInt32 or GgufValueType.Int32 or GgufValueType.Float32 => 4,
        GgufValueType.UInt64 or GgufValueType.Int64 or GgufValueType.Float64 => 8,
        _ => 0,
    };

    private object Decode()
    {
        int n = checked((int)Count);
        if (Type != GgufValueType.Array)
            return ElementType == GgufValueType.String ? Strings(1)[0] : Numbers(1).GetValue(0)!;
        return ElementType == GgufValueType.String ? Strings(n) : Numbers(n);
    }

    private string[] Strings(int count)
    {
        var strings = new string[count];
        long at = _offset;
        for (int i = 0; i < count; i++)
        {
            int length = (int)BinaryPrimitives.ReadUInt64LittleEndian(_file!.Span(at, 8));
            try
            {
                strings[i] = s_strictUtf8.GetString(_file.Span(at + 8, length));
            }
            catch (DecoderFallbackException e)
            {
                throw new ModelFormatException($"'{_file.Path}': a string of '{_key}' is not UTF-8 (byte {e.Index} of entry {i}).", e);
            }

            at += 8 + length;
        }

        return strings;
    }

    private Array Numbers(int count)
    {
        int size = SizeOf(ElementType);
        ReadOnlySpan<byte> bytes = _file!.Span(_offset, checked(count * size));
        return ElementType switch
        {
            GgufValueType.UInt8 => bytes.ToArray(),
            GgufValueType.Int8 => Convert(bytes, size, count, b => (sbyte)b[0]),
            GgufValueType.Bool => Convert(bytes, size, count, b => b[0] != 0),
            GgufValueType.UInt16 => Convert(bytes, size, count, BinaryPrimitives.ReadUInt16LittleEndian),
            GgufValueType.Int16 => Convert(bytes, size, count, BinaryPrimitives.ReadInt16LittleEndian),
            GgufValueType.UInt32 => Convert(bytes, size, count, BinaryPrimitives.ReadUInt32LittleEndian),
            GgufValueType.Int32 => Convert(bytes, size, count, BinaryPrimitives.ReadInt32LittleEndian),
            GgufValueType.Float32 => Convert(bytes, size, count, BinaryPrimitives.ReadSingleLittleEndian),
            GgufValueType.UInt64 => Convert(bytes, size, count, BinaryPrimitives.ReadUInt64LittleEndian),
            GgufValueType.Int64 => Convert(bytes, size, count, BinaryPrimitives.ReadInt64LittleEndian),
            GgufValueType.Float64 => Convert(bytes, size, count, BinaryPrimitives.ReadDoubleLittleEndian),
            _ => throw Wrong("a number"),
        };
    }

    private static T[] Convert<T>(ReadOnlySpan<byte> bytes, int size, int count, Func<ReadOnlySpan<byte>, T> read)
    {
        var values = new T[count];
        for (int i = 0; i < count; i++)
            values[i] = read(bytes[(i * size)..]);
        return values;
    }

    private ModelFormatException Wrong(string expected)
    {
        string found = Type == GgufValueType.Array ? $"an array of {ElementType}" : $"a {Type}";
        return new ModelFormatException($"'{_file?.Path}': the metadata key '{_key}' is {found}; {expected} is expected.");
    }
}
