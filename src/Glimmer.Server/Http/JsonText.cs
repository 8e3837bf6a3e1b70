using System.Buffers;
using System.Text.Encodings.Web;
using System.Text.Json;
using Glimmer.Chat;

namespace Glimmer.Server.Http;

/// <summary>Writes JSON for the wire: compact, readable characters as they are, line separators of Unicode escaped (clients split lines at them).</summary>
internal static class JsonText
{
    private static readonly JsonWriterOptions s_options = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, SkipValidation = true };

    /// <summary>The JSON that <paramref name="write"/> writes.</summary>
    public static byte[] Write(Action<Utf8JsonWriter> write)
    {
        var buffer = new ArrayBufferWriter<byte>(256);
        Write(buffer, write);
        return buffer.WrittenSpan.ToArray();
    }

    /// <summary>Appends the JSON that <paramref name="write"/> writes.</summary>
    public static void Write(IBufferWriter<byte> buffer, Action<Utf8JsonWriter> write)
    {
        using var json = new Utf8JsonWriter(buffer, s_options);
        write(json);
        json.Flush();
    }

    /// <summary>Writes a value that came from a request, with its numbers and the order of its keys unchanged.</summary>
    public static void WriteData(this Utf8JsonWriter json, string name, DataValue? value)
    {
        json.WritePropertyName(name);
        json.WriteData(value);
    }

    /// <summary>Writes a value that came from a request.</summary>
    public static void WriteData(this Utf8JsonWriter json, DataValue? value)
    {
        switch (value)
        {
            case null or { IsNull: true }:
                json.WriteNullValue();
                break;
            case { AsString: { } text }:
                json.WriteStringValue(text);
                break;
            case DataObject map:
                json.WriteStartObject();
                foreach ((string key, DataValue item) in map)
                    json.WriteData(key, item);
                json.WriteEndObject();
                break;
            case DataArray list:
                json.WriteStartArray();
                foreach (DataValue item in list)
                    json.WriteData(item);
                json.WriteEndArray();
                break;
            default:
                json.WriteRawValue(value.ToJson(), skipInputValidation: true);
                break;
        }
    }
}
