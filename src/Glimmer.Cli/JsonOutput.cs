using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Glimmer.Cli;

/// <summary>JSON results: UTF-8 with readable characters, numbers that JSON cannot express as null.</summary>
internal static class JsonOutput
{
    /// <summary>Writes one value and a line break.</summary>
    public static void WriteJson(this TextWriter output, Action<Utf8JsonWriter> write, bool indented = false)
    {
        using var stream = new MemoryStream();
        using (var writer = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = indented, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
            write(writer);
        output.WriteLine(Encoding.UTF8.GetString(stream.GetBuffer(), 0, (int)stream.Length));
    }

    /// <summary>A number, or null when it is not finite.</summary>
    public static void WriteFinite(this Utf8JsonWriter writer, string name, double value)
    {
        if (double.IsFinite(value))
            writer.WriteNumber(name, value);
        else
            writer.WriteNull(name);
    }

    /// <summary>A list of whole numbers.</summary>
    public static void WriteNumbers(this Utf8JsonWriter writer, string? name, IEnumerable<int> values)
    {
        if (name is null)
            writer.WriteStartArray();
        else
            writer.WriteStartArray(name);
        foreach (int value in values)
            writer.WriteNumberValue(value);
        writer.WriteEndArray();
    }

    /// <summary>A list of log-probabilities: null where a token is impossible.</summary>
    public static void WriteNumbers(this Utf8JsonWriter writer, string name, IEnumerable<float> values)
    {
        writer.WriteStartArray(name);
        foreach (float value in values)
        {
            if (float.IsFinite(value))
                writer.WriteNumberValue(value);
            else
                writer.WriteNullValue();
        }

        writer.WriteEndArray();
    }
}
