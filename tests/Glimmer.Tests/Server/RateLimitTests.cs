using System.Net;
using System.Text.Json;
using Glimmer.Server;
using Glimmer.Server.Http;
using Microsoft.AspNetCore.Http;

namespace Glimmer.Tests.Server;

/// <summary>Each key has its own limit of requests a minute.</summary>
public class RateLimitTests
{
    [Fact]
    public void A_bucket_fills_up_evenly()
    {
        var time = new ManualTime();
        var limit = new RateLimit(6, time);
        for (int i = 0; i < 6; i++)
            limit.Take(Of("a"));
        ApiException refused = Assert.Throws<ApiException>(() => limit.Take(Of("a")));
        Assert.Equal(10, refused.RetryAfter!.Value.TotalSeconds, 3);
        limit.Take(Of("b"));
        time.Now += TimeSpan.FromSeconds(9);
        Assert.Throws<ApiException>(() => limit.Take(Of("a")));
        time.Now += TimeSpan.FromSeconds(1.1);
        limit.Take(Of("a"));
        Assert.Throws<ApiException>(() => limit.Take(Of("a")));
    }

    [Theory]
    [InlineData("/v1/chat/completions", """{"messages":[{"role":"user","content":"?"}]}""", "rate_limit_error", "type")]
    [InlineData("/v1/responses", """{"input":"?"}""", "rate_limit_error", "type")]
    [InlineData("/v1/messages", """{"max_tokens":9,"messages":[{"role":"user","content":"?"}]}""", "rate_limit_error", "type")]
    [InlineData("/v1beta/models/glm-4.7:generateContent", """{"contents":[{"parts":[{"text":"?"}]}]}""", "RESOURCE_EXHAUSTED", "status")]
    [InlineData("/generate", """{"text":"The"}""", null, null)]
    public async Task Beyond_the_limit_every_api_says_429_and_when_to_come_back(string path, string body, string? word, string? field)
    {
        await using WireServer server = await WireServer.StartAsync("Lima.", new ServerOptions { ModelNames = ["glm-4.7"], ApiKeys = ["one", "two"], RequestsPerMinute = 1 });
        Assert.Equal(HttpStatusCode.OK, (await SendAsync(server, path, body, "one")).StatusCode);
        using HttpResponseMessage refused = await SendAsync(server, path, body, "one");
        Assert.Equal(HttpStatusCode.TooManyRequests, refused.StatusCode);
        Assert.InRange(refused.Headers.RetryAfter!.Delta!.Value.TotalSeconds, 1, 60);
        JsonElement error = JsonDocument.Parse(await refused.Content.ReadAsStringAsync()).RootElement.GetProperty("error");
        if (field is not null)
            Assert.Equal(word, error.GetProperty(field).GetString());
        Assert.Equal(HttpStatusCode.OK, (await SendAsync(server, path, body, "two")).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await SendAsync(server, "/tokenize", """{"prompt":"Lima"}""", "one")).StatusCode);
    }

    private static async Task<HttpResponseMessage> SendAsync(WireServer server, string path, string body, string key)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = EngineServer.Json(body) };
        request.Headers.Add("x-api-key", key);
        return await server.Client.SendAsync(request);
    }

    private static DefaultHttpContext Of(string key) => new() { Request = { Headers = { Authorization = "Bearer " + key } } };

    private sealed class ManualTime : TimeProvider
    {
        public TimeSpan Now { get; set; }

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => Now.Ticks;
    }
}
