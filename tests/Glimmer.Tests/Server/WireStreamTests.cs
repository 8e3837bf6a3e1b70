using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Glimmer.Inference;
using Glimmer.Server;
using Glimmer.Server.Turns;
using Glimmer.Tokenization;

namespace Glimmer.Tests.Server;

/// <summary>The recorded scenarios of streams: our accumulator gives what the SDK's gives on the recorded bytes, and the server's own streams of the same content accumulate to the same.</summary>
public class WireStreamTests
{
    private const string File = "streams/cases.jsonl";

    public static TheoryData<string> Recorded() => WireFixtures.Names(File, IsOurs);

    // A refusal is never sent, and a cut stream is no answer of ours.
    public static TheoryData<string> Served() => WireFixtures.Names(File, row => IsOurs(row) && row.GetProperty("scenario").GetString() is not ("refusal" or "cut_stream"));

    [SkippableTheory]
    [MemberData(nameof(Recorded))]
    public void Recorded_streams_accumulate_as_in_the_sdk(string id)
    {
        Fixtures.SkipIfAbsent(id);
        JsonElement row = WireFixtures.Row(File, id);
        string text = System.IO.File.ReadAllText(Path.Combine(WireFixtures.Folder!, "streams", row.GetProperty("file").GetString()!));
        ChatStreamAccumulator stream = ChatStreamAccumulator.Of(WireServer.DataOf(text));
        Assert.Equal(row.GetProperty("terminated").GetBoolean(), stream.IsTerminated);
        JsonElement accumulated = row.GetProperty("accumulated");
        if (accumulated.TryGetProperty("error", out JsonElement error))
            Assert.Equal((error.GetProperty("type").GetString(), error.GetProperty("message").GetString()), stream.Error);
        AssertChoices(accumulated.TryGetProperty("final", out JsonElement final) ? final : accumulated.GetProperty("partial"), stream, isExact: true);
    }

    [SkippableTheory]
    [MemberData(nameof(Served))]
    public async Task Served_streams_accumulate_to_the_same(string id)
    {
        Fixtures.SkipIfAbsent(id);
        JsonElement row = WireFixtures.Row(File, id);
        string scenario = row.GetProperty("scenario").GetString()!;
        bool isChat = row.GetProperty("dialect").GetString() == "openai_chat";
        List<string> texts = TextsOf(row, isChat);
        int[][] answers = [.. texts.Select(text => WireFixtures.Tokenizer.Encode(text, EncodeOptions.RenderedPrompt))];
        bool isCut = scenario is "length_in_text" or "reasoning_only_length" or "call_cut_by_length";
        int end = WireFixtures.Tokenizer.TokenToId(texts[0].Contains("<tool_call>", StringComparison.Ordinal) ? "<|observation|>" : "<|user|>")!.Value;
        Exception? failure = row.TryGetProperty("stream_error", out _) ? new IOException("the disk is on fire") : null;
        ScriptedAnswer Script(GenerationRequest request, int answer) =>
            new([.. scenario == "error_before_text" ? [] : answers[answer], .. isCut || failure is not null ? (int[])[] : [end]], Error: failure);

        var options = new ServerOptions { ModelNames = ["glm-4.7"] };
        int context = 131072;
        string body = BodyOf(row, isChat, isCut ? answers[0].Length : null);
        if (scenario == "context_full")
        {
            await using WireServer roomy = await WireServer.StartAsync(Script, options, context, WireFixtures.Tokenizer, WireFixtures.Template);
            context = ChatStreamAccumulator.Of(await roomy.StreamAsync(PathOf(isChat), body)).Usage!.Value.GetProperty("prompt_tokens").GetInt32() + answers[0].Length;
        }

        await using WireServer server = await WireServer.StartAsync(Script, options, context, WireFixtures.Tokenizer, WireFixtures.Template);
        List<string> events = await server.StreamAsync(PathOf(isChat), body);
        foreach (string data in events.Where(data => data != "[DONE]" && !data.StartsWith("{\"error\"", StringComparison.Ordinal)))
            WireFixtures.AssertValid(row.GetProperty("schema").GetString()!, JsonDocument.Parse(data).RootElement);
        ChatStreamAccumulator stream = ChatStreamAccumulator.Of(events);
        Assert.True(stream.IsTerminated);
        JsonElement accumulated = row.GetProperty("accumulated");
        if (failure is not null)
        {
            Assert.Equal("server_error", stream.Error?.Type);
            Assert.DoesNotContain("fire", stream.Error?.Message, StringComparison.Ordinal);
            return;
        }

        AssertChoices(accumulated.GetProperty("final"), stream, isExact: false);
        bool wantsUsage = !row.TryGetProperty("include_usage", out JsonElement usage) || usage.GetBoolean();
        Assert.Equal(wantsUsage, stream.Usage is not null);
        if (row.TryGetProperty("continuous_usage", out _))
            Assert.True(stream.ChunksWithUsage >= events.Count - 2, $"{stream.ChunksWithUsage} of {events.Count}");
        if (row.TryGetProperty("token_ids", out _))
            Assert.Equal([.. answers[0], end], stream.Choices[0].Ids);
        if (row.TryGetProperty("logprobs", out _))
            Assert.Equal(texts[0], string.Concat(stream.Choices[0].Logprobs));
    }

