using System.Net;
using System.Text;
using System.Text.Json;
using Glimmer.Chat;
using Glimmer.Inference;
using Glimmer.Server;
using Glimmer.Server.Turns;
using Glimmer.Tokenization;
using Microsoft.Extensions.Logging;

namespace Glimmer.Tests.Server;

/// <summary>A server on loopback whose tokens come from a script.</summary>
internal sealed class WireServer : IAsyncDisposable
{
    private readonly GlimmerServer _server;

    private WireServer(GlimmerServer server, ScriptedTokens tokens)
    {
        (_server, Tokens) = (server, tokens);
        Client = new HttpClient { BaseAddress = server.Address, Timeout = TimeSpan.FromMinutes(1) };
    }

    /// <summary>A client of the server.</summary>
    public HttpClient Client { get; }

    /// <summary>Where the tokens come from.</summary>
    public ScriptedTokens Tokens { get; }

    /// <summary>The server's address.</summary>
    public Uri Address => _server.Address;

    /// <summary>Starts a server whose answers are the given text, with markers as tokens, and a stop token.</summary>
    public static Task<WireServer> StartAsync(string answer, ServerOptions? options = null, int context = 131072) => StartAsync((_, _) => Answer(answer), options, context);

    /// <summary>Starts a server.</summary>
    public static async Task<WireServer> StartAsync(
        Func<GenerationRequest, int, ScriptedAnswer> script, ServerOptions? options = null, int context = 131072, Tokenizer? tokenizer = null, ChatTemplate? template = null,
        Action<ILoggingBuilder>? logging = null)
    {
        tokenizer ??= SmallVocabulary.Tokenizer;
        var tokens = new ScriptedTokens(context, script);
        GlimmerServer server = await GlimmerServer.StartAsync((options ?? new ServerOptions { ModelNames = ["glm-4.7"] }) with { Port = 0 }, logging);
        server.Use(new ServedModel(tokenizer, template ?? SmallVocabulary.Template, tokens) { StopTokens = StopsOf(tokenizer) });
        return new WireServer(server, tokens);
    }

    /// <summary>The tokens that end a GLM turn.</summary>
    public static IReadOnlyCollection<int> StopsOf(Tokenizer tokenizer) => [.. ((string[])["<|endoftext|>", "<|user|>", "<|observation|>"]).Select(token => tokenizer.TokenToId(token)!.Value)];

    /// <summary>An answer of text, with markers as tokens, that ends by itself.</summary>
    public static ScriptedAnswer Answer(string text, Tokenizer? tokenizer = null, string end = "<|user|>")
    {
        tokenizer ??= SmallVocabulary.Tokenizer;
        return new ScriptedAnswer([.. tokenizer.Encode(text, EncodeOptions.RenderedPrompt), tokenizer.TokenToId(end)!.Value]);
    }

    /// <summary>Posts JSON and reads a JSON answer.</summary>
    public async Task<(HttpStatusCode Status, JsonElement Body)> PostAsync(string path, string json)
    {
        using HttpResponseMessage response = await Client.PostAsync(path, new StringContent(json, Encoding.UTF8, "application/json"));
        return (response.StatusCode, JsonDocument.Parse(await response.Content.ReadAsStringAsync()).RootElement);
    }

    /// <summary>Posts JSON and reads the data of an event stream.</summary>
    public async Task<List<string>> StreamAsync(string path, string json)
    {
        using HttpResponseMessage response = await Client.PostAsync(path, new StringContent(json, Encoding.UTF8, "application/json"));
        string text = await response.Content.ReadAsStringAsync();
        Assert.True(response.IsSuccessStatusCode, text);
        Assert.Equal("text/event-stream", response.Content.Headers.ContentType!.MediaType);
        return DataOf(text);
    }

    /// <summary>The data of the events in a stream; comments are skipped.</summary>
    public static List<string> DataOf(string text)
    {
        Assert.EndsWith("\n\n", text, StringComparison.Ordinal);
        return [.. text.Split("\n\n", StringSplitOptions.RemoveEmptyEntries).Where(item => item[0] != ':')
            .Select(item => item.Split('\n').Single(line => line.StartsWith("data: ", StringComparison.Ordinal))["data: ".Length..])];
    }

    /// <summary>Stops the server; the test's clients live on.</summary>
    public Task StopAsync() => _server.DisposeAsync().AsTask();

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await _server.DisposeAsync();
    }
}
