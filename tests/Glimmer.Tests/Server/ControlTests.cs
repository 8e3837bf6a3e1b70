using System.Net;
using System.Text.Json;
using Glimmer.Inference;

namespace Glimmer.Tests.Server;

/// <summary>What trainers do to a running server: abort, pause in three ways, flush, replace the weights.</summary>
public class ControlTests
{
    private const string Long = """{"input_ids":[1,2,3],"rid":"r1","sampling_params":{"max_new_tokens":6000,"ignore_eos":true,"temperature":0}}""";
    private const string Short = """{"input_ids":[1,2,3],"sampling_params":{"max_new_tokens":8,"ignore_eos":true,"temperature":0}}""";

    [Fact]
    public async Task An_aborted_request_answers_with_its_tokens_so_far()
    {
        await using EngineServer server = await EngineServer.StartAsync();
        Task<JsonElement> running = server.PostAsync("/generate", Long);
        await EngineServer.Until(() => server.Engine.Statistics.GeneratedTokens > 3);
        await server.PostAsync("/abort_request", """{"rid":"r"}""");
        JsonElement answer = await running;
        Assert.Equal("abort", answer.GetProperty("meta_info").GetProperty("finish_reason").GetProperty("type").GetString());
        Assert.InRange(answer.GetProperty("output_ids").GetArrayLength(), 1, 5999);
        await server.PostAsync("/abort_request", """{"rid":"nobody"}""");
        await server.AssertIdleWithoutPagesAsync();
    }

    [Theory]
    [InlineData("abort", "abort")]
    [InlineData("retract", "length")]
    [InlineData("in_place", "length")]
    public async Task A_pause_ends_requests_or_keeps_them_and_new_ones_wait(string mode, string finish)
    {
        await using EngineServer server = await EngineServer.StartAsync();
        int[] expected = Ids(await server.PostAsync("/generate", Long));
        Assert.Equal(6000, expected.Length);
        long before = server.Engine.Statistics.GeneratedTokens;
        Task<JsonElement> running = server.PostAsync("/generate", Long);
        await EngineServer.Until(() => server.Engine.Statistics.GeneratedTokens > before + 3);
        await server.PostAsync("/pause_generation", $$"""{"mode":"{{mode}}"}""");
        Task<JsonElement> waiting = server.PostAsync("/generate", Short);
        await EngineServer.Until(() => server.Engine.Statistics.Waiting >= 1);
        using (HttpResponseMessage busy = await server.Client.PostAsync("/flush_cache", null))
            Assert.Equal(HttpStatusCode.BadRequest, busy.StatusCode);
        Assert.False(waiting.IsCompleted);
        await server.PostAsync("/continue_generation", "{}");
        JsonElement answer = await running;
        Assert.Equal(finish, answer.GetProperty("meta_info").GetProperty("finish_reason").GetProperty("type").GetString());
        Assert.Equal(expected.Take(answer.GetProperty("output_ids").GetArrayLength()), Ids(answer));
        Assert.Equal(expected.Take(8), Ids(await waiting));
        using HttpResponseMessage idle = await server.Client.PostAsync("/flush_cache", null);
        Assert.Equal(HttpStatusCode.OK, idle.StatusCode);
    }

    [Fact]
    public async Task Other_weights_have_another_version_and_an_empty_cache_and_a_failure_changes_nothing()
    {
        await using EngineServer server = await EngineServer.StartAsync();
        string prompt = string.Join(',', Enumerable.Range(0, 200));
        string body = $$$"""{"input_ids":[{{{prompt}}}],"sampling_params":{"max_new_tokens":8,"ignore_eos":true,"temperature":0}}""";
        JsonElement old = await server.PostAsync("/generate", body);
        Assert.True(Cached(await server.PostAsync("/generate", body)) > 0);

        using (HttpResponseMessage missing = await UpdateAsync(server, "/no/such/folder"))
        {
            Assert.Equal(HttpStatusCode.BadRequest, missing.StatusCode);
            Assert.False(JsonDocument.Parse(await missing.Content.ReadAsStringAsync()).RootElement.GetProperty("success").GetBoolean());
        }

        JsonElement same = await server.PostAsync("/generate", body);
        Assert.Equal(Ids(old), Ids(same));
        Assert.Equal("default", same.GetProperty("meta_info").GetProperty("weight_version").GetString());

        using (HttpResponseMessage replaced = await UpdateAsync(server, server.NewModel("other", 2)))
            Assert.Equal(HttpStatusCode.OK, replaced.StatusCode);
        JsonElement other = await server.PostAsync("/generate", body);
        Assert.Equal("v2", other.GetProperty("meta_info").GetProperty("weight_version").GetString());
        Assert.Equal(0, Cached(other));
        Assert.NotEqual(Ids(old), Ids(other));
        Assert.Equal("v2", JsonDocument.Parse(await server.Client.GetStringAsync("/get_model_info")).RootElement.GetProperty("weight_version").GetString());
    }

    [Fact]
    public async Task Released_memory_is_given_back_and_requests_wait_until_it_is_resumed()
    {
        await using EngineServer server = await EngineServer.StartAsync();
        int[] expected = Ids(await server.PostAsync("/generate", Short));
        Task<JsonElement> running = server.PostAsync("/generate", Long);
        await EngineServer.Until(() => server.Engine.Statistics.Running > 0);
        using (HttpResponseMessage busy = await server.Client.PostAsync("/release_memory_occupation", null))
            Assert.Equal(HttpStatusCode.BadRequest, busy.StatusCode);
        await server.PostAsync("/abort_request", """{"abort_all":true}""");
        await running;
        await EngineServer.Until(() => server.Engine.Statistics.Running == 0);

        string released = (await server.PostAsync("/release_memory_occupation", """{"tags":["kv_cache"]}""")).GetProperty("message").GetString()!;
        Assert.Matches("^[1-9]", released); // some KiB, or more when the long request came far
        Assert.Equal(0, server.Engine.Statistics.BlocksInUse);
        Task<JsonElement> waiting = server.PostAsync("/generate", Short);
        await EngineServer.Until(() => server.Engine.Statistics.Waiting == 1);
        Assert.False(waiting.IsCompleted);
        await server.PostAsync("/resume_memory_occupation", "{}");
        Assert.Equal(expected, Ids(await waiting));

        Assert.Contains("Nothing is released", (await server.PostAsync("/release_memory_occupation", """{"tags":["weights"]}""")).GetProperty("message").GetString(), StringComparison.Ordinal);
        Assert.Equal(expected, Ids(await server.PostAsync("/generate", Short)));
        using HttpResponseMessage unknown = await server.Client.PostAsync("/release_memory_occupation", EngineServer.Json("""{"tags":["heap"]}"""));
        Assert.Equal(HttpStatusCode.BadRequest, unknown.StatusCode);
    }

    private static Task<HttpResponseMessage> UpdateAsync(EngineServer server, string folder) =>
        server.Client.PostAsync("/update_weights_from_disk", EngineServer.Json($$"""{"model_path":{{JsonSerializer.Serialize(folder)}},"weight_version":"v2"}"""));

    private static int Cached(JsonElement answer) => answer.GetProperty("meta_info").GetProperty("cached_tokens").GetInt32();

    private static int[] Ids(JsonElement answer) => [.. answer.GetProperty("output_ids").EnumerateArray().Select(id => id.GetInt32())];
}
