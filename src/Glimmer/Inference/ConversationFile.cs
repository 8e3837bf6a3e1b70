using System.Text;
using System.Text.Json;
using Glimmer.Chat;
using Glimmer.Formats;

namespace Glimmer.Inference;

/// <summary>Conversations as JSON: <c>{"messages": [{"role": ..., "content": ...}, ...]}</c> in the form of chat APIs.</summary>
public static class ConversationFile
{
    /// <summary>Writes a conversation. The file appears under its name only when it is complete; an older one is replaced.</summary>
    /// <param name="path">The file.</param>
    /// <param name="messages">The conversation.</param>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static void Write(string path, IEnumerable<ChatMessage> messages)
    {
        ArgumentNullException.ThrowIfNull(messages);
        using var stream = new MemoryStream();
        using (var writer = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            writer.WriteStartObject();
            writer.WriteStartArray("messages");
            foreach (ChatMessage message in messages)
            {
                // Parsed again so that the writer indents it.
                using JsonDocument data = JsonDocument.Parse(message.ToData(message.Role).ToJson());
                data.RootElement.WriteTo(writer);
            }

            writer.WriteEndArray();
            writer.WriteEndObject();
        }

        stream.WriteByte((byte)'\n');
        AtomicFile.WriteAllBytes(path, stream.ToArray());
    }

    /// <summary>Reads a conversation: what <see cref="Write"/> wrote, or a bare array of messages.</summary>
    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="FormatException">It is not JSON, or a field is missing or of the wrong type.</exception>
    public static IReadOnlyList<ChatMessage> Read(string path)
    {
        try
        {
            using JsonDocument json = JsonDocument.Parse(File.ReadAllText(path, Encoding.UTF8));
            JsonElement list = json.RootElement.ValueKind == JsonValueKind.Object && json.RootElement.TryGetProperty("messages", out JsonElement messages) ? messages : json.RootElement;
            if (list.ValueKind != JsonValueKind.Array)
                throw new FormatException($"'{path}' holds no conversation; expected an object with the list 'messages'.");
            return [.. list.EnumerateArray().Select((message, i) => ChatMessage.FromJson(message, $"'{path}': messages[{i}]"))];
        }
        catch (JsonException error)
        {
            throw new FormatException($"'{path}' is not valid JSON: {error.Message}", error);
        }
    }

    /// <summary>Reads tool definitions: a JSON array of <c>{"type": "function", "function": {...}}</c>, or an object with the list <c>tools</c>.</summary>
    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="FormatException">It is not JSON, or a tool has no name.</exception>
    public static IReadOnlyList<ToolDefinition> ReadTools(string path)
    {
        try
        {
            using JsonDocument json = JsonDocument.Parse(File.ReadAllText(path, Encoding.UTF8));
            JsonElement list = json.RootElement.ValueKind == JsonValueKind.Object && json.RootElement.TryGetProperty("tools", out JsonElement tools) ? tools : json.RootElement;
            if (list.ValueKind != JsonValueKind.Array)
                throw new FormatException($"'{path}' holds no tools; expected a list of tool definitions.");
            return [.. list.EnumerateArray().Select(ToolDefinition.FromJson)];
        }
        catch (JsonException error)
        {
            throw new FormatException($"'{path}' is not valid JSON: {error.Message}", error);
        }
    }
}
