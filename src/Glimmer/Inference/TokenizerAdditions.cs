using System.Text.Encodings.Web;
using System.Text.Json;
using Glimmer.Formats;
using Glimmer.Tokenization;

namespace Glimmer.Inference;

/// <summary><c>tokenizer_additions.json</c>: the tokens that an upcycled model has behind its trunk's, in the form of the list <c>added_tokens</c> of a tokenizer.json.</summary>
public static class TokenizerAdditions
{
    /// <summary>Name of the file.</summary>
    public const string FileName = "tokenizer_additions.json";

    /// <summary>Reads the tokens.</summary>
    /// <param name="path">The file.</param>
    /// <param name="first">Id that the first of them must have: the number of tokens of the trunk.</param>
    /// <exception cref="ModelFormatException">The file is missing or malformed, or the ids do not follow one another.</exception>
    public static IReadOnlyList<AddedToken> Read(string path, int first)
    {
        if (!File.Exists(path))
            throw new ModelFormatException($"'{path}' is missing; an upcycled model needs it beside its config.json.");
        try
        {
            using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(path));
            var tokens = new List<AddedToken>();
            foreach (JsonElement token in document.RootElement.GetProperty("added_tokens").EnumerateArray())
            {
                int id = token.GetProperty("id").GetInt32();
                if (id != first + tokens.Count)
                    throw new ModelFormatException($"'{path}' gives the id {id} where {first + tokens.Count} follows; the ids of added tokens follow the trunk's without gaps.");
                tokens.Add(new AddedToken(id, token.GetProperty("content").GetString()!, token.GetProperty("special").GetBoolean()));
            }

            return tokens;
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            throw new ModelFormatException($"'{path}' is no list of added tokens (id, content, special): {e.Message}", e);
        }
    }

    /// <summary>Writes the tokens.</summary>
    public static void Write(string path, IEnumerable<AddedToken> tokens)
    {
        ArgumentNullException.ThrowIfNull(tokens);
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            json.WriteStartArray("added_tokens");
            foreach (AddedToken token in tokens)
            {
                json.WriteStartObject();
                json.WriteNumber("id", token.Id);
                json.WriteString("content", token.Text);
                json.WriteBoolean("special", token.IsSpecial);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        AtomicFile.WriteAllBytes(path, stream.ToArray());
    }
}