    private static string PathOf(bool isChat) => isChat ? "/v1/chat/completions" : "/v1/completions";

    private static string BodyOf(JsonElement row, bool isChat, int? maxTokens)
    {
        var body = new JsonObject { ["model"] = "glm-4.7", ["stream"] = true };
        if (isChat)
        {
            body["messages"] = new JsonArray(new JsonObject { ["role"] = "user", ["content"] = "How long is it?" });
            body["tools"] = JsonNode.Parse(System.IO.File.ReadAllText(Path.Combine(WireFixtures.Folder!, "streams", "tools.json")));
            body["thinking"] = new JsonObject { ["type"] = Reasons(row) ? "enabled" : "disabled" };
        }
        else
            body["prompt"] = "How long is it?";
        body["max_tokens"] = maxTokens ?? 10_000;
        if (row.TryGetProperty("n", out JsonElement n))
            body["n"] = n.GetInt32();
        if (row.TryGetProperty("stop_text", out JsonElement stop))
            body["stop"] = stop.GetString();
        if (!row.TryGetProperty("include_usage", out JsonElement usage) || usage.GetBoolean())
            body["stream_options"] = new JsonObject { ["include_usage"] = true, ["continuous_usage_stats"] = row.TryGetProperty("continuous_usage", out _) };
        if (row.TryGetProperty("logprobs", out _))
        {
            body["logprobs"] = isChat ? true : 2;
            if (isChat)
                body["top_logprobs"] = 2;
        }

        body["return_token_ids"] = row.TryGetProperty("token_ids", out _);
        return body.ToJsonString();
    }

    internal static bool Reasons(JsonElement row) => row.GetProperty("logical").TryGetProperty("choices", out JsonElement choices) && choices.ValueKind == JsonValueKind.Array
        ? choices.EnumerateArray().Any(choice => choice.GetProperty("reasoning").ValueKind == JsonValueKind.String)
        : row.GetProperty("segments").EnumerateArray().Any(segment => segment.GetProperty("type").GetString() == "reasoning");

    // What the model writes in each choice, in the form of GLM-4.7.
    internal static List<string> TextsOf(JsonElement row, bool isChat)
    {
        bool thinks = isChat && Reasons(row);
        if (row.GetProperty("logical").TryGetProperty("choices", out JsonElement choices) && choices.ValueKind == JsonValueKind.Array)
            return [.. choices.EnumerateArray().Select(choice => (thinks ? choice.GetProperty("reasoning").GetString() + "</think>" : "") + choice.GetProperty("text").GetString())];
        var text = new StringBuilder();
        bool isThinking = thinks;
        foreach (JsonElement segment in row.GetProperty("segments").EnumerateArray())
        {
            string type = segment.GetProperty("type").GetString()!;
            if (isThinking && type != "reasoning")
                text.Append("</think>");
            isThinking &= type == "reasoning";
            text.Append(type == "tool_call" ? CallOf(segment) : segment.GetProperty("text").GetString());
        }

        if (row.TryGetProperty("stop_text", out JsonElement stop))
            text.Append(stop.GetString()).Append(" and more");
        return [text.ToString()];
    }

