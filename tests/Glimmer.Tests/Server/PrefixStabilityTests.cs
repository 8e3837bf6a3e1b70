using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Glimmer.Chat;
using Glimmer.Inference;
using Glimmer.Server;
using Glimmer.Server.Turns;
using Glimmer.Tests.Training;
using Glimmer.Tokenization;
using Glimmer.Training;
using Xunit.Abstractions;

namespace Glimmer.Tests.Server;

/// <summary>
/// Conversations recorded from real clients, each answer as the client got it, replayed on a real engine and its prefix cache: the next prompt begins with the last prompt and answer, except where
/// a client keeps the reasoning to itself or a template writes an answer in another way than the model did.
/// </summary>
public sealed class PrefixStabilityTests(PrefixStabilityTests.Shared shared, ITestOutputHelper output) : IClassFixture<PrefixStabilityTests.Shared>
{
    private const int Page = 64;
    private static readonly string s_recordings = Path.Combine(Fixtures.Repository, "tests", "Glimmer.Tests", "Server", "recordings");

    // Clients that do not send the reasoning back as they got it. The JavaScript SDK of OpenAI keeps the last delta of a field that it does not know.
    private static readonly string[] s_forgetful = ["gemini-cli /v1beta", "sdk-js /v1/chat/completions", "sdk-js /v1/models"];

    // Templates of models that write an answer just as these render it.
    private static readonly string[] s_exact = ["glm-4.7", "glm-5", "glm-5.1", "glm-5.2"];

    public static TheoryData<string, string> Conversations() => Rows("glm-4.7", "glm-5", "glm-5.2");

    public static TheoryData<string, string> MoreConversations() => Rows("glm-4.5", "glm-4.6", "glm-5.1");

    [SkippableTheory]
    [MemberData(nameof(Conversations))]
    public Task The_next_prompt_takes_the_last_turn_from_the_cache(string template, string client) => ReplayAsync(template, client);

    [SkippableTheory]
    [Trait("Category", "Slow")]
    [MemberData(nameof(MoreConversations))]
    public Task The_next_prompt_takes_the_last_turn_from_the_cache_under_more_templates(string template, string client) => ReplayAsync(template, client);

    private static TheoryData<string, string> Rows(params string[] templates)
    {
        var rows = new TheoryData<string, string>();
        foreach (string template in templates)
        {
            foreach (string client in (string[])["claude-code", "cline", "codex", "gemini-cli", "opencode", "opencode-anthropic", "sdk-js"])
                rows.Add(template, client);
        }

        return rows;
    }

    private async Task ReplayAsync(string template, string client)
    {
        Fixtures.SkipIfAbsent(WireFixtures.Folder ?? "");
        Tokenizer tokenizer = WireFixtures.Tokenizer;
        string answer = "";
        var source = new ForcedTokens(shared.Engine, request => Answer(tokenizer, request, answer));
        await using GlimmerServer server = await GlimmerServer.StartAsync(new ServerOptions { ModelNames = ["glm-4.7"], Port = 0 });
        server.Use(new ServedModel(tokenizer, new ChatTemplate(File.ReadAllText(Path.Combine(Fixtures.Folder("chat")!, "templates", template + ".jinja"))), source) { StopTokens = WireServer.StopsOf(tokenizer) });
        using var http = new HttpClient { BaseAddress = server.Address };
        var last = new Dictionary<string, int>(); // By path and tools: the turn that the next one continues.
        int followUps = 0;
        foreach (string line in File.ReadLines(Path.Combine(s_recordings, client + ".jsonl")))
        {
            JsonElement row = JsonDocument.Parse(line).RootElement;
            JsonElement body = row.GetProperty("body");
            answer = row.GetProperty("answer").GetString()!;
            string path = row.GetProperty("path").GetString()!;
            string conversation = path + (body.TryGetProperty("tools", out JsonElement tools) ? tools.GetRawText() : "");
            bool goesOn = last.TryGetValue(conversation, out int before);
            if (!goesOn)
                await shared.Engine.FlushCacheAsync(); // Nothing of other conversations.
            using HttpResponseMessage response = await http.PostAsync(path, new StringContent(body.GetRawText(), Encoding.UTF8, "application/json"));
            string text = await response.Content.ReadAsStringAsync();
            Assert.True(response.IsSuccessStatusCode, text);
            int turn = source.Turns.Count - 1;
            if (goesOn)
            {
                bool isForgetful = s_forgetful.Any(start => $"{client} {path}".StartsWith(start, StringComparison.Ordinal));
                Check(tokenizer, source.Turns[before], source.Turns[turn], !isForgetful && s_exact.Contains(template), $"{template} {client} {path} turn {turn}", text);
                followUps++;
            }

            if (tools.ValueKind == JsonValueKind.Array)
                last[conversation] = turn;
        }

        Assert.Equal(client == "sdk-js" ? 8 : 2, followUps);
    }

