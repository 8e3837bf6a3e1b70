using System.Text;
using System.Text.Json;
using Glimmer.Chat;

namespace Glimmer.Tests.Chat;

/// <summary>Model outputs with the message they must give: whole, in the recorded pieces, in every two pieces, and in pieces of one size.</summary>
[Trait("Category", "Golden")]
public sealed class ParserGoldenTests
{
    private static string? ChatFolder => Fixtures.Folder("chat");

    private static string? WireFolder => Fixtures.Folder("wire");

    public static TheoryData<string> ChatRows => Fixtures.Rows(RecordedCases.Names(ChatFolder, row => row.TryGetProperty("kind", out JsonElement kind) && kind.GetString() is "parse" or "stream"));

    public static TheoryData<string> WireRows => Fixtures.Rows(RecordedCases.Names(WireFolder, row => row.TryGetProperty("starts_in", out _) && row.TryGetProperty("expected", out _)));

    [SkippableTheory]
    [MemberData(nameof(ChatRows))]
    public void Chat_output_parses_as_recorded_in_any_pieces(string name)
    {
        Fixtures.SkipIfAbsent(name);
        Check(RecordedCases.Row(ChatFolder!, name));
    }

    [SkippableTheory]
    [MemberData(nameof(WireRows))]
    public void Wire_output_parses_as_recorded_in_any_pieces(string name)
    {
        Fixtures.SkipIfAbsent(name);
        Check(RecordedCases.Row(WireFolder!, name));
    }

    private static void Check(JsonElement row)
    {
        string[]? chunks = row.TryGetProperty("chunks", out JsonElement pieces) ? [.. pieces.EnumerateArray().Select(piece => piece.GetString()!)] : null;
        string text = row.TryGetProperty("text", out JsonElement whole) ? whole.GetString()! : string.Concat(chunks!);
        JsonElement expected = row.GetProperty("expected");
        string? reasoning = (expected.TryGetProperty("reasoning", out JsonElement r) ? r : expected.GetProperty("reasoning_content")).GetString();
        string wanted = Describe(reasoning, expected.GetProperty("content").GetString(), expected.GetProperty("tool_calls"));

        CheckPieces(row, [text], wanted);
        if (chunks is not null)
            CheckPieces(row, chunks, wanted);
        for (int cut = 0; cut <= text.Length; cut++)
            CheckPieces(row, [text[..cut], text[cut..]], wanted);
        foreach (int size in (int[])[1, 2, 3, 5, 7, 11])
            CheckPieces(row, [.. text.Chunk(size).Select(chunk => new string(chunk))], wanted);
    }

    private static void CheckPieces(JsonElement row, string[] pieces, string wanted)
    {
        var parser = new GlmMessageParser(Options(row));
        var events = new List<MessageEvent>();
        foreach (string piece in pieces)
            events.AddRange(parser.Append(piece));
        events.AddRange(parser.Complete());
        string shape = pieces.Length <= 2 ? $"first piece of {pieces.FirstOrDefault("").Length}" : $"pieces of {pieces[0].Length}";
        Assert.True(wanted == Describe(parser.Message), $"{shape}\nexpected {wanted}\nbut got  {Describe(parser.Message)}");

        StreamedMessage streamed = StreamedMessage.Collect(events);
        if (row.TryGetProperty("streamed", out JsonElement recorded))
        {
            Assert.Equal(
                Describe(recorded.GetProperty("reasoning").GetString(), recorded.GetProperty("content").GetString(), recorded.GetProperty("tool_calls")),
                Describe(streamed.Reasoning, streamed.Content, streamed.Calls));
            CheckOpenCall(recorded.GetProperty("open_call"), streamed);
        }
        else if (streamed.OpenCall is null)
            Assert.Equal(wanted, Describe(streamed.Reasoning, streamed.Content, streamed.Calls));
    }

    private static void CheckOpenCall(JsonElement recorded, StreamedMessage streamed)
    {
        if (recorded.ValueKind == JsonValueKind.Null)
        {
            Assert.Null(streamed.OpenCall);
            return;
        }

        Assert.Equal(recorded.GetProperty("name").GetString(), streamed.OpenCall!.Value.Name);
        Assert.StartsWith(streamed.OpenCall.Value.Json, recorded.GetProperty("arguments_prefix").GetString(), StringComparison.Ordinal);
    }

    private static MessageParserOptions Options(JsonElement row) => new()
    {
        Grammar = row.GetProperty("format").GetString() switch
        {
            "glm45" => MessageGrammar.Glm45,
            "glm47" => MessageGrammar.Glm47,
            string format => throw new InvalidDataException($"unknown format '{format}'"),
            null => throw new InvalidDataException("the row has no format"),
        },
        StartsInReasoning = row.GetProperty("starts_in").GetString() == "reasoning",
        Tools = row.TryGetProperty("tool_choice", out JsonElement choice) && choice.ValueKind == JsonValueKind.String && choice.GetString() == "none"
            ? []
            : [.. row.GetProperty("tools").EnumerateArray().Select(ToolDefinition.FromJson)],
    };

    private static string Describe(ParsedMessage message) => Describe(message.Reasoning, message.Content, message.ToolCalls.Select(call => (call.Name, (DataValue)call.Arguments)));

    private static string Describe(string? reasoning, string? content, JsonElement calls) =>
        Describe(reasoning, content, calls.EnumerateArray().Select(call => (call.GetProperty("name").GetString()!, DataValue.From(call.GetProperty("arguments")))));

    private static string Describe(string? reasoning, string? content, IEnumerable<(string Name, DataValue Arguments)> calls)
    {
        var text = new StringBuilder();
        text.Append("reasoning=").Append(DataValue.From(reasoning).ToJson()).Append(" content=").Append(DataValue.From(content).ToJson());
        foreach ((string name, DataValue arguments) in calls)
        {
            text.Append(' ').Append(name);
            AppendCanonical(text, arguments);
        }

        return text.ToString();
    }

    /// <summary>JSON with sorted keys and numbers by value.</summary>
    private static void AppendCanonical(StringBuilder text, DataValue value)
    {
        switch (value)
        {
            case DataObject mapping:
                text.Append('{');
                foreach ((string key, DataValue item) in mapping.OrderBy(pair => pair.Key, StringComparer.Ordinal))
                {
                    text.Append(DataValue.From(key).ToJson()).Append(':');
                    AppendCanonical(text, item);
                    text.Append(',');
                }

                text.Append('}');
                break;
            case DataArray array:
                text.Append('[');
                foreach (DataValue item in array)
                {
                    AppendCanonical(text, item);
                    text.Append(',');
                }

                text.Append(']');
                break;
            case FloatValue number when number.Value == Math.Floor(number.Value) && double.IsFinite(number.Value):
                text.Append(new System.Numerics.BigInteger(number.Value));
                break;
            default:
                text.Append(value.ToJson());
                break;
        }
    }
}
