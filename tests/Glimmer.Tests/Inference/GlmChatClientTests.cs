using System.Text.Json;
using Glimmer.Chat;
using Glimmer.Inference;
using Glimmer.Inference.Constraints;
using Microsoft.Extensions.AI;
using AiMessage = Microsoft.Extensions.AI.ChatMessage;

namespace Glimmer.Tests.Inference;

/// <summary>The embedded model as an <see cref="IChatClient"/>, and what becomes of messages, tools and options.</summary>
public sealed class GlmChatClientTests : IClassFixture<GlmChatClientTests.Loaded>
{
    private readonly LoadedModel _model;
    private readonly Engine _engine;
    private readonly GlmChatClient _client;

    public GlmChatClientTests(Loaded loaded) => (_model, _engine, _client) = (loaded.Model, loaded.Engine, new GlmChatClient(loaded.Model, loaded.Engine));

    [Fact]
    public async Task An_answer_comes_with_its_counts_and_a_second_turn_with_its_prefix_from_the_cache()
    {
        var options = new ChatOptions { MaxOutputTokens = 24, Temperature = 0, Instructions = "You are a helpful assistant who answers in one short sentence and never adds anything else at all." };
        ChatResponse first = await _client.GetResponseAsync([new AiMessage(ChatRole.User, "What is the capital of France?")], options);
        Assert.Contains("Paris", first.Text, StringComparison.Ordinal);
        Assert.Equal(ChatFinishReason.Stop, first.FinishReason);
        Assert.Equal(first.Usage!.InputTokenCount + first.Usage.OutputTokenCount, first.Usage.TotalTokenCount);

        List<AiMessage> conversation = [new(ChatRole.User, "What is the capital of France?"), .. first.Messages, new(ChatRole.User, "And of Italy? Say only the name of the city, please, without any other word before or after.")];
        ChatResponse second = await _client.GetResponseAsync(conversation, options);
        ChatResponse third = await _client.GetResponseAsync(conversation, options);
        Assert.Equal(second.Text, third.Text);
        Assert.True(third.Usage!.CachedInputTokenCount >= 64, $"{third.Usage.CachedInputTokenCount} of {third.Usage.InputTokenCount} tokens cached");
    }

    [Fact]
    public async Task Concurrent_conversations_get_what_they_would_get_alone()
    {
        string[] questions = ["Name three colours.", "What is 2 + 2?", "Who wrote Hamlet?"];
        var options = new ChatOptions { MaxOutputTokens = 12, Temperature = 0.8f, TopK = 40, Seed = 3 };
        var alone = new List<string>();
        foreach (string question in questions)
            alone.Add((await _client.GetResponseAsync(question, options)).Text);
        ChatResponse[] together = await Task.WhenAll(questions.Select(question => _client.GetResponseAsync(question, options)));
        Assert.Equal(alone, together.Select(response => response.Text));
    }

    [Fact]
    public async Task A_stop_sequence_cuts_the_text_and_a_limit_is_said()
    {
        var options = new ChatOptions { MaxOutputTokens = 12, Temperature = 0 };
        ChatResponse free = await _client.GetResponseAsync("Count from one to twenty.", options);
        Assert.Equal(ChatFinishReason.Length, free.FinishReason);
        string stop = free.Text.Substring(4, 3);
        options.StopSequences = [stop];
        ChatResponse cut = await _client.GetResponseAsync("Count from one to twenty.", options);
        Assert.Equal(free.Text[..free.Text.IndexOf(stop, StringComparison.Ordinal)], cut.Text);
        Assert.Equal(ChatFinishReason.Stop, cut.FinishReason);
    }

    [Fact]
    public async Task Leaving_a_stream_frees_its_memory()
    {
        await foreach (ChatResponseUpdate update in _client.GetStreamingResponseAsync("Tell me a long story.", new ChatOptions { Temperature = 0 }))
        {
            if (update.Text.Length > 0)
                break;
        }

        for (int i = 0; i < 500 && _engine.Statistics.Running > 0; i++)
            await Task.Delay(10);
        Assert.Equal(0, _engine.Statistics.Running);
        Assert.Equal(_engine.Statistics.PrefixBlocks, _engine.Statistics.BlocksInUse);
    }

