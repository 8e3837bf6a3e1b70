using System.Text.Json;
using System.Text.Json.Nodes;
using Glimmer.Server;
using Glimmer.Server.Turns;
using Glimmer.Tokenization;

namespace Glimmer.Tests.Server;

/// <summary>The recorded streams of Anthropic, Gemini, responses and <c>/generate</c>: they add up to what the vendors' SDKs made of them, and so do the server's own streams of the same content.</summary>
public class DialectStreamTests
{
    private const string File = "streams/cases.jsonl";
    private static readonly string[] s_dialects = ["anthropic", "gemini", "openai_responses", "native"];

    public static TheoryData<string> Recorded() => WireFixtures.Names(File, row => s_dialects.Contains(row.GetProperty("dialect").GetString()));

    // A refusal is never sent and a cut stream is no answer of ours; responses know no stop texts.
    public static TheoryData<string> Served() => WireFixtures.Names(File, row =>
        s_dialects.Contains(row.GetProperty("dialect").GetString()) && row.GetProperty("scenario").GetString() is not ("refusal" or "cut_stream")
        && !(row.GetProperty("dialect").GetString() == "openai_responses" && row.TryGetProperty("stop_text", out _)));

    [SkippableTheory]
    [MemberData(nameof(Recorded))]
    public void Recorded_streams_add_up_as_in_the_sdk(string id)
    {
        Fixtures.SkipIfAbsent(id);
        JsonElement row = WireFixtures.Row(File, id);
        string dialect = row.GetProperty("dialect").GetString()!;
        StreamedAnswer answer = StreamedAnswer.Of(dialect, System.IO.File.ReadAllText(Path.Combine(WireFixtures.Folder!, "streams", row.GetProperty("file").GetString()!)));
        JsonElement accumulated = row.GetProperty("accumulated");
        Assert.Equal(row.GetProperty("terminated").GetBoolean(), dialect == "gemini" ? answer.EveryChoiceEnded : answer.IsTerminated);
        if (row.TryGetProperty("stream_error", out _))
        {
            Assert.NotNull(answer.Error);
            return;
        }

        if (row.GetProperty("scenario").GetString() is "cut_stream" or "refusal")
            return;
        AssertSame(dialect, accumulated.GetProperty("final"), answer, isExact: true);
    }

    [SkippableTheory]
    [MemberData(nameof(Served))]
    public async Task Served_streams_add_up_to_the_same(string id)
    {
        Fixtures.SkipIfAbsent(id);
        JsonElement row = WireFixtures.Row(File, id);
        string dialect = row.GetProperty("dialect").GetString()!, scenario = row.GetProperty("scenario").GetString()!;
        List<string> texts = WireStreamTests.TextsOf(row, dialect != "native");
        int[][] answers = [.. texts.Select(text => WireFixtures.Tokenizer.Encode(text, EncodeOptions.RenderedPrompt))];
        bool isCut = scenario is "length_in_text" or "reasoning_only_length" or "call_cut_by_length";
        int end = WireFixtures.Tokenizer.TokenToId(texts[0].Contains("<tool_call>", StringComparison.Ordinal) ? "<|observation|>" : "<|user|>")!.Value;
        Exception? failure = row.TryGetProperty("stream_error", out _) ? new IOException("the disk is on fire") : null;
        ScriptedAnswer Script(Glimmer.Inference.GenerationRequest request, int answer) =>
            new([.. scenario == "error_before_text" ? [] : answers[answer], .. isCut || failure is not null ? (int[])[] : [end]], Error: failure);

        int context = 131072;
        (string path, string body) = RequestOf(row, dialect, isCut ? answers[0].Length : null);
        if (scenario == "context_full")
            context = (await StreamAsync(Script, context, path, body, dialect)).Answer.Prompt + answers[0].Length;
        (string stream, StreamedAnswer answer) = await StreamAsync(Script, context, path, body, dialect);
        if (row.GetProperty("schema").GetString() is { } schema)
        {
            foreach (string line in stream.Split('\n').Where(line => line.StartsWith("data: {", StringComparison.Ordinal)))
                WireFixtures.AssertValid(schema, JsonDocument.Parse(line["data: ".Length..]).RootElement);
        }

        Assert.True(dialect == "gemini" ? answer.EveryChoiceEnded : answer.IsTerminated, stream);
        if (failure is not null)
        {
            Assert.Equal(dialect switch { "anthropic" => "api_error", "native" => "error", _ => "server_error" }, answer.Error);
            Assert.DoesNotContain("fire", stream, StringComparison.Ordinal);
            return;
        }

        AssertSame(dialect, row.GetProperty("accumulated").GetProperty("final"), answer, isExact: false);
        if (dialect == "native")
            Assert.Equal(answers[0], answer.Ids.Take(answers[0].Length).Concat(answers[0].Skip(answer.Ids.Length)));
        if (row.TryGetProperty("logprobs", out _) && dialect == "gemini")
            Assert.Equal(texts[0], string.Concat(answer.Tokens));
    }

