using System.Net;
using System.Runtime.InteropServices;
using System.Text.Json;
using Glimmer.Inference;

namespace Glimmer.Tests.Server;

/// <summary>What the server promises about a real engine: cached prefixes, pages of clients that went away, a full queue, equal log-probabilities.</summary>
public class EngineServerTests
{
    private static readonly string s_long = string.Join(' ', Enumerable.Repeat("The capital of Peru is Lima, and the capital of Chile is Santiago.", 40));

    [Fact]
    public async Task The_next_turn_takes_prompt_and_answer_of_the_last_one_from_the_cache()
    {
        await using EngineServer server = await EngineServer.StartAsync();
        int[] prompt = [.. Enumerable.Range(0, 150)];
        for (int turn = 0, before = 0; turn < 4; turn++)
        {
            JsonElement answer = await server.PostAsync("/generate", Generate(prompt, "\"max_new_tokens\":40,\"ignore_eos\":true"));
            int cached = answer.GetProperty("meta_info").GetProperty("cached_tokens").GetInt32();
            Assert.True(cached >= before - 64, $"turn {turn}: {cached} of {before}");
            int[] output = Ids(answer);
            Assert.Equal(40, output.Length);
            before = prompt.Length + output.Length;
            prompt = [.. prompt, .. output, 7, 8, 9];
        }
    }

    [Fact]
    public async Task A_conversation_that_grows_keeps_its_prefix()
    {
        await using EngineServer server = await EngineServer.StartAsync();
        string system = JsonSerializer.Serialize(s_long);
        JsonElement first = await server.PostAsync("/v1/chat/completions", $$"""{"model":"glm-4.7","max_tokens":8,"messages":[{"role":"system","content":{{system}}},{"role":"user","content":"Peru?"}]}""");
        JsonElement second = await server.PostAsync(
            "/v1/chat/completions",
            $$"""{"model":"glm-4.7","max_tokens":1,"messages":[{"role":"system","content":[{"type":"text","text":{{system}}}]},{"role":"user","content":"Peru?"},{"role":"assistant","content":"Lima."},{"role":"user","content":"Chile?"}]}""");
        int prompt = first.GetProperty("usage").GetProperty("prompt_tokens").GetInt32();
        int cached = second.GetProperty("usage").GetProperty("prompt_tokens_details").GetProperty("cached_tokens").GetInt32();
        Assert.True(prompt > 200 && cached >= prompt - 64, $"{cached} of {prompt}");
    }

    [Fact]
    public async Task A_client_that_leaves_the_queue_leaves_no_pages()
    {
        await using EngineServer server = await EngineServer.StartAsync();
        await server.Engine.PauseAsync(PauseMode.InPlace);
        await LeaveAsync(server, Generate([1, 2, 3], "\"max_new_tokens\":5000"), () => server.Engine.Statistics.Waiting == 1);
        Assert.Equal(0, server.Engine.Statistics.GeneratedTokens);
    }

    [Fact]
    public async Task A_client_that_leaves_while_its_prompt_is_computed_leaves_no_pages()
    {
        await using EngineServer server = await EngineServer.StartAsync(new EngineOptions { PrefillTokens = 1 });
        await LeaveAsync(server, Generate([.. Enumerable.Repeat(5, 4000)], "\"max_new_tokens\":1000"), () => server.Engine.Statistics.Steps > 0);
        Assert.Equal(0, server.Engine.Statistics.GeneratedTokens);
    }

    [Fact]
    public async Task A_client_that_leaves_in_the_middle_of_its_answer_leaves_no_pages()
    {
        await using EngineServer server = await EngineServer.StartAsync();
        await LeaveAsync(server, Generate([1, 2, 3], "\"max_new_tokens\":8000,\"ignore_eos\":true"), () => server.Engine.Statistics.GeneratedTokens > 0);
        Assert.True(server.Engine.Statistics.GeneratedTokens < 8000);
    }

