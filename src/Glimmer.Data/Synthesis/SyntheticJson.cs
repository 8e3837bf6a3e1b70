using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Glimmer.Data.Synthesis;

/// <summary>Generated texts and questions as lines of JSON.</summary>
public static class SyntheticJson
{
    private static readonly JsonWriterOptions s_options = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>A document: <c>id</c>, <c>text</c>, <c>task</c>, <c>split</c>, <c>entropy_bits</c>.</summary>
    public static string Of(SyntheticDocument document)
    {
        ArgumentNullException.ThrowIfNull(document);
        return Line(json =>
        {
            json.WriteString("id", document.ToDocument().Id);
            json.WriteString("text", document.Text);
            json.WriteString("task", document.Task);
            json.WriteString("split", document.Split.ToString().ToLowerInvariant());
            json.WriteNumber("entropy_bits", Math.Round(document.EntropyBits, 3));
        });
    }

    /// <summary>A question: <c>task</c>, <c>key</c>, <c>prompt</c>, <c>answer</c>, and <c>completion</c>, <c>tools</c>, <c>call</c>, <c>call_result</c> where it has them.</summary>
    public static string Of(SyntheticQuestion question)
    {
        ArgumentNullException.ThrowIfNull(question);
        return Line(json =>
        {
            json.WriteString("task", question.Task);
            json.WriteString("key", question.Key.ToString("x16", System.Globalization.CultureInfo.InvariantCulture));
            json.WriteString("prompt", question.Prompt);
            json.WriteString("answer", question.Answer);
            if (question.Completion is not null)
                json.WriteString("completion", question.Completion);
            if (question.Tools.Count > 0)
            {
                json.WriteStartArray("tools");
                foreach (string tool in question.Tools)
                    json.WriteRawValue(tool);
                json.WriteEndArray();
            }

            if (question.Call is not null)
            {
                json.WritePropertyName("call");
                json.WriteRawValue(question.Call);
                json.WriteString("call_result", question.CallResult);
            }
        });
    }

    private static string Line(Action<Utf8JsonWriter> write)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, s_options))
        {
            json.WriteStartObject();
            write(json);
            json.WriteEndObject();
        }

        return Encoding.UTF8.GetString(stream.GetBuffer(), 0, (int)stream.Length);
    }
}