    private static async Task<(string Stream, StreamedAnswer Answer)> StreamAsync(
        Func<Glimmer.Inference.GenerationRequest, int, ScriptedAnswer> script, int context, string path, string body, string dialect)
    {
        await using WireServer server = await WireServer.StartAsync(script, new ServerOptions { ModelNames = ["glm-4.7"] }, context, WireFixtures.Tokenizer, WireFixtures.Template);
        using var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = EngineServer.Json(body) };
        if (dialect == "anthropic")
            request.Headers.Add("anthropic-version", "2026-10-21");
        using HttpResponseMessage response = await server.Client.SendAsync(request);
        string stream = await response.Content.ReadAsStringAsync();
        Assert.True(response.IsSuccessStatusCode, stream);
        return (stream, StreamedAnswer.Of(dialect, stream));
    }

    private static void AssertSame(string dialect, JsonElement final, StreamedAnswer answer, bool isExact)
    {
        (SortedDictionary<int, string> reasoning, SortedDictionary<int, string> text, List<(string Name, string Arguments)> calls, string finish) = dialect switch
        {
            "anthropic" => OfMessage(final),
            "gemini" => OfContent(final),
            "openai_responses" => OfResponse(final),
            _ => ([], new() { [0] = final.GetProperty("text").GetString()! }, [], final.GetProperty("meta_info").GetProperty("finish_reason").GetProperty("type").GetString()!),
        };
        Assert.Equal(finish, answer.Finish);
        // The parser leaves white space at both ends of the content out, which GLM's templates would drop from the history anyway.
        Assert.Equal(text.Select(item => isExact ? item.Value : item.Value.Trim()), answer.Text.Select(item => isExact ? item.Value : item.Value.Trim()));
        Assert.Equal(reasoning.Select(item => item.Value), answer.Reasoning.Select(item => item.Value));
        bool isCut = finish is "max_tokens" or "MAX_TOKENS" or "incomplete";
        if (isCut)
            return; // An unfinished call is no call; its name was announced where the API streams arguments.
        Assert.Equal(calls.Select(call => call.Name), answer.Calls.Select(call => call.Name));
        for (int i = 0; i < calls.Count; i++)
            Assert.True(JsonElement.DeepEquals(JsonDocument.Parse(calls[i].Arguments).RootElement, JsonDocument.Parse(answer.Calls[i].Arguments).RootElement), answer.Calls[i].Arguments);
        if (dialect == "anthropic")
            Assert.Equal(final.GetProperty("stop_sequence").GetString(), answer.Stop);
    }

    private static (SortedDictionary<int, string>, SortedDictionary<int, string>, List<(string, string)>, string) OfMessage(JsonElement final)
    {
        JsonElement[] blocks = [.. final.GetProperty("content").EnumerateArray()];
        string Join(string type) => string.Concat(blocks.Where(block => block.GetProperty("type").GetString() == type).Select(block => block.GetProperty(type).GetString()));
        return (
            new() { [0] = Join("thinking") }, new() { [0] = Join("text") },
            [.. blocks.Where(block => block.GetProperty("type").GetString() == "tool_use").Select(block => (block.GetProperty("name").GetString()!, block.GetProperty("input").GetRawText()))],
            final.GetProperty("stop_reason").GetString()!);
    }

    private static (SortedDictionary<int, string>, SortedDictionary<int, string>, List<(string, string)>, string) OfContent(JsonElement final)
    {
        JsonElement[] candidates = [.. final.GetProperty("candidates").EnumerateArray()];
        SortedDictionary<int, string> Each(string name) => new(candidates.ToDictionary(candidate => candidate.GetProperty("index").GetInt32(), candidate => candidate.GetProperty(name).GetString()!));
        return (
            Each("thoughts"), Each("text"),
            [.. candidates.SelectMany(candidate => candidate.GetProperty("function_calls").EnumerateArray()).Select(call => (call.GetProperty("name").GetString()!, call.GetProperty("args").GetRawText()))],
            candidates[0].GetProperty("finish_reason").GetString()!);
    }

    private static (SortedDictionary<int, string>, SortedDictionary<int, string>, List<(string, string)>, string) OfResponse(JsonElement final)
    {
        JsonElement[] items = [.. final.GetProperty("output").EnumerateArray()];
        string Join(string type) => string.Concat(items.Where(item => item.GetProperty("type").GetString() == type).SelectMany(item => item.GetProperty("content").EnumerateArray()).Select(part => part.GetProperty("text").GetString()));
        return (
            new() { [0] = Join("reasoning") }, new() { [0] = Join("message") },
            [.. items.Where(item => item.GetProperty("type").GetString() == "function_call").Select(item => (item.GetProperty("name").GetString()!, item.GetProperty("arguments").GetString()!))],
            final.GetProperty("status").GetString()!);
    }

    private static (string Path, string Body) RequestOf(JsonElement row, string dialect, int? maxTokens)
    {
        bool thinks = WireStreamTests.Reasons(row);
        int most = maxTokens ?? 10_000;
        string? stop = row.TryGetProperty("stop_text", out JsonElement text) ? text.GetString() : null;
        JsonNode[] functions = [.. JsonNode.Parse(System.IO.File.ReadAllText(Path.Combine(WireFixtures.Folder!, "streams", "tools.json")))!.AsArray().Select(tool => tool!["function"]!.DeepClone())];
        JsonNode[] Tools(string schema, string? type) => [.. functions.Select(function =>
        {
            var tool = new JsonObject { ["name"] = function["name"]!.DeepClone(), ["description"] = function["description"]?.DeepClone(), [schema] = function["parameters"]!.DeepClone() };
            if (type is not null)
                tool["type"] = type;
            return (JsonNode)tool;
        })];
        bool logprobs = row.TryGetProperty("logprobs", out _);
        switch (dialect)
        {
            case "anthropic":
                var message = new JsonObject
                {
                    ["model"] = "glm-4.7",
                    ["stream"] = true,
                    ["max_tokens"] = most,
                    ["tools"] = new JsonArray(Tools("input_schema", null)),
                    ["thinking"] = new JsonObject { ["type"] = thinks ? "adaptive" : "disabled" },
                    ["messages"] = new JsonArray(new JsonObject { ["role"] = "user", ["content"] = "How long is it?" }),
                };
                if (stop is not null)
                    message["stop_sequences"] = new JsonArray(stop);
                return ("/v1/messages", message.ToJsonString());
            case "gemini":
                var options = new JsonObject
                {
                    ["maxOutputTokens"] = most,
                    ["candidateCount"] = row.TryGetProperty("n", out JsonElement n) ? n.GetInt32() : 1,
                    ["thinkingConfig"] = thinks ? new JsonObject { ["includeThoughts"] = true } : new JsonObject { ["thinkingBudget"] = 0 },
                };
                if (stop is not null)
                    options["stopSequences"] = new JsonArray(stop);
                if (logprobs)
                    (options["responseLogprobs"], options["logprobs"]) = (true, 2);
                return ("/v1beta/models/glm-4.7:streamGenerateContent?alt=sse", new JsonObject
                {
                    ["contents"] = new JsonArray(new JsonObject { ["role"] = "user", ["parts"] = new JsonArray(new JsonObject { ["text"] = "How long is it?" }) }),
                    ["tools"] = new JsonArray(new JsonObject { ["functionDeclarations"] = new JsonArray(Tools("parametersJsonSchema", null)) }),
                    ["generationConfig"] = options,
                }.ToJsonString());
            case "openai_responses":
                var response = new JsonObject
                {
                    ["model"] = "glm-4.7",
                    ["stream"] = true,
                    ["max_output_tokens"] = most,
                    ["input"] = "How long is it?",
                    ["tools"] = new JsonArray(Tools("parameters", "function")),
                    ["reasoning"] = new JsonObject { ["effort"] = thinks ? "high" : "none" },
                };
                if (logprobs)
                    (response["include"], response["top_logprobs"]) = (new JsonArray("message.output_text.logprobs"), 2);
                return ("/v1/responses", response.ToJsonString());
            default:
                var sampling = new JsonObject { ["max_new_tokens"] = most };
                if (stop is not null)
                    sampling["stop"] = stop;
                var body = new JsonObject { ["text"] = "How long is it?", ["stream"] = true, ["sampling_params"] = sampling, ["return_logprob"] = logprobs };
                if (row.GetProperty("scenario").GetString() == "native_logprobs_prompt")
                    body["logprob_start_len"] = 0;
                return ("/generate", body.ToJsonString());
        }
    }
}
