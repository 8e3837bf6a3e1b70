using System.IO.Compression;
using System.Net;
using System.Text;
using System.Text.Json;
using Glimmer.Inference;
using Glimmer.Server;
using Glimmer.Server.Turns;

namespace Glimmer.Tests.Server;

/// <summary>Limits, origins, shutdown, cancellation and compression: what every API shares.</summary>
public class ServerBehaviourTests
{
    private const string Question = """{"model":"glm-4.7","messages":[{"role":"user","content":"Capital of Peru?"}]}""";
    private const string Streamed = """{"model":"glm-4.7","stream":true,"messages":[{"role":"user","content":"Capital of Peru?"}]}""";
    private const string Path = "/v1/chat/completions";
    private static readonly ServerOptions s_options = new() { ModelNames = ["glm-4.7"] };

    [Fact]
    public async Task A_request_that_waits_too_long_for_its_first_token_ends_with_504_and_in_a_stream_with_an_error()
    {
        await using WireServer server = await WireServer.StartAsync("Lima.", s_options with { Turns = new TurnDefaults { QueueTimeout = TimeSpan.FromMilliseconds(20) } });
        server.Tokens.BeforeToken = (_, cancelled) => Task.Delay(Timeout.Infinite, cancelled);
        (HttpStatusCode status, JsonElement body) = await server.PostAsync(Path, Question);
        Assert.Equal(HttpStatusCode.GatewayTimeout, status);
        Assert.Contains("waited longer than 0.02 s", body.GetProperty("error").GetProperty("message").GetString(), StringComparison.Ordinal);
        ChatStreamAccumulator stream = ChatStreamAccumulator.Of(await server.StreamAsync(Path, Streamed));
        Assert.Equal("server_error", stream.Error?.Type);
        Assert.True(stream.IsTerminated);
    }

