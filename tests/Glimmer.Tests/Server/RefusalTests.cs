using System.Diagnostics;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Glimmer.Server;

namespace Glimmer.Tests.Server;

/// <summary>What no API takes, refused by each in its own shape: keys, types, sizes, speeds, depths, schemas, images.</summary>
public class RefusalTests
{
    private const long Hundred = 100L << 20;
    private static readonly ServerOptions s_options = new() { ModelNames = ["glm-4.7"] };

    /// <summary>A path, and a body with a place for one more member.</summary>
    public static TheoryData<string, string> Dialects() => new()
    {
        { "/v1/chat/completions", """{"model":"glm-4.7","messages":[{"role":"user","content":"?"}]MORE}""" },
        { "/v1/completions", """{"model":"glm-4.7","prompt":"?"MORE}""" },
        { "/v1/responses", """{"model":"glm-4.7","input":"?"MORE}""" },
        { "/v1/messages", """{"model":"glm-4.7","max_tokens":5,"messages":[{"role":"user","content":"?"}]MORE}""" },
        { "/v1beta/models/glm-4.7:generateContent", """{"contents":[{"parts":[{"text":"?"}]}]MORE}""" },
        { "/generate", """{"text":"?"MORE}""" },
    };

    [Theory]
    [MemberData(nameof(Dialects))]
    public async Task A_wrong_key_and_none(string path, string body)
    {
        await using WireServer server = await WireServer.StartAsync("Lima.", s_options with { ApiKeys = ["right"] });
        body = body.Replace("MORE", "", StringComparison.Ordinal);
        await RefusedAsync(server, path, 401, new StringContent(body, Encoding.UTF8, "application/json"));
        foreach (string header in (string[])["Authorization", "x-api-key", "x-goog-api-key"])
        {
            foreach (string key in (string[])["wrong", "right"])
            {
                using var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = new StringContent(body, Encoding.UTF8, "application/json") };
                request.Headers.TryAddWithoutValidation(header, header == "Authorization" ? "Bearer " + key : key);
                using HttpResponseMessage response = await server.Client.SendAsync(request);
                Assert.Equal(key == "right" ? HttpStatusCode.OK : HttpStatusCode.Unauthorized, response.StatusCode);
                Assert.DoesNotContain(key, await response.Content.ReadAsStringAsync(), StringComparison.Ordinal);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Dialects))]
    public async Task Truncated_JSON_other_content_and_deep_JSON(string path, string body)
    {
        await using WireServer server = await WireServer.StartAsync("Lima.", s_options);
        string whole = body.Replace("MORE", "", StringComparison.Ordinal);
        await RefusedAsync(server, path, 400, Json(whole[..^1]));
        await RefusedAsync(server, path, 400, new FormUrlEncodedContent([new("model", "glm-4.7")]));
        await RefusedAsync(server, path, 400, new ByteArrayContent([0x89, 0x50, 0x4e, 0x47, 0xff, 0xfe]) { Headers = { ContentType = new("image/png") } });
        await RefusedAsync(server, path, 400, Json(body.Replace("MORE", ",\"x\":" + new string('[', 70) + new string(']', 70), StringComparison.Ordinal)));

        // JSON is read whatever its type is said to be: clients say many.
        using HttpResponseMessage plain = await server.Client.PostAsync(path, new StringContent(whole, Encoding.UTF8, "text/plain"));
        Assert.Equal(HttpStatusCode.OK, plain.StatusCode);
    }

    [Theory]
    [MemberData(nameof(Dialects))]
    public async Task A_body_of_100_MB_is_refused(string path, string body)
    {
        await using WireServer server = await WireServer.StartAsync("Lima.", s_options);
        Assert.NotEmpty(body);
        // With its length said beforehand it is refused before it comes.
        using Socket told = await ConnectAsync(server);
        await told.SendAsync(Encoding.ASCII.GetBytes($"POST {path} HTTP/1.1\r\nHost: {server.Address.Authority}\r\nContent-Type: application/json\r\nContent-Length: {Hundred}\r\n\r\n"));
        Assert.StartsWith("HTTP/1.1 413", await ReceiveAsync(told), StringComparison.Ordinal);

        // In chunks nobody knows how many come: it is refused at the limit of 64 MiB.
        using Socket chunked = await ConnectAsync(server);
        await chunked.SendAsync(Encoding.ASCII.GetBytes($"POST {path} HTTP/1.1\r\nHost: {server.Address.Authority}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"));
        Task<string> answer = ReceiveAsync(chunked);
        byte[] chunk = Encoding.ASCII.GetBytes($"10000\r\n{new string(' ', 1 << 16)}\r\n");
        long sent = 0;
        try
        {
            for (; sent < Hundred && !answer.IsCompleted; sent += 1 << 16)
                await chunked.SendAsync(chunk);
        }
        catch (SocketException)
        {
            // The server has answered and closed the connection.
        }

        Assert.StartsWith("HTTP/1.1 413", await answer, StringComparison.Ordinal);
        Assert.InRange(sent, 64L << 20, 96L << 20);
    }

    [Fact]
    public async Task A_body_that_comes_too_slowly_is_refused_within_seconds()
    {
        await using WireServer server = await WireServer.StartAsync("Lima.", s_options);
        await Task.WhenAll(Dialects().Select(row => DripAsync(server, (string)row[0])));
    }

    [Theory]
    [InlineData("/v1/chat/completions", """{"type":"function","function":{"name":"fN"}}""", ""","tools":[ITEMS]""")]
    [InlineData("/v1/responses", """{"type":"function","name":"fN"}""", ""","tools":[ITEMS]""")]
    [InlineData("/v1/messages", """{"name":"fN","input_schema":{"type":"object"}}""", ""","tools":[ITEMS]""")]
    [InlineData("/v1beta/models/glm-4.7:generateContent", """{"name":"fN"}""", ""","tools":[{"functionDeclarations":[ITEMS]}]""")]
    public async Task Ten_thousand_tools(string path, string tool, string member)
    {
        await using WireServer server = await WireServer.StartAsync("Lima.", s_options);
        string items = string.Join(',', Enumerable.Range(0, 10_000).Select(i => tool.Replace("fN", "f" + i, StringComparison.Ordinal)));
        string error = await RefusedAsync(server, path, 400, Json(BodyOf(path, member.Replace("ITEMS", items, StringComparison.Ordinal))));
        Assert.Contains("1024", error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("/v1/chat/completions", ""","response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{"type":"nothing"}}}""")]
    [InlineData("/v1/completions", ""","guided_json":{"type":"nothing"}""")]
    [InlineData("/v1/responses", ""","text":{"format":{"type":"json_schema","name":"a","schema":{"type":"nothing"}}}""")]
    [InlineData("/v1/messages", ""","output_config":{"format":{"type":"json_schema","schema":{"type":"nothing"}}}""")]
    [InlineData("/v1beta/models/glm-4.7:generateContent", ""","generationConfig":{"responseMimeType":"application/json","responseJsonSchema":{"type":"nothing"}}""")]
    [InlineData("/generate", ""","sampling_params":{"json_schema":"{\"type\":\"nothing\"}"}""")]
    public async Task A_schema_that_is_none(string path, string member)
    {
        await using WireServer server = await WireServer.StartAsync("Lima.", s_options);
        await RefusedAsync(server, path, 400, Json(BodyOf(path, member)));
    }

    [Theory]
    [InlineData("/v1/chat/completions", """{"model":"glm-4.7","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"http://192.0.2.1/a.png"}}]}]}""", "messages")]
    [InlineData("/v1/responses", """{"model":"glm-4.7","input":[{"role":"user","content":[{"type":"input_image","image_url":"http://192.0.2.1/a.png"}]}]}""", "image")]
    [InlineData("/v1/messages", """{"model":"glm-4.7","max_tokens":5,"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}}]}]}""", "image")]
    [InlineData("/v1beta/models/glm-4.7:generateContent", """{"contents":[{"parts":[{"inlineData":{"mimeType":"image/png","data":"AAAA"}}]}]}""", "image/png")]
    [InlineData("/generate", """{"text":"?","image_data":"AAAA"}""", "image_data")]
    public async Task Images(string path, string body, string named)
    {
        await using WireServer server = await WireServer.StartAsync("Lima.", s_options);
        Assert.Contains(named, await RefusedAsync(server, path, 400, Json(body)), StringComparison.Ordinal);
    }

    private static string BodyOf(string path, string more) => ((string)Dialects().Single(row => (string)row[0] == path)[1]).Replace("MORE", more, StringComparison.Ordinal);

    private static async Task DripAsync(WireServer server, string path)
    {
        using Socket socket = await ConnectAsync(server);
        await socket.SendAsync(Encoding.ASCII.GetBytes($"POST {path} HTTP/1.1\r\nHost: {server.Address.Authority}\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n"));
        using var stop = new CancellationTokenSource();
        Task drip = Task.Run(async () =>
        {
            try
            {
                while (!stop.IsCancellationRequested)
                {
                    await socket.SendAsync(new byte[] { (byte)' ' });
                    await Task.Delay(100);
                }
            }
            catch (SocketException)
            {
                // The server has closed the connection.
            }
        });
        var watch = Stopwatch.StartNew();
        string answer = await ReceiveAsync(socket);
        Assert.InRange(watch.Elapsed.TotalSeconds, 2, 50);
        Assert.StartsWith("HTTP/1.1 408", answer, StringComparison.Ordinal);
        await stop.CancelAsync();
        await drip;
    }

    private static async Task<Socket> ConnectAsync(WireServer server)
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(server.Address.Host, server.Address.Port);
        return socket;
    }

    private static async Task<string> ReceiveAsync(Socket socket)
    {
        var buffer = new byte[4096];
        return Encoding.ASCII.GetString(buffer, 0, await socket.ReceiveAsync(buffer).WaitAsync(TimeSpan.FromSeconds(60)));
    }

    private static StringContent Json(string body) => new(body, Encoding.UTF8, "application/json");

    // The status, and an error in the shape of the path's API.
    private static async Task<string> RefusedAsync(WireServer server, string path, int status, HttpContent content)
    {
        using HttpResponseMessage response = await server.Client.PostAsync(path, content);
        string text = await response.Content.ReadAsStringAsync();
        Assert.True((int)response.StatusCode == status, $"{path}: {(int)response.StatusCode} instead of {status}: {text[..Math.Min(text.Length, 300)]}");
        Assert.True(response.Headers.Contains("x-request-id"));
        JsonElement error = JsonDocument.Parse(text).RootElement.GetProperty("error");
        Assert.NotEmpty(error.GetProperty("message").GetString()!);
        if (path == "/v1/messages")
            Assert.Equal(status switch { 401 => "authentication_error", 413 => "request_too_large", _ => "invalid_request_error" }, error.GetProperty("type").GetString());
        else if (path.StartsWith("/v1beta", StringComparison.Ordinal))
            Assert.Equal(status, error.GetProperty("code").GetInt32());
        else if (path != "/generate")
            Assert.Equal(status == 401 ? "authentication_error" : "invalid_request_error", error.GetProperty("type").GetString());
        return text;
    }
}