    private void Check(Tokenizer tokenizer, (int[] Prompt, int[] Answer, ITokenStream Stream) before, (int[] Prompt, int[] Answer, ITokenStream Stream) now, bool isWhole, string what, string response)
    {
        int[] turn = [.. before.Prompt, .. before.Answer];
        int common = now.Prompt.AsSpan().CommonPrefixLength(turn);
        int cached = now.Stream.CachedTokens;
        string prompt = tokenizer.Decode(before.Prompt), text = tokenizer.Decode(turn), next = tokenizer.Decode(now.Prompt);
        int same = text.AsSpan().CommonPrefixLength(next);
        output.WriteLine($"{what}: {before.Prompt.Length} + {before.Answer.Length} tokens, {common} in common, {cached} cached");

        // The cache gives what the prompts have in common, and the API says so.
        Assert.InRange(cached, common - Page + 1, common);
        if (Regex.Matches(response, "\"(?:cached_tokens|cache_read_input_tokens|cachedContentTokenCount)\":([0-9]+)") is { Count: > 0 } reported)
            Assert.Equal(cached, int.Parse(reported[^1].Groups[1].Value, CultureInfo.InvariantCulture));

        if (isWhole)
        {
            Assert.True(cached >= turn.Length - Page, $"{what}: {cached} cached of {turn.Length}; the prompts part at '{text[same..]}' and '{next[same..Math.Min(next.Length, same + 80)]}'");
            return;
        }

        // Else tokens part where the texts part, within one token, and that is not before the answer.
        int covered = tokenizer.Decode(turn.AsSpan(0, common)).Length;
        Assert.True(
            common == turn.Length || covered + Math.Max(tokenizer.Decode([turn[common]]).Length, tokenizer.Decode([now.Prompt[common]]).Length) >= same,
            $"{what}: the texts part after {same} characters, the tokens after {covered}");
        Assert.True(same >= prompt.Length - "<think>".Length, $"{what}: the template changes '{prompt[same..]}' to '{next[same..Math.Min(next.Length, same + 80)]}', which was before the answer");
    }

    // What the client got from GLM-4.7, whose prompt ends in an open block of reasoning; other templates end it in other ways.
    private static int[] Answer(Tokenizer tokenizer, GenerationRequest request, string answer)
    {
        string prompt = tokenizer.Decode(request.Prompt.Span);
        bool thinks = answer.Contains("</think>", StringComparison.Ordinal);
        if (thinks && !GlmMessageParser.EndsInOpenThinking(prompt))
            answer = prompt.TrimEnd().EndsWith("</think>", StringComparison.Ordinal) ? answer[(answer.IndexOf("</think>", StringComparison.Ordinal) + "</think>".Length)..] : "<think>" + answer;
        return tokenizer.Encode(answer, EncodeOptions.RenderedPrompt);
    }

    /// <summary>An engine for all conversations.</summary>
    public sealed class Shared : IDisposable
    {
        private readonly TemporaryFolder _folder = new();
        private readonly Lazy<(LoadedModel Model, Engine Engine)> _running;

        public Shared() => _running = new Lazy<(LoadedModel, Engine)>(Start);

        internal Engine Engine => _running.Value.Engine;

        public void Dispose()
        {
            if (_running.IsValueCreated)
            {
                _running.Value.Engine.Dispose();
                _running.Value.Model.Dispose();
            }

            _folder.Dispose();
        }

        private (LoadedModel, Engine) Start()
        {
            string folder = _folder["model"];
            string config = TinyRun.GroupedQuery.Replace("\"vocab_size\": 40", $"\"vocab_size\": {WireFixtures.Tokenizer.VocabularySize}", StringComparison.Ordinal)
                .Replace("\"max_position_embeddings\": 64", "\"max_position_embeddings\": 131072", StringComparison.Ordinal);
            ModelInitializer.Write(config, folder, 1);
            foreach (string file in Directory.EnumerateFiles(Path.Combine(Fixtures.Folder("tokenizer")!, "glm-32k")))
                File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
            LoadedModel model = LoadedModel.Open(folder, threads: 1);
            return (model, new Engine(model, new EngineOptions { ContextLength = 32768, CacheTokens = 65536 }));
        }
    }
}
