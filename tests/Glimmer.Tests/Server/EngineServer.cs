using System.Text;
using System.Text.Json;
using Glimmer.Inference;
using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Server;
using Glimmer.Server.Turns;
using Glimmer.Tests.Training;
using Glimmer.Training;

namespace Glimmer.Tests.Server;

/// <summary>A server on loopback with a real engine on a random model of a few thousand weights.</summary>
internal sealed class EngineServer : IAsyncDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly LoadedModel _model;
    private GlimmerServer? _server;

    private EngineServer(EngineOptions options, string? adapter)
    {
        _model = LoadedModel.Open(NewModel("model", 1), threads: 1);
        if (adapter is not null)
            options = options with { Adapters = new Dictionary<string, string> { [adapter] = NewAdapter() } };
        Engine = new Engine(_model, options);
    }

    /// <summary>The engine.</summary>
    public Engine Engine { get; }

    /// <summary>A client of the server.</summary>
    public HttpClient Client { get; } = new() { Timeout = TimeSpan.FromMinutes(2) };

    /// <summary>Starts a server.</summary>
    /// <param name="options">How the engine runs.</param>
    /// <param name="adapter">Name of an adapter to load; null for none.</param>
    public static async Task<EngineServer> StartAsync(EngineOptions? options = null, string? adapter = null)
    {
        var server = new EngineServer(options ?? new EngineOptions(), adapter);
        server._server = await GlimmerServer.StartAsync(new ServerOptions { ModelNames = ["glm-4.7"], Port = 0 });
        server._server.Use(new ServedModel(server._model, server.Engine) { Template = SmallVocabulary.Template, StopTokens = [] });
        server.Client.BaseAddress = server._server.Address;
        return server;
    }

    /// <summary>Writes other weights of the same shape.</summary>
    /// <returns>Their folder.</returns>
    public string NewModel(string name, ulong seed)
    {
        string config = TinyRun.GroupedQuery.Replace("\"vocab_size\": 40", $"\"vocab_size\": {SmallVocabulary.Tokenizer.VocabularySize}", StringComparison.Ordinal)
            .Replace("\"max_position_embeddings\": 64", "\"max_position_embeddings\": 8192", StringComparison.Ordinal);
        string folder = _folder[name];
        ModelInitializer.Write(config, folder, seed);
        SmallVocabulary.Write(folder);
        return folder;
    }

    /// <summary>Posts JSON and reads a JSON answer.</summary>
    public async Task<JsonElement> PostAsync(string path, string json)
    {
        using HttpResponseMessage response = await Client.PostAsync(path, Json(json));
        string text = await response.Content.ReadAsStringAsync();
        Assert.True(response.IsSuccessStatusCode, text);
        return JsonDocument.Parse(text).RootElement;
    }

    /// <summary>A body.</summary>
    public static StringContent Json(string json) => new(json, Encoding.UTF8, "application/json");

    /// <summary>Waits until something holds.</summary>
    public static async Task Until(Func<bool> holds)
    {
        for (int i = 0; !holds(); i++)
        {
            Assert.True(i < 6000, "it never happened");
            await Task.Delay(10);
        }
    }

    /// <summary>Waits until nothing runs or waits, and checks that no page is held.</summary>
    public async Task AssertIdleWithoutPagesAsync()
    {
        await Until(() => Engine.Statistics is { Running: 0, Waiting: 0 });
        await Engine.FlushCacheAsync();
        Assert.Equal(0, Engine.Statistics.BlocksInUse);
    }

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await _server!.DisposeAsync();
        Engine.Dispose();
        _model.Dispose();
        _folder.Dispose();
    }

    private string NewAdapter()
    {
        using LoraAdapter adapter = LoraAdapter.Create(_model.Model, new LoraOptions { Rank = 4, Alpha = 8, TargetModules = ["q_proj", "v_proj"], Seed = 1 });
        var random = new Random(1);
        foreach (Parameter parameter in adapter.Parameters)
        {
            foreach (ref float value in parameter.Value!.F32)
                value = (float)(random.NextDouble() - 0.5);
        }

        string folder = Directory.CreateDirectory(_folder["adapter"]).FullName;
        adapter.Save(folder);
        return folder;
    }
}