    [Fact]
    public async Task A_response_format_is_kept_and_what_the_model_cannot_do_is_named()
    {
        using JsonDocument schema = JsonDocument.Parse("""{"type":"object","properties":{"city":{"type":"string","maxLength":20},"inhabitants":{"type":"integer","minimum":0,"maximum":99999999}},"required":["city","inhabitants"],"additionalProperties":false}""");
        var options = new ChatOptions { MaxOutputTokens = 100, Temperature = 0, ResponseFormat = ChatResponseFormat.ForJsonSchema(schema.RootElement) };
        ChatResponse response = await _client.GetResponseAsync("What is the capital of France, and how many people live there?", options);
        Assert.Equal(ChatFinishReason.Stop, response.FinishReason);
        using JsonDocument answer = JsonDocument.Parse(response.Text);
        Assert.Contains("Paris", answer.RootElement.GetProperty("city").GetString(), StringComparison.Ordinal);
        Assert.Equal(JsonValueKind.Number, answer.RootElement.GetProperty("inhabitants").ValueKind);

        AIFunction function = AIFunctionFactory.Create((int a) => a, "twice", "Doubles.");
        await Assert.ThrowsAsync<ConstraintException>(() => _client.GetResponseAsync("?", new ChatOptions { Tools = [function], ToolMode = ChatToolMode.RequireAny }));
        await Assert.ThrowsAsync<ArgumentException>(() => _client.GetResponseAsync("?", new ChatOptions { ToolMode = ChatToolMode.RequireAny }));
        options.RawRepresentationFactory = _ => new GenerationRequest { Prompt = default, Constraint = () => new AllowedTokens([1]) };
        await Assert.ThrowsAsync<ArgumentException>(() => _client.GetResponseAsync("?", options));
    }

    [Fact]
    public void Messages_keep_reasoning_calls_and_results()
    {
        using JsonDocument number = JsonDocument.Parse("1.0");
        var call = new FunctionCallContent("c1", "add", new Dictionary<string, object?> { ["a"] = number.RootElement.Clone(), ["b"] = "1", ["c"] = null, ["d"] = true });
        List<Glimmer.Chat.ChatMessage> messages = ChatTranslation.Messages(
            [
                new AiMessage(ChatRole.User, "q"),
                new AiMessage(ChatRole.Assistant, [new TextReasoningContent("hm"), new TextContent("a"), call]),
                new AiMessage(ChatRole.Tool, [new FunctionResultContent("c1", "two"), new FunctionResultContent("c2", 2)]),
            ],
            new ChatOptions { Instructions = "s" });
        Assert.Equal(["system", "user", "assistant", "tool", "tool"], messages.Select(m => m.Role));
        Assert.Equal("hm", messages[2].ReasoningContent);
        Assert.Equal("""{"a": 1.0, "b": "1", "c": null, "d": true}""", messages[2].ToolCalls[0].ArgumentsJson);
        Assert.Equal(["two", "2"], messages.Skip(3).Select(m => m.Content!.AsString));
        FunctionCallContent back = ChatTranslation.Call(messages[2].ToolCalls[0]);
        Assert.Equal("1.0", ((JsonElement)back.Arguments!["a"]!).GetRawText());
    }

    [Fact]
    public void Tools_and_thinking_reach_the_template_and_what_is_not_supported_is_named()
    {
        AIFunction function = AIFunctionFactory.Create((int a) => a, "twice", "Doubles.");
        var options = new ChatOptions { Tools = [function], Reasoning = new ReasoningOptions { Effort = ReasoningEffort.None } };
        ToolDefinition tool = Assert.Single(ChatTranslation.Tools(options));
        Assert.Equal(("twice", "Doubles."), (tool.Name, tool.Description));
        Assert.NotNull(tool.Parameters!.Find("properties"));
        ChatTemplateOptions template = ChatTranslation.Template(options, [tool]);
        Assert.Equal((false, false), (template.EnableThinking, template.ClearThinking));
        options.ToolMode = ChatToolMode.None;
        Assert.Empty(ChatTranslation.Tools(options));
        Assert.Throws<UnsupportedModelException>(() => ChatTranslation.Messages([new AiMessage(ChatRole.User, [new DataContent(new byte[1], "image/png")])], null));
    }

    public sealed class Loaded : IDisposable
    {
        public LoadedModel Model { get; } = LoadedModel.Open(EmbeddedModel.Find(), 2);

        public Engine Engine { get; }

        public Loaded() => Engine = new Engine(Model, new EngineOptions { ContextLength = 1024 });

        public void Dispose()
        {
            Engine.Dispose();
            Model.Dispose();
        }
    }
}