    [Theory]
    [InlineData("/v1/chat/completions", """{"model":"glm-4.7","max_tokens":8000,"messages":[{"role":"user","content":"?"}],"stream":STREAM}""")]
    [InlineData("/v1/completions", """{"model":"glm-4.7","max_tokens":8000,"prompt":"?","n":2,"stream":STREAM}""")]
    [InlineData("/v1/responses", """{"model":"glm-4.7","max_output_tokens":8000,"input":"?","stream":STREAM}""")]
    [InlineData("/v1/messages", """{"model":"glm-4.7","max_tokens":8000,"messages":[{"role":"user","content":"?"}],"stream":STREAM}""")]
    [InlineData("/v1beta/models/glm-4.7:generateContent", """{"contents":[{"parts":[{"text":"?"}]}],"generationConfig":{"maxOutputTokens":8000}}""")]
    [InlineData("/v1beta/models/glm-4.7:streamGenerateContent?alt=sse", """{"contents":[{"parts":[{"text":"?"}]}],"generationConfig":{"maxOutputTokens":8000}}""")]
    [InlineData("/generate", """{"text":["The","An"],"sampling_params":{"max_new_tokens":8000},"stream":STREAM}""")]
    public async Task A_client_of_any_API_that_leaves_is_gone_within_a_step(string path, string body)
    {
        await using EngineServer server = await EngineServer.StartAsync();
        foreach (string stream in body.Contains("STREAM", StringComparison.Ordinal) ? (string[])["false", "true"] : [""])
        {
            long before = server.Engine.Statistics.GeneratedTokens;
            long steps = await LeaveAsync(server, body.Replace("STREAM", stream, StringComparison.Ordinal), () => server.Engine.Statistics.GeneratedTokens > before, path);
            Assert.InRange(steps, 0, 1);
        }

        // It is counted when the handler has noticed, which may be after the engine has.
        string metrics = "";
        for (int i = 0; i < 500 && !metrics.Contains("glimmer:client_disconnects_total{model_name=\"glm-4.7\"} " + (body.Contains("STREAM", StringComparison.Ordinal) ? "2" : "1"), StringComparison.Ordinal); i++)
        {
            await Task.Delay(10);
            metrics = await server.Client.GetStringAsync("/metrics");
        }

        Assert.Contains("glimmer:client_disconnects_total{model_name=\"glm-4.7\"} " + (body.Contains("STREAM", StringComparison.Ordinal) ? "2" : "1") + "\n", metrics, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Steps_and_drafts_are_counted_as_vLLM_counts_them()
    {
        await using EngineServer server = await EngineServer.StartAsync(new EngineOptions { Drafts = DraftSource.PromptLookup });
        await server.PostAsync("/generate", Generate([.. Enumerable.Repeat(5, 60)], "\"max_new_tokens\":30,\"temperature\":0,\"ignore_eos\":true"));
        EngineStatistics now = server.Engine.Statistics;
        Assert.True(now.Drafts > 0 && now.DraftedTokens >= now.Drafts);
        Assert.Equal(now.AcceptedTokens, now.AcceptedByPlace.Sum());
        Assert.Equal(now.Steps, now.Sizes!.Counts.Sum());
        Assert.True(now.Sizes.Positions >= 60 + now.DraftedTokens);
        string page = await server.Client.GetStringAsync("/metrics");
        const string Labels = "{model_name=\"glm-4.7\",engine=\"0\"";
        Assert.Contains($"vllm:spec_decode_num_drafts_total{Labels}}} {now.Drafts}\n", page, StringComparison.Ordinal);
        Assert.Contains($"vllm:spec_decode_num_accepted_tokens_per_pos_total{Labels},position=\"0\"}} {now.AcceptedByPlace[0]}\n", page, StringComparison.Ordinal);
        Assert.Contains($"vllm:iteration_tokens_total_count{Labels}}} {now.Steps}\n", page, StringComparison.Ordinal);
        Assert.Contains("glimmer:http_responses_total{model_name=\"glm-4.7\",dialect=\"native\",endpoint=\"/generate\",status=\"200\"} 1\n", page, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Timings_come_with_the_end_when_they_are_asked_for_and_with_every_chunk_when_that_is_asked_for()
    {
        await using EngineServer server = await EngineServer.StartAsync();
        string prompt = string.Concat(Enumerable.Repeat("a b ", 200));
        string Body(string more) => $$"""{"max_tokens":5,"ignore_eos":true,"temperature":0,"messages":[{"role":"user","content":"{{prompt}}"}]{{more}}}""";
        JsonElement whole = await server.PostAsync("/v1/chat/completions", Body(""","return_timings":true"""));
        JsonElement timings = whole.GetProperty("timings");
        Assert.Equal(whole.GetProperty("usage").GetProperty("prompt_tokens").GetInt32(), timings.GetProperty("prompt_n").GetInt32());
        Assert.Equal((0, 5), (timings.GetProperty("cache_n").GetInt32(), timings.GetProperty("predicted_n").GetInt32()));
        Assert.True(timings.GetProperty("prompt_ms").GetDouble() > 0 && timings.GetProperty("predicted_per_second").GetDouble() > 0);
        JsonElement again = await server.PostAsync("/v1/chat/completions", Body(""","return_timings":true"""));
        int cached = again.GetProperty("usage").GetProperty("prompt_tokens_details").GetProperty("cached_tokens").GetInt32();
        Assert.True(cached > 0);
        Assert.Equal(cached, again.GetProperty("timings").GetProperty("cache_n").GetInt32());
        Assert.False((await server.PostAsync("/v1/chat/completions", Body(""))).TryGetProperty("timings", out _));

        using HttpResponseMessage stream = await server.Client.PostAsync("/v1/chat/completions", EngineServer.Json(Body(""","stream":true,"timings_per_token":true""")));
        JsonElement[] chunks = [.. (await stream.Content.ReadAsStringAsync()).Split('\n').Where(line => line.StartsWith("data: {", StringComparison.Ordinal)).Select(line => JsonDocument.Parse(line[6..]).RootElement)];
        int[] counts = [.. chunks.Where(chunk => chunk.TryGetProperty("timings", out _)).Select(chunk => chunk.GetProperty("timings").GetProperty("predicted_n").GetInt32())];
        Assert.Equal(counts.Order(), counts);
        Assert.Equal(5, counts[^1]);
        Assert.True(counts.Length > 1);

        JsonElement completion = await server.PostAsync("/v1/completions", """{"max_tokens":3,"ignore_eos":true,"prompt":["a","b"],"return_timings":true}""");
        Assert.Equal(6, completion.GetProperty("timings").GetProperty("predicted_n").GetInt32());
    }

    [Fact]
    public async Task Compilations_are_timed_and_kept()
    {
        await using EngineServer server = await EngineServer.StartAsync();
        string body = Generate([1, 2, 3], "\"max_new_tokens\":2,\"regex\":\"ab+\"");
        await server.PostAsync("/generate", body);
        await server.PostAsync("/generate", body);
        Assert.Contains("glimmer:grammar_compile_seconds_count{model_name=\"glm-4.7\"} 1\n", await server.Client.GetStringAsync("/metrics"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_client_that_leaves_while_its_grammar_is_compiled_leaves_no_pages()
    {
        await using EngineServer server = await EngineServer.StartAsync();
        // 2^15 states: it takes longer to compile than the client waits.
        using var leave = new CancellationTokenSource(TimeSpan.FromMilliseconds(30));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => server.Client.PostAsync(
            "/generate", EngineServer.Json(Generate([1, 2, 3], "\"max_new_tokens\":8000,\"regex\":\"(a|b)*a(a|b){14}\"")), leave.Token));
        await server.AssertIdleWithoutPagesAsync();
        Assert.Equal(0, server.Engine.Statistics.GeneratedTokens);
    }

    [Theory]
    [InlineData("/v1/chat/completions", """{"model":"glm-4.7","max_tokens":3,"messages":[{"role":"user","content":"?"}]}""", 503)]
    [InlineData("/v1/completions", """{"model":"glm-4.7","max_tokens":3,"prompt":"?"}""", 503)]
    [InlineData("/v1/responses", """{"model":"glm-4.7","max_output_tokens":3,"input":"?"}""", 503)]
    [InlineData("/v1/messages", """{"model":"glm-4.7","max_tokens":3,"messages":[{"role":"user","content":"?"}]}""", 529)]
    [InlineData("/v1beta/models/glm-4.7:generateContent", """{"contents":[{"parts":[{"text":"?"}]}],"generationConfig":{"maxOutputTokens":3}}""", 503)]
    [InlineData("/generate", """{"text":"The","sampling_params":{"max_new_tokens":3}}""", 503)]
    public async Task Twice_as_many_requests_as_fit_are_refused_by_half_and_the_others_finish(string path, string body, int status)
    {
        await using EngineServer server = await EngineServer.StartAsync(new EngineOptions { MaxRunning = 1, MaxWaiting = 4 });
        await server.Engine.PauseAsync(PauseMode.InPlace);
        var requests = new List<Task<HttpResponseMessage>>();
        for (int i = 0; i < 10; i++)
        {
            Task<HttpResponseMessage> request = server.Client.PostAsync(path, EngineServer.Json(body));
            requests.Add(request);
            int waiting = Math.Min(i + 1, 5);
            await EngineServer.Until(() => request.IsCompleted || (requests.Count <= 5 && server.Engine.Statistics.Waiting == waiting));
        }

        foreach (Task<HttpResponseMessage> refused in requests.Skip(5))
        {
            using HttpResponseMessage response = await refused;
            string text = await response.Content.ReadAsStringAsync();
            Assert.True((int)response.StatusCode == status, $"{(int)response.StatusCode} {text}");
            Assert.InRange(response.Headers.RetryAfter!.Delta!.Value.TotalSeconds, 1, 8);
            JsonElement error = JsonDocument.Parse(text).RootElement.GetProperty("error");
            if (status == 529)
                Assert.Equal("overloaded_error", error.GetProperty("type").GetString());
            else if (path.Contains("models", StringComparison.Ordinal))
                Assert.Equal(("UNAVAILABLE", 503), (error.GetProperty("status").GetString(), error.GetProperty("code").GetInt32()));
            else if (path != "/generate")
                Assert.Equal(("server_error", "queue_full"), (error.GetProperty("type").GetString(), error.GetProperty("code").GetString()));
        }

        await server.Engine.ContinueAsync();
        foreach (Task<HttpResponseMessage> accepted in requests.Take(5))
        {
            using HttpResponseMessage response = await accepted;
            Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        }

        await server.AssertIdleWithoutPagesAsync();
    }

    [Fact]
    public async Task Log_probabilities_of_an_answer_a_stream_and_a_score_are_equal()
    {
        await using EngineServer server = await EngineServer.StartAsync();
        int[] prompt = [3, 1, 4, 1, 5, 9, 2, 6];
        string options = "\"max_new_tokens\":20,\"temperature\":0.8,\"top_k\":20,\"sampling_seed\":7,\"ignore_eos\":true";
        string Body(string more) => Generate(prompt, options)[..^1] + ",\"return_logprob\":true,\"return_sampling_logprob\":true,\"return_routed_experts\":true,\"return_prompt_token_ids\":true" + more + "}";
        JsonElement whole = await server.PostAsync("/generate", Body(""));
        using HttpResponseMessage response = await server.Client.PostAsync("/generate", EngineServer.Json(Body(",\"stream\":true")));
        List<string> events = WireServer.DataOf(await response.Content.ReadAsStringAsync());
        JsonElement streamed = JsonDocument.Parse(events[^2]).RootElement;
        int[] output = Ids(whole);
        Assert.Equal(output, Ids(streamed));
        Assert.Equal(prompt, whole.GetProperty("prompt_token_ids").EnumerateArray().Select(id => id.GetInt32()));
        (float Logprob, int Token)[] logprobs = Logprobs(whole, "output_token_logprobs");
        Assert.Equal(output, logprobs.Select(pair => pair.Token));
        Assert.Equal(logprobs, Logprobs(streamed, "output_token_logprobs"));
        // Of 20 tokens left by the filter, each is more likely than among all.
        Assert.All(Logprobs(whole, "output_token_sampling_logprobs").Zip(logprobs), pair => Assert.InRange(pair.First.Item1, -20, 0));

        JsonElement scored = await server.PostAsync(
            "/generate", Generate([.. prompt, .. output], "\"max_new_tokens\":0")[..^1] + ",\"return_logprob\":true,\"logprob_start_len\":0,\"return_routed_experts\":true}");
        Assert.Equal(logprobs, Logprobs(scored, "input_token_logprobs")[prompt.Length..]);

        // Two layers, two experts a token; the first layer is dense.
        int[] routes = Routes(whole);
        Assert.Equal((prompt.Length + output.Length - 1) * 2 * 2, routes.Length);
        Assert.Equal(routes, Routes(scored));
        Assert.Contains(routes, id => id != 0);
    }

    [Fact]
    public async Task A_batch_answers_in_order_and_a_duplicate_id_is_refused()
    {
        await using EngineServer server = await EngineServer.StartAsync();
        JsonElement batch = await server.PostAsync("/generate", """{"input_ids":[[1,2],[3,4,5]],"rid":["a","b"],"sampling_params":{"max_new_tokens":2,"temperature":0}}""");
        Assert.Equal(["a", "b"], batch.EnumerateArray().Select(answer => answer.GetProperty("meta_info").GetProperty("id").GetString()!));
        Assert.Equal([2, 3], batch.EnumerateArray().Select(answer => answer.GetProperty("meta_info").GetProperty("prompt_tokens").GetInt32()));
        using HttpResponseMessage twice = await server.Client.PostAsync("/generate", EngineServer.Json("""{"input_ids":[[1,2],[3,4,5]],"rid":["a","a"]}"""));
        Assert.Equal(HttpStatusCode.BadRequest, twice.StatusCode);
    }

    [Fact]
    public async Task An_adapter_is_a_model_of_its_own()
    {
        await using EngineServer server = await EngineServer.StartAsync(adapter: "peru");
        JsonElement models = JsonDocument.Parse(await server.Client.GetStringAsync("/v1/models")).RootElement;
        Assert.Equal(["glm-4.7", "peru"], models.GetProperty("data").EnumerateArray().Select(model => model.GetProperty("id").GetString()));
        Assert.Contains("models/peru", await server.Client.GetStringAsync("/v1beta/models"), StringComparison.Ordinal);
        string Body(string more) => Generate([3, 1, 4, 1, 5], "\"max_new_tokens\":0")[..^1] + ",\"return_logprob\":true,\"logprob_start_len\":0" + more + "}";
        (float, int)[] plain = Logprobs(await server.PostAsync("/generate", Body("")), "input_token_logprobs");
        (float, int)[] adapted = Logprobs(await server.PostAsync("/generate", Body(",\"lora_path\":\"peru\"")), "input_token_logprobs");
        Assert.NotEqual(plain, adapted);

        // The same request by its model's name, in text.
        const string Scored = "\"prompt\":[3,1,4,1,5],\"echo\":true,\"logprobs\":0,\"max_tokens\":0}";
        JsonElement named = await server.PostAsync("/v1/completions", "{\"model\":\"peru\"," + Scored);
        Assert.Equal("peru", named.GetProperty("model").GetString());
        Assert.Equal(adapted.Skip(1).Select(pair => pair.Item1), named.GetProperty("choices")[0].GetProperty("logprobs").GetProperty("token_logprobs").EnumerateArray().Skip(1).Select(value => value.GetSingle()));
        using HttpResponseMessage unknown = await server.Client.PostAsync("/generate", EngineServer.Json(Body(",\"lora_path\":\"chile\"")));
        Assert.Equal(HttpStatusCode.BadRequest, unknown.StatusCode);
        Assert.Contains("Loaded: peru", await unknown.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    // Sends a request, stops the engine when a phase is reached, breaks the connection there, and lets the engine go on.
    // The steps that the engine made between both.
    private static async Task<long> LeaveAsync(EngineServer server, string body, Func<bool> isReached, string path = "/generate")
    {
        using var leave = new CancellationTokenSource();
        Task<HttpResponseMessage> request = server.Client.PostAsync(path, EngineServer.Json(body), leave.Token);
        await EngineServer.Until(isReached);
        await server.Engine.PauseAsync(PauseMode.InPlace);
        long steps = server.Engine.Statistics.Steps;
        await leave.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => request);
        await EngineServer.Until(() => server.Engine.Statistics is { Running: 0, Waiting: 0 });
        await server.Engine.ContinueAsync();
        await server.AssertIdleWithoutPagesAsync();
        return server.Engine.Statistics.Steps - steps;
    }

    private static string Generate(int[] prompt, string sampling) => $$$"""{"input_ids":[{{{string.Join(',', prompt)}}}],"sampling_params":{ {{{sampling}}} }}""";

    private static int[] Ids(JsonElement answer) => [.. answer.GetProperty("output_ids").EnumerateArray().Select(id => id.GetInt32())];

    private static (float, int)[] Logprobs(JsonElement answer, string name) => [.. answer.GetProperty("meta_info").GetProperty(name).EnumerateArray()
        .Select(item => (item[0].ValueKind == JsonValueKind.Null ? 0 : item[0].GetSingle(), item[1].GetInt32()))];

    private static int[] Routes(JsonElement answer) =>
        MemoryMarshal.Cast<byte, int>(Convert.FromBase64String(answer.GetProperty("meta_info").GetProperty("routed_experts").GetString()!)).ToArray();
}
