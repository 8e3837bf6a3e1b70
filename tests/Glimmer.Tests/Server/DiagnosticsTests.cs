using System.Collections.Concurrent;
using System.Text;
using System.Text.Json;
using Glimmer.Server;
using Glimmer.Server.Diagnostics;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Glimmer.Tests.Server;

/// <summary>Logs, traces and metrics say what happened, and no prompts or keys unless they are to.</summary>
public class DiagnosticsTests
{
    private const string Question = """{"model":"glm-4.7","messages":[{"role":"user","content":"Capital of Peru?"}]}""";

    [Fact]
    public async Task A_collector_gets_spans_and_metrics_without_prompts()
    {
        var received = new ConcurrentQueue<(string Path, string Body)>();
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().UseUrls("http://127.0.0.1:0");
        await using WebApplication collector = builder.Build();
        collector.Run(async context =>
        {
            using var body = new MemoryStream();
            await context.Request.Body.CopyToAsync(body);
            received.Enqueue((context.Request.Path, Encoding.Latin1.GetString(body.ToArray())));
        });
        await collector.StartAsync();

        WireServer server = await WireServer.StartAsync("I say Lima.</think>Lima.", new ServerOptions { ModelNames = ["glm-4.7"], OtlpEndpoint = new Uri(collector.Urls.First()) });
        await server.PostAsync("/v1/chat/completions", Question);
        await server.DisposeAsync(); // Sends what is left.

        string traces = string.Concat(received.Where(item => item.Path == "/v1/traces").Select(item => item.Body));
        string metrics = string.Concat(received.Where(item => item.Path == "/v1/metrics").Select(item => item.Body));
        foreach (string expected in (string[])["chat glm-4.7", "gen_ai.usage.output_tokens", "gen_ai.response.finish_reasons", "glimmer.dialect", "service.name"])
            Assert.Contains(expected, traces, StringComparison.Ordinal);
        foreach (string expected in (string[])["gen_ai.server.request.duration", "gen_ai.server.time_to_first_token", "gen_ai.client.token.usage", "glimmer.kv_cache.usage", "http.server.request.duration"])
            Assert.Contains(expected, metrics, StringComparison.Ordinal);
        Assert.DoesNotContain("Peru", traces + metrics, StringComparison.Ordinal);
        Assert.DoesNotContain("Lima", traces + metrics, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(RequestLogging.Off, false, false)]
    [InlineData(RequestLogging.Metadata, true, false)]
    [InlineData(RequestLogging.Sampling, true, false)]
    [InlineData(RequestLogging.Contents, true, true)]
    public async Task Requests_are_logged_as_fields_and_contents_only_when_asked_for(RequestLogging level, bool hasLine, bool hasContents)
    {
        var log = new LogLines();
        await using (WireServer server = await WireServer.StartAsync(
            (_, _) => WireServer.Answer("I say Lima.</think>Lima."), new ServerOptions { ModelNames = ["glm-4.7"], RequestLogging = level, ApiKeys = ["secret-key"] },
            logging: logging => logging.SetMinimumLevel(LogLevel.Information).AddProvider(log)))
        {
            server.Client.DefaultRequestHeaders.Add("x-api-key", "secret-key");
            await server.PostAsync("/v1/chat/completions?key=secret-key", Question);
        }

        string all = string.Join('\n', log.Lines.Select(line => line.Text));
        Assert.Equal(hasLine, log.Lines.Any(line => line.Fields.Any(field => field is { Key: "end", Value: "Stop" }) && line.Fields.Any(field => field is { Key: "dialect", Value: "openai" })));
        Assert.Equal(hasContents, all.Contains("Capital of Peru?", StringComparison.Ordinal));
        Assert.Equal(hasContents, all.Contains("I say Lima.", StringComparison.Ordinal));
        Assert.DoesNotContain("secret-key", all, StringComparison.Ordinal);
    }

    [SkippableFact]
    public async Task Metrics_have_the_recorded_names_types_and_buckets_and_move()
    {
        Fixtures.SkipIfAbsent(WireFixtures.Folder ?? "");
        await using WireServer server = await WireServer.StartAsync("Lima.");
        await server.PostAsync("/v1/chat/completions", Question);
        string page = await server.Client.GetStringAsync("/metrics");
        JsonElement recorded = JsonDocument.Parse(File.ReadAllText(Path.Combine(WireFixtures.Folder!, "metrics.json"))).RootElement;
        var wrong = new List<string>();
        foreach (JsonElement metric in recorded.GetProperty("metrics").EnumerateArray().Where(metric => metric.GetProperty("in_spec_11_4").GetBoolean()))
        {
            string name = metric.GetProperty("exposed").GetString()!, type = metric.GetProperty("type").GetString()!;
            if (!page.Contains($"# TYPE {name} {type}\n", StringComparison.Ordinal))
            {
                wrong.Add($"{name} {type}");
                continue;
            }

            if (metric.TryGetProperty("buckets", out JsonElement buckets) && buckets.ValueKind == JsonValueKind.Array)
            {
                string[] bounds = [.. page.Split('\n').Where(line => line.StartsWith(name + "_bucket{", StringComparison.Ordinal)).Select(line => line.Split("le=\"")[1].Split('"')[0]).Where(bound => bound != "+Inf")];
                double[] expected = [.. buckets.EnumerateArray().Where(bound => bound.ValueKind == JsonValueKind.Number).Select(bound => bound.GetDouble())];
                if (!expected.SequenceEqual(bounds.Select(bound => double.Parse(bound, System.Globalization.CultureInfo.InvariantCulture))))
                    wrong.Add($"{name}: buckets {string.Join(' ', bounds)}, recorded {string.Join(' ', expected)}");
            }
        }

        Assert.True(wrong.Count == 0, string.Join('\n', wrong));
        foreach (string moved in (string[])["sglang:num_requests_total", "vllm:generation_tokens_total", "sglang:e2e_request_latency_seconds_count", "vllm:request_success_total"])
            Assert.Contains(page.Split('\n'), line => line.StartsWith(moved + "{", StringComparison.Ordinal) && !line.EndsWith(" 0", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Metrics_on_a_port_of_their_own_are_there_only()
    {
        using var free = new System.Net.Sockets.TcpListener(System.Net.IPAddress.Loopback, 0);
        free.Start();
        int port = ((System.Net.IPEndPoint)free.LocalEndpoint).Port;
        free.Stop();
        await using WireServer server = await WireServer.StartAsync("Lima.", new ServerOptions { ModelNames = ["glm-4.7"], MetricsPort = port });
        Assert.NotEqual(port, server.Address.Port);
        (System.Net.HttpStatusCode status, _) = await server.PostAsync("/v1/chat/completions", Question);
        Assert.Equal(System.Net.HttpStatusCode.OK, status);
        using HttpResponseMessage absent = await server.Client.GetAsync("/metrics");
        Assert.Equal(System.Net.HttpStatusCode.NotFound, absent.StatusCode);
        using var other = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{port}") };
        Assert.Contains("glimmer:http_responses_total{model_name=\"glm-4.7\",dialect=\"openai\",endpoint=\"/v1/chat/completions\",status=\"200\"} 1\n", await other.GetStringAsync("/metrics"), StringComparison.Ordinal);
        Assert.Equal("ok\n", await other.GetStringAsync("/health"));
        using HttpResponseMessage elsewhere = await other.GetAsync("/v1/models");
        Assert.Equal(System.Net.HttpStatusCode.NotFound, elsewhere.StatusCode);
    }

    private sealed class LogLines : ILoggerProvider, ILogger
    {
        public ConcurrentQueue<(string Text, List<KeyValuePair<string, object?>> Fields)> Lines { get; } = new();

        public ILogger CreateLogger(string categoryName) => this;

        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            Lines.Enqueue((formatter(state, exception), state is IEnumerable<KeyValuePair<string, object?>> fields ? [.. fields] : []));

        public void Dispose()
        {
        }
    }
}