    private static string CallOf(JsonElement segment)
    {
        var call = new StringBuilder("<tool_call>").Append(segment.GetProperty("name").GetString());
        foreach (JsonProperty argument in segment.GetProperty("arguments").EnumerateObject())
        {
            string value = argument.Value.ValueKind == JsonValueKind.String ? argument.Value.GetString()! : argument.Value.GetRawText();
            call.Append(CultureInfo.InvariantCulture, $"<arg_key>{argument.Name}</arg_key><arg_value>{value}</arg_value>");
        }

        string whole = call.Append("</tool_call>").ToString();
        return segment.TryGetProperty("cut", out JsonElement cut) && cut.ValueKind == JsonValueKind.Number ? whole[..(int)(whole.Length * cut.GetDouble())] : whole;
    }

    private static void AssertChoices(JsonElement expected, ChatStreamAccumulator stream, bool isExact)
    {
        JsonElement[] choices = [.. expected.GetProperty("choices").EnumerateArray()];
        Assert.Equal(choices.Length, stream.Choices.Count);
        for (int i = 0; i < choices.Length; i++)
            AssertChoice(choices[i], stream.Choices[i], isExact);
    }

    private static void AssertChoice(JsonElement expected, AccumulatedChoice choice, bool isExact)
    {
        Assert.Equal(expected.GetProperty("finish_reason").GetString(), choice.Finish);
        if (!expected.TryGetProperty("message", out JsonElement message))
        {
            Assert.Equal(expected.GetProperty("text").GetString(), choice.Text);
            Assert.Equal(Text(expected, "stop_reason"), choice.Stop);
            return;
        }

        // The parser leaves white space at both ends of the content out, which GLM's templates would drop from the history anyway.
        Assert.Equal(Ends(Text(message, "content") ?? "", isExact), Ends(choice.Text, isExact));
        Assert.Equal(Text(message, "reasoning_content") ?? "", choice.Reasoning);
        Assert.Equal(Text(message, "refusal") ?? "", choice.Refusal);
        JsonElement[] calls = message.TryGetProperty("tool_calls", out JsonElement list) && list.ValueKind == JsonValueKind.Array ? [.. list.EnumerateArray()] : [];
        Assert.Equal(calls.Select(call => call.GetProperty("function").GetProperty("name").GetString()), choice.Calls.Select(call => call.Name));
        for (int i = 0; i < calls.Length; i++)
        {
            string arguments = calls[i].GetProperty("function").GetProperty("arguments").GetString()!;
            if (isExact)
                Assert.Equal(arguments, choice.Calls[i].Arguments);
            else if (choice.Finish == "length")
                Assert.True(arguments.StartsWith(choice.Calls[i].Arguments, StringComparison.Ordinal) || choice.Calls[i].Arguments.StartsWith(arguments, StringComparison.Ordinal), choice.Calls[i].Arguments);
            else
                Assert.True(JsonElement.DeepEquals(JsonDocument.Parse(arguments).RootElement, JsonDocument.Parse(choice.Calls[i].Arguments).RootElement), choice.Calls[i].Arguments);
        }
    }

    private static string Ends(string text, bool isExact) => isExact ? text : text.Trim();

    private static string? Text(JsonElement value, string name) => value.TryGetProperty(name, out JsonElement text) && text.ValueKind == JsonValueKind.String ? text.GetString() : null;

    private static bool IsOurs(JsonElement row) => row.GetProperty("dialect").GetString() is "openai_chat" or "openai_completions";
}
