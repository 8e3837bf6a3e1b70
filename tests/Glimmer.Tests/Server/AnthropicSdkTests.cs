using System.Text;
using Anthropic;
using Anthropic.Exceptions;
using Anthropic.Models.Messages;

namespace Glimmer.Tests.Server;

/// <summary>The vendor's .NET SDK against our server.</summary>
public class AnthropicSdkTests
{
    private static readonly MessageCreateParams s_question = new()
    {
        Model = "glm-4.7",
        MaxTokens = 1000,
        Messages = [new UserMessageParam("What is the capital of Peru?")],
        Thinking = new ThinkingConfigEnabled { BudgetTokens = 1024 },
    };

    [Fact]
    public async Task A_whole_answer_has_thinking_and_text()
    {
        await using WireServer server = await WireServer.StartAsync("Peru: Lima.</think>It is Lima.");
        Message answer = await Client(server).Messages.Create(s_question);
        Assert.Equal(2, answer.Content.Count);
        Assert.True(answer.Content[0].TryPickThinking(out ThinkingBlock? thinking));
        Assert.Equal("Peru: Lima.", thinking!.Thinking);
        Assert.True(answer.Content[1].TryPickText(out TextBlock? text));
        Assert.Equal("It is Lima.", text!.Text);
        Assert.True(answer.Usage.InputTokens > 0 && answer.Usage.OutputTokens > 0);
    }

    [Fact]
    public async Task A_stream_accumulates_to_the_same()
    {
        await using WireServer server = await WireServer.StartAsync("Peru: Lima.</think>It is Lima.");
        StringBuilder thinking = new(), text = new();
        bool isStopped = false;
        await foreach (RawMessageStreamEvent item in Client(server).Messages.CreateStreaming(s_question))
        {
            if (item.TryPickContentBlockDelta(out RawContentBlockDeltaEvent? delta))
            {
                if (delta.Delta.TryPickThinking(out ThinkingDelta? thought))
                    thinking.Append(thought.Thinking);
                if (delta.Delta.TryPickText(out TextDelta? part))
                    text.Append(part.Text);
            }

            isStopped |= item.TryPickStop(out _);
        }

        Assert.Equal("Peru: Lima.", thinking.ToString());
        Assert.Equal("It is Lima.", text.ToString());
        Assert.True(isStopped);
    }

    [Fact]
    public async Task Tokens_are_counted_and_unknown_models_are_not_found()
    {
        await using WireServer server = await WireServer.StartAsync("Lima.");
        MessageTokensCount count = await Client(server).Messages.CountTokens(new MessageCountTokensParams { Model = "glm-4.7", Messages = s_question.Messages });
        Assert.True(count.InputTokens > 5);
        await Assert.ThrowsAsync<AnthropicNotFoundException>(() => Client(server).Messages.Create(s_question with { Model = "no-such-model" }));
    }

    private static AnthropicClient Client(WireServer server) => new() { BaseUrl = server.Address.ToString().TrimEnd('/'), ApiKey = "x", MaxRetries = 0 };
}
