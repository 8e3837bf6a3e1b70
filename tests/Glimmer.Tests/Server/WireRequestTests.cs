using System.Net;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Glimmer.Inference;
using Glimmer.Server;
using Glimmer.Server.Turns;

namespace Glimmer.Tests.Server;

/// <summary>Recorded requests to all APIs: valid ones are answered with what the vendors' SDK types accept, invalid ones as stated.</summary>
public sealed class WireRequestTests : IClassFixture<WireRequestTests.Shared>
{
    // Schemas of an answer, of an event and of an error; null where the recordings have none.
    private static readonly Dictionary<string, (string? Whole, string? Event, string? Error)> s_schemas = new()
    {
        ["openai"] = ("openai.chat_completion", null, "openai.error"),
        ["openai_chat"] = ("openai.chat_completion", "openai.chat_completion_chunk", "openai.error"),
        ["openai_completions"] = ("openai.completion", "openai.completion_chunk", "openai.error"),
        ["openai_responses"] = ("openai.response", "openai.response_stream_event", "openai.error"),
        ["anthropic"] = ("anthropic.message", "anthropic.message_stream_event", "anthropic.error"),
        ["anthropic_count"] = ("anthropic.message_tokens_count", null, "anthropic.error"),
        ["gemini"] = ("gemini.generate_content_response", "gemini.generate_content_response", "gemini.error"),
        ["gemini_count"] = ("gemini.count_tokens_response", null, "gemini.error"),
        ["native"] = (null, null, null),
    };

    private readonly Shared _shared;

    public WireRequestTests(Shared shared) => _shared = shared;

    public static TheoryData<string> Valid() => WireFixtures.Names("requests_valid.jsonl", IsOurs);

    public static TheoryData<string> Invalid() => WireFixtures.Names("requests_invalid.jsonl", IsOurs);

    [SkippableFact]
    public void The_validator_agrees_with_the_recorded_examples()
    {
        Fixtures.SkipIfAbsent(WireFixtures.Folder ?? "");
        foreach (JsonElement row in WireFixtures.Rows("schemas/examples.jsonl"))
        {
            string schema = row.GetProperty("schema").GetString()!;
            Assert.True(row.GetProperty("valid").GetBoolean() == WireFixtures.IsValid(schema, row.GetProperty("instance")), row.GetRawText());
        }
    }

    [SkippableTheory]
    [MemberData(nameof(Valid))]
    public async Task Valid_requests_are_answered(string id)
    {
        Fixtures.SkipIfAbsent(id);
        JsonElement row = WireFixtures.Row("requests_valid.jsonl", id);
        string dialect = row.GetProperty("dialect").GetString()!;
        (string? whole, string? streamed, _) = s_schemas[dialect];
        WireServer server = await _shared.ServerAsync();
        string body = row.GetProperty("body").GetRawText();
        using HttpResponseMessage response = await server.Client.PostAsync(row.GetProperty("path").GetString(), new StringContent(body, Encoding.UTF8, "application/json"));
        string text = await response.Content.ReadAsStringAsync();
        Assert.True(response.StatusCode == HttpStatusCode.OK, $"{(int)response.StatusCode} {text}");
        if (response.Content.Headers.ContentType!.MediaType != "text/event-stream")
        {
            JsonElement answer = JsonDocument.Parse(text).RootElement;
            foreach (JsonElement item in answer.ValueKind == JsonValueKind.Array && whole is not null ? [.. answer.EnumerateArray()] : new[] { answer })
                Validate(whole, item);
            return;
        }

        List<string> events = WireServer.DataOf(text);
        if (dialect is "openai_chat" or "openai_completions" or "native")
        {
            Assert.Equal("[DONE]", events[^1]);
            events.RemoveAt(events.Count - 1);
        }

        foreach (string data in events)
            Validate(streamed, JsonDocument.Parse(data).RootElement);
        string last = events[^1];
        Assert.True(
            dialect switch
            {
                "openai_responses" => last.Contains("response.completed", StringComparison.Ordinal) || last.Contains("response.incomplete", StringComparison.Ordinal),
                "anthropic" => last.Contains("message_stop", StringComparison.Ordinal),
                "gemini" => last.Contains("finishReason", StringComparison.Ordinal),
                "native" => last.Contains("\"finish_reason\":{", StringComparison.Ordinal),
                _ => true,
            },
            last);
    }

    [SkippableTheory]
    [MemberData(nameof(Invalid))]
    public async Task Invalid_requests_are_refused_as_stated(string id)
    {
        Fixtures.SkipIfAbsent(id);
        JsonElement row = WireFixtures.Row("requests_invalid.jsonl", id);
        await using WireServer? own = row.TryGetProperty("setup", out JsonElement setup) && setup.ValueKind == JsonValueKind.Object ? await Shared.StartAsync(setup) : null;
        WireServer server = own ?? await _shared.ServerAsync();
        using var request = new HttpRequestMessage(new HttpMethod(row.GetProperty("method").GetString()!), row.GetProperty("path").GetString());
        if (request.Method == HttpMethod.Post)
            request.Content = new ByteArrayContent(BodyOf(row)) { Headers = { ContentType = new("application/json") } };
        if (row.TryGetProperty("headers", out JsonElement headers) && headers.ValueKind == JsonValueKind.Object)
        {
            foreach (JsonProperty header in headers.EnumerateObject())
                request.Headers.TryAddWithoutValidation(header.Name, header.Value.GetString());
        }

        using HttpResponseMessage response = await server.Client.SendAsync(request);
        string text = await response.Content.ReadAsStringAsync();
        int status = (int)response.StatusCode;
        JsonElement answer = JsonDocument.Parse(text).RootElement;
        Validate(s_schemas[row.GetProperty("dialect").GetString()!].Error, answer);
        Assert.True(response.Headers.Contains("x-request-id"));
        if (!row.GetProperty("stated").GetBoolean())
        {
            Assert.True(status is >= 400 and < 500, $"{status} {text}");
            return;
        }

        Assert.True(row.GetProperty("status").GetInt32() == status, $"{status} {text}");
        AssertError(row.GetProperty("error"), answer.GetProperty("error"));
    }