    [Fact]
    public async Task A_request_that_runs_too_long_ends_and_the_wait_for_the_first_token_no_longer_counts()
    {
        await using WireServer server = await WireServer.StartAsync(
            "Lima.", s_options with { Turns = new TurnDefaults { QueueTimeout = TimeSpan.FromMinutes(10), RequestTimeout = TimeSpan.FromMilliseconds(50) } });
        server.Tokens.BeforeToken = (index, cancelled) => index == 0 ? Task.CompletedTask : Task.Delay(Timeout.Infinite, cancelled);
        (HttpStatusCode status, JsonElement body) = await server.PostAsync(Path, Question);
        Assert.Equal(HttpStatusCode.GatewayTimeout, status);
        Assert.Contains("ran longer than 0.05 s", body.GetProperty("error").GetProperty("message").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_client_that_goes_away_cancels_its_generation()
    {
        await using WireServer server = await WireServer.StartAsync("Lima.");
        var waiting = new TaskCompletionSource();
        var cancelled = new TaskCompletionSource();
        server.Tokens.BeforeToken = async (_, token) =>
        {
            waiting.TrySetResult();
            using CancellationTokenRegistration registration = token.Register(() => cancelled.TrySetResult());
            await Task.Delay(Timeout.Infinite, token);
        };
        using var leave = new CancellationTokenSource();
        Task<HttpResponseMessage> request = server.Client.PostAsync(Path, new StringContent(Question, Encoding.UTF8, "application/json"), leave.Token);
        await waiting.Task.WaitAsync(TimeSpan.FromSeconds(30));
        await leave.CancelAsync();
        await cancelled.Task.WaitAsync(TimeSpan.FromSeconds(30));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => request);
    }

    [Fact]
    public async Task A_server_that_stops_finishes_running_requests_and_refuses_new_ones()
    {
        WireServer server = await WireServer.StartAsync("Lima.");
        var running = new TaskCompletionSource();
        var gate = new TaskCompletionSource();
        server.Tokens.BeforeToken = (index, _) =>
        {
            running.TrySetResult();
            return index == 0 ? Task.CompletedTask : gate.Task;
        };
        using var client = new HttpClient { BaseAddress = server.Address };
        Task<HttpResponseMessage> first = client.PostAsync(Path, new StringContent(Question, Encoding.UTF8, "application/json"));
        await running.Task.WaitAsync(TimeSpan.FromSeconds(30));
        Task stopping = server.StopAsync();
        using HttpResponseMessage second = await client.PostAsync(Path, new StringContent(Question, Encoding.UTF8, "application/json"));
        Assert.Equal(HttpStatusCode.ServiceUnavailable, second.StatusCode);
        Assert.NotNull(second.Headers.RetryAfter);
        using HttpResponseMessage health = await client.GetAsync("/health");
        Assert.Equal(HttpStatusCode.ServiceUnavailable, health.StatusCode);
        gate.SetResult();
        using HttpResponseMessage answered = await first;
        Assert.Equal(HttpStatusCode.OK, answered.StatusCode);
        await stopping;
    }

    [Fact]
    public async Task Pages_of_named_origins_may_call_and_those_of_others_may_not()
    {
        await using WireServer server = await WireServer.StartAsync("Lima.", s_options with { AllowedOrigins = ["https://app.example"] });
        using var ask = new HttpRequestMessage(HttpMethod.Options, Path);
        ask.Headers.Add("Origin", "https://app.example");
        ask.Headers.Add("Access-Control-Request-Method", "POST");
        ask.Headers.Add("Access-Control-Request-Headers", "authorization, content-type");
        using HttpResponseMessage preflight = await server.Client.SendAsync(ask);
        Assert.Equal(HttpStatusCode.NoContent, preflight.StatusCode);
        Assert.Equal(["https://app.example"], preflight.Headers.GetValues("Access-Control-Allow-Origin"));
        Assert.Equal(["authorization, content-type"], preflight.Headers.GetValues("Access-Control-Allow-Headers"));

        using HttpResponseMessage allowed = await FromAsync(server, "https://app.example");
        Assert.Equal(HttpStatusCode.OK, allowed.StatusCode);
        Assert.Equal(["https://app.example"], allowed.Headers.GetValues("Access-Control-Allow-Origin"));
        using HttpResponseMessage foreign = await FromAsync(server, "https://other.example");
        Assert.Equal(HttpStatusCode.Forbidden, foreign.StatusCode);
        Assert.False(foreign.Headers.Contains("Access-Control-Allow-Origin"));
    }

    [Fact]
    public async Task Compressed_bodies_are_read_within_the_limit()
    {
        await using WireServer server = await WireServer.StartAsync("Lima.", s_options with { MaxRequestBytes = 4096 });
        foreach ((string encoding, Func<byte[], byte[]> compress) in Encodings())
        {
            Assert.Equal(HttpStatusCode.OK, await SendAsync(server, encoding, compress(Encoding.UTF8.GetBytes(Question))));
            Assert.Equal(HttpStatusCode.RequestEntityTooLarge, await SendAsync(server, encoding, compress(new byte[1 << 16])));
            Assert.Equal(HttpStatusCode.BadRequest, await SendAsync(server, encoding, Encoding.UTF8.GetBytes(Question)));
        }

        Assert.Equal(HttpStatusCode.UnsupportedMediaType, await SendAsync(server, "rot13", Encoding.UTF8.GetBytes(Question)));
    }

    [Fact]
    public async Task Strict_tools_bind_the_calls_that_the_model_chooses_to_make()
    {
        GenerationRequest? seen = null;
        await using WireServer server = await WireServer.StartAsync((request, _) =>
        {
            seen = request;
            return WireServer.Answer("</think>Lima.");
        });
        await server.PostAsync(Path, WithTool("", """{"type":"object","properties":{"city":{"type":"string"}}}"""));
        Assert.Null(seen!.Constraint);
        (HttpStatusCode status, JsonElement body) = await server.PostAsync(Path, WithTool("\"strict\":true,", """{"type":"object","properties":{"city":{"type":"string"}}}"""));
        Assert.True(status == HttpStatusCode.OK, body.ToString());
        Assert.NotNull(seen.Constraint);
    }

    [Fact]
    public async Task A_schema_that_cannot_be_expressed_is_refused_when_it_is_strict_and_free_when_not()
    {
        await using WireServer server = await WireServer.StartAsync("</think><tool_call>find</tool_call>");
        const string Schema = """{"type":"object","properties":{"a":{"$dynamicRef":"#x"}}}""";
        const string Forced = "\"tool_choice\":\"required\",";
        (HttpStatusCode status, JsonElement body) = await server.PostAsync(Path, WithTool("", Schema, Forced));
        Assert.True(status == HttpStatusCode.OK, body.ToString());
        (status, body) = await server.PostAsync(Path, WithTool("\"strict\":true,", Schema, Forced));
        Assert.Equal(HttpStatusCode.BadRequest, status);
        Assert.Contains("$dynamicRef", body.GetProperty("error").GetProperty("message").GetString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(Path, """{"model":"glm-4.7","messages":[{"role":"user","content":"?"}],"tools":[{"type":"function","function":{"name":"find"}}],"response_format":TAG}""")]
    [InlineData("/v1/responses", """{"model":"glm-4.7","input":"?","tools":[{"type":"function","name":"find"}],"text":{"format":TAG}}""")]
    [InlineData(Path, """{"model":"glm-4.7","messages":[{"role":"user","content":"?"}],"tools":[{"type":"function","function":{"name":"find"}}],"structured_outputs":{"structural_tag":TAG}}""")]
    [InlineData("/generate", """{"text":"?find","sampling_params":{"structural_tag":TAG}}""")]
    public async Task Structural_tags_constrain_the_answer_and_leave_the_tools_in_the_prompt(string path, string body)
    {
        const string Tag = """{"type":"structural_tag","format":{"type":"const_string","value":"yes"}}""";
        GenerationRequest? seen = null;
        await using WireServer server = await WireServer.StartAsync((request, _) =>
        {
            seen = request;
            return WireServer.Answer(path == "/generate" ? "yes" : "</think>yes");
        });
        (HttpStatusCode status, JsonElement answer) = await server.PostAsync(path, body.Replace("TAG", Tag, StringComparison.Ordinal));
        Assert.True(status == HttpStatusCode.OK, answer.ToString());
        Assert.Contains("find", SmallVocabulary.Tokenizer.Decode(seen!.Prompt.Span), StringComparison.Ordinal);
        ITokenConstraint constraint = seen.Constraint!();
        if (path != "/generate")
            constraint.Accept(SmallVocabulary.Tokenizer.TokenToId("</think>")!.Value);
        Assert.Equal("yes", ConstrainedText.Only(constraint));
        (status, answer) = await server.PostAsync(path, body.Replace("TAG", """{"type":"structural_tag","format":{"type":"any_tokens"}}""", StringComparison.Ordinal));
        Assert.Equal(HttpStatusCode.BadRequest, status);
        Assert.Contains("any_tokens", answer.GetProperty("error").GetProperty("message").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_response_has_the_log_probabilities_of_its_text_when_they_are_included()
    {
        await using WireServer server = await WireServer.StartAsync("Hm.</think>The capital is Lima.<tool_call>find</tool_call>");
        const string Body = """{"model":"glm-4.7","input":"?","tools":[{"type":"function","name":"find"}],"include":["message.output_text.logprobs"],"top_logprobs":1""";
        (_, JsonElement whole) = await server.PostAsync("/v1/responses", Body + "}");
        Assert.Equal(1, whole.GetProperty("top_logprobs").GetInt32());
        JsonElement text = whole.GetProperty("output").EnumerateArray().Single(item => item.GetProperty("type").GetString() == "message").GetProperty("content")[0];
        JsonElement[] logprobs = [.. text.GetProperty("logprobs").EnumerateArray()];
        Assert.Equal("The capital is Lima.", string.Concat(logprobs.Select(token => token.GetProperty("token").GetString())));
        Assert.All(logprobs, token => Assert.Equal(0, token.GetProperty("logprob").GetDouble()));
        Assert.All(logprobs, token => Assert.Equal(token.GetProperty("token").GetString(), token.GetProperty("top_logprobs")[0].GetProperty("token").GetString()));
        Assert.All(logprobs, token => Assert.Equal(token.GetProperty("token").GetString(), Encoding.UTF8.GetString([.. token.GetProperty("bytes").EnumerateArray().Select(b => b.GetByte())])));

        List<JsonElement> events = [.. (await server.StreamAsync("/v1/responses", Body + ",\"stream\":true}")).Select(data => JsonDocument.Parse(data).RootElement)];
        string Streamed(string type) => string.Concat(events.Where(item => item.GetProperty("type").GetString() == type).SelectMany(item => item.GetProperty("logprobs").EnumerateArray()).Select(token => token.GetProperty("token").GetString()));
        Assert.Equal("The capital is Lima.", Streamed("response.output_text.delta"));
        Assert.Equal("The capital is Lima.", Streamed("response.output_text.done"));
        Assert.Equal(logprobs.Length, events[^1].GetProperty("response").GetProperty("output")[1].GetProperty("content")[0].GetProperty("logprobs").GetArrayLength());
        if (WireFixtures.Folder is not null)
        {
            WireFixtures.AssertValid("openai.response", whole);
            Assert.All(events, item => WireFixtures.AssertValid("openai.response_stream_event", item));
        }

        (_, JsonElement plain) = await server.PostAsync("/v1/responses", Body.Replace("message.output_text.logprobs", "x", StringComparison.Ordinal) + "}");
        Assert.DoesNotContain("\"logprob\"", plain.GetRawText(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Reasoning_that_is_not_streamed_comes_in_one_piece()
    {
        await using WireServer server = await WireServer.StartAsync("The capital of Peru is Lima.</think>Lima.");
        List<string> events = await server.StreamAsync(Path, Streamed.Replace("\"stream\":true", "\"stream\":true,\"stream_reasoning\":false", StringComparison.Ordinal));
        Assert.Single(events, data => data.Contains("reasoning_content", StringComparison.Ordinal));
        Assert.Equal("The capital of Peru is Lima.", ChatStreamAccumulator.Of(events).Choices[0].Reasoning);
    }

    [Fact]
    public async Task An_echoed_prompt_has_its_offsets_and_counts_once()
    {
        await using WireServer server = await WireServer.StartAsync(" Lima.");
        (_, JsonElement body) = await server.PostAsync("/v1/completions", """{"model":"glm-4.7","prompt":["The capital","The days"],"echo":true,"logprobs":1,"n":2,"max_tokens":50}""");
        JsonElement[] choices = [.. body.GetProperty("choices").EnumerateArray()];
        Assert.Equal([0, 1, 2, 3], choices.Select(choice => choice.GetProperty("index").GetInt32()));
        Assert.Equal(["The capital Lima.", "The capital Lima.", "The days Lima.", "The days Lima."], choices.Select(choice => choice.GetProperty("text").GetString()));
        JsonElement logprobs = choices[3].GetProperty("logprobs");
        string[] tokens = [.. logprobs.GetProperty("tokens").EnumerateArray().Select(token => token.GetString()!)];
        int[] offsets = [.. logprobs.GetProperty("text_offset").EnumerateArray().Select(offset => offset.GetInt32())];
        Assert.Equal("The days Lima.", string.Concat(tokens));
        for (int i = 1; i < tokens.Length; i++)
            Assert.Equal(offsets[i - 1] + tokens[i - 1].Length, offsets[i]);
        Assert.Equal(JsonValueKind.Null, logprobs.GetProperty("token_logprobs")[0].ValueKind);
        int prompt = body.GetProperty("usage").GetProperty("prompt_tokens").GetInt32();
        Assert.Equal(SmallVocabulary.Tokenizer.Encode("The capital").Length + SmallVocabulary.Tokenizer.Encode("The days").Length, prompt);
    }

    private static string WithTool(string more, string schema, string choice = "") =>
        $$$"""{"model":"glm-4.7",{{{choice}}}"tools":[{"type":"function","function":{"name":"find",{{{more}}}"parameters":{{{schema}}}}}],"messages":[{"role":"user","content":"Find it."}]}""";

    private static Task<HttpResponseMessage> FromAsync(WireServer server, string origin)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, Path) { Content = new StringContent(Question, Encoding.UTF8, "application/json") };
        request.Headers.Add("Origin", origin);
        return server.Client.SendAsync(request);
    }

    private static async Task<HttpStatusCode> SendAsync(WireServer server, string encoding, byte[] body)
    {
        using var content = new ByteArrayContent(body) { Headers = { ContentType = new("application/json") } };
        content.Headers.ContentEncoding.Add(encoding);
        using HttpResponseMessage response = await server.Client.PostAsync(Path, content);
        return response.StatusCode;
    }

    private static IEnumerable<(string Encoding, Func<byte[], byte[]> Compress)> Encodings()
    {
        yield return ("gzip", bytes => Through(bytes, stream => new GZipStream(stream, CompressionLevel.Fastest)));
        yield return ("br", bytes => Through(bytes, stream => new BrotliStream(stream, CompressionLevel.Fastest)));
        yield return ("deflate", bytes => Through(bytes, stream => new ZLibStream(stream, CompressionLevel.Fastest)));
        yield return ("zstd", bytes => Through(bytes, stream => new ZstdSharp.CompressionStream(stream)));
    }

    private static byte[] Through(byte[] bytes, Func<Stream, Stream> compressor)
    {
        using var result = new MemoryStream();
        using (Stream compressing = compressor(result))
            compressing.Write(bytes);
        return result.ToArray();
    }
}
