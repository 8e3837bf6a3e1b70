using System.Text.Encodings.Web;
using System.Text.Json;

namespace Glimmer.Data.Synthesis;

/// <summary>A conversation to learn from, in the form that <c>glimmer sft</c> reads.</summary>
/// <param name="Task">Family and task; the record's <c>channel</c>.</param>
/// <param name="Key">Key of its problem, see <see cref="CorpusKey"/>.</param>
/// <param name="Split">The split that it belongs to.</param>
/// <param name="Messages">The messages.</param>
public sealed record TrainingRecord(string Task, ulong Key, CorpusSplit Split, IReadOnlyList<RecordMessage> Messages)
{
    private static readonly JsonWriterOptions s_options = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Tools on offer: OpenAI function schemas (<c>{"type": "function", "function": {...}}</c>), each as JSON.</summary>
    public IReadOnlyList<string> Tools { get; init; } = [];

    /// <summary>The thinking switch of the template; null: as the template decides.</summary>
    public bool? EnableThinking { get; init; }

    /// <summary>Information of the choices behind it, in bits; 0 where it does not come from a generator alone.</summary>
    public double EntropyBits { get; init; }

    /// <summary>The record as one line of JSON: <c>messages</c>, <c>tools</c>, <c>channel</c>, <c>chat_template_kwargs</c>, <c>key</c>, <c>split</c>.</summary>
    public string ToJson()
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, s_options))
        {
            json.WriteStartObject();
            json.WriteStartArray("messages");
            foreach (RecordMessage message in Messages)
            {
                json.WriteStartObject();
                json.WriteString("role", message.Role);
                if (message.ReasoningContent is not null)
                    json.WriteString("reasoning_content", message.ReasoningContent);
                json.WriteString("content", message.Content);
                if (!message.HasLoss)
                    json.WriteBoolean("loss", false);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            if (Tools.Count > 0)
            {
                json.WriteStartArray("tools");
                foreach (string tool in Tools)
                    json.WriteRawValue(tool);
                json.WriteEndArray();
            }

            json.WriteString("channel", Task);
            if (EnableThinking is bool thinking)
            {
                json.WriteStartObject("chat_template_kwargs");
                json.WriteBoolean("enable_thinking", thinking);
                json.WriteEndObject();
            }

            json.WriteString("key", Key.ToString("x16", System.Globalization.CultureInfo.InvariantCulture));
            json.WriteString("split", Split.ToString().ToLowerInvariant());
            json.WriteEndObject();
        }

        return System.Text.Encoding.UTF8.GetString(stream.GetBuffer(), 0, (int)stream.Length);
    }
}