    [SkippableFact]
    public async Task Requests_recorded_from_real_clients_are_answered()
    {
        Fixtures.SkipIfAbsent(WireFixtures.Folder ?? "");
        WireServer server = await _shared.ServerAsync();
        int replayed = 0;
        foreach (string file in Directory.EnumerateFiles(Path.Combine(Fixtures.Repository, "tests", "Glimmer.Tests", "Server", "recordings"), "*.jsonl"))
        {
            foreach (string line in File.ReadLines(file))
            {
                JsonElement row = JsonDocument.Parse(line).RootElement;
                if (!row.TryGetProperty("body", out JsonElement body))
                    continue;
                using HttpResponseMessage response = await server.Client.PostAsync(row.GetProperty("path").GetString(), new StringContent(body.GetRawText(), Encoding.UTF8, "application/json"));
                Assert.True(response.IsSuccessStatusCode, $"{Path.GetFileName(file)}: {(int)response.StatusCode} {await response.Content.ReadAsStringAsync()}");
                replayed++;
            }
        }

        Assert.True(replayed >= 20, $"only {replayed} requests");
    }

    private static void Validate(string? schema, JsonElement value)
    {
        if (schema is not null)
            WireFixtures.AssertValid(schema, value);
    }

    private static void AssertError(JsonElement expected, JsonElement error)
    {
        string message = error.GetProperty("message").GetString()!;
        string? param = error.TryGetProperty("param", out JsonElement named) ? named.GetString() : null;
        foreach (JsonProperty property in expected.EnumerateObject())
        {
            string value = property.Value.ToString();
            switch (property.Name)
            {
                case "message_pattern":
                    Assert.Matches(new Regex(value), message);
                    break;
                case "message_contains":
                    Assert.Contains(value, message, StringComparison.Ordinal);
                    break;
                case "names":
                    Assert.True(message.Contains(value, StringComparison.Ordinal) || param?.Contains(value, StringComparison.Ordinal) == true, $"{value} is not named: {error}");
                    break;
                default:
                    Assert.Equal(value, error.GetProperty(property.Name).ToString());
                    break;
            }
        }
    }

    private static byte[] BodyOf(JsonElement row)
    {
        if (row.TryGetProperty("body_text", out JsonElement text))
            return (row.TryGetProperty("body_encoding", out JsonElement encoding) && encoding.GetString() == "latin-1" ? Encoding.Latin1 : Encoding.UTF8).GetBytes(text.GetString()!);
        JsonNode body = JsonNode.Parse(row.GetProperty("body").GetRawText())!;
        if (row.TryGetProperty("expand", out JsonElement expand) && expand.ValueKind == JsonValueKind.Object)
        {
            JsonNode place = body;
            foreach (string part in expand.GetProperty("pointer").GetString()!.Split('/').Skip(1))
                place = place[part]!;
            for (int i = 0; i < expand.GetProperty("count").GetInt32(); i++)
            {
                string number = i.ToString(System.Globalization.CultureInfo.InvariantCulture);
                string Filled(string name) => expand.GetProperty(name).GetRawText().Replace("{i}", number, StringComparison.Ordinal);
                if (place is JsonArray array)
                    array.Add(JsonNode.Parse(Filled("item")));
                else
                    place[expand.GetProperty("key").GetString()!.Replace("{i}", number, StringComparison.Ordinal)] = JsonNode.Parse(Filled("value"));
            }
        }

        return Encoding.UTF8.GetBytes(body.ToJsonString());
    }

    private static bool IsOurs(JsonElement row) => s_schemas.ContainsKey(row.GetProperty("dialect").GetString()!);

    /// <summary>One server for all rows without a set-up of their own.</summary>
    public sealed class Shared : IAsyncLifetime
    {
        private WireServer? _server;

        internal async Task<WireServer> ServerAsync() => _server ??= await StartAsync(default);

        public Task InitializeAsync() => Task.CompletedTask;

        public async Task DisposeAsync()
        {
            if (_server is not null)
                await _server.DisposeAsync();
        }

        internal static Task<WireServer> StartAsync(JsonElement setup)
        {
            var options = new ServerOptions { ModelNames = ["glm-4.7"] };
            int context = 131072;
            if (setup.ValueKind == JsonValueKind.Object)
            {
                foreach (JsonProperty property in setup.EnumerateObject())
                {
                    switch (property.Name)
                    {
                        case "context_length":
                            context = property.Value.GetInt32();
                            break;
                        case "api_key":
                            options = options with { ApiKeys = [property.Value.GetString()!] };
                            break;
                        case "max_request_bytes":
                            options = options with { MaxRequestBytes = property.Value.GetInt64() };
                            break;
                        default:
                            throw new InvalidOperationException($"unknown set-up {property.Name}");
                    }
                }
            }

            return WireServer.StartAsync(Script, options, context, WireFixtures.Tokenizer, WireFixtures.Template);
        }

        // Reasoning where the prompt asks for it, and text.
        private static ScriptedAnswer Script(GenerationRequest request, int answer)
        {
            bool thinks = request.Prompt.Span[^1] == WireFixtures.Tokenizer.TokenToId("<think>");
            return WireServer.Answer(thinks ? "Peru: Lima.</think>The capital is Lima." : "The capital is Lima.", WireFixtures.Tokenizer);
        }
    }
}
