using System.Text;
using System.Text.Json;
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
    public async Task A_tool_is_called_and_its_result_answered()
    {
        string prompt = "";
        await using WireServer server = await WireServer.StartAsync((request, _) =>
        {
            prompt = SmallVocabulary.Tokenizer.Decode(request.Prompt.Span);
            return prompt.Contains("<|observation|>", StringComparison.Ordinal)
                ? WireServer.Answer("It is warm.</think>Lima is warm.")
                : WireServer.Answer("I look it up.</think><tool_call>get_weather<arg_key>city</arg_key><arg_value>Lima</arg_value></tool_call><tool_call>get_weather<arg_key>city</arg_key><arg_value>Santiago</arg_value></tool_call>", end: "<|observation|>");
        });
        MessageCreateParams question = s_question with
        {
            Tools = [new Tool { Name = "get_weather", InputSchema = InputSchema.FromRawUnchecked(JsonSerializer.Deserialize<Dictionary<string, JsonElement>>("""{"type":"object","properties":{"city":{"type":"string"}}}""")!) }],
        };
        Message called = await Client(server).Messages.Create(question);
        Assert.Equal("tool_use", called.StopReason!.Raw());
        List<ToolUseBlock> calls = [];
        List<ContentBlockParam> said = [];
        foreach (ContentBlock block in called.Content)
        {
            if (block.TryPickThinking(out ThinkingBlock? thought))
                said.Add(new ThinkingBlockParam { Thinking = thought.Thinking, Signature = thought.Signature });
            if (block.TryPickToolUse(out ToolUseBlock? call))
            {
                calls.Add(call);
                said.Add(new ToolUseBlockParam { ID = call.ID, Name = call.Name, Input = call.Input });
            }
        }

        Assert.Equal(["Lima", "Santiago"], calls.Select(call => call.Input["city"].GetString()));
        Message answered = await Client(server).Messages.Create(question with
        {
            Messages =
            [
                .. question.Messages,
                new AssistantMessageParam(said),
                new UserMessageParam(calls.Select(call => (ContentBlockParam)new ToolResultBlockParam { ToolUseID = call.ID, Content = "25 degrees" }).ToList()),
            ],
        });
        Assert.True(answered.Content[^1].TryPickText(out TextBlock? text));
        Assert.Equal("Lima is warm.", text!.Text);
        Assert.Equal("end_turn", answered.StopReason!.Raw());
        // The reasoning and the calls are where the model wrote them.
        Assert.Contains("I look it up.</think><tool_call>get_weather<arg_key>city</arg_key><arg_value>Lima</arg_value></tool_call><tool_call>get_weather<arg_key>city</arg_key><arg_value>Santiago</arg_value></tool_call><|observation|>", prompt, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_stream_gives_calls_in_pieces_that_are_JSON_together()
    {
        await using WireServer server = await WireServer.StartAsync((_, _) =>
            WireServer.Answer("</think>I look.<tool_call>get_weather<arg_key>city</arg_key><arg_value>Lima</arg_value></tool_call><tool_call>get_weather</tool_call>", end: "<|observation|>"));
        MessageCreateParams question = s_question with
        {
            Tools = [new Tool { Name = "get_weather", InputSchema = InputSchema.FromRawUnchecked(JsonSerializer.Deserialize<Dictionary<string, JsonElement>>("""{"type":"object"}""")!) }],
        };
        var pieces = new SortedDictionary<long, StringBuilder>();
        string? reason = null;
        long output = 0;
        await foreach (RawMessageStreamEvent item in Client(server).Messages.CreateStreaming(question))
        {
            if (item.TryPickContentBlockDelta(out RawContentBlockDeltaEvent? delta) && delta.Delta.TryPickInputJson(out InputJsonDelta? json))
            {
                if (!pieces.TryGetValue(delta.Index, out StringBuilder? piece))
                    pieces[delta.Index] = piece = new StringBuilder();
                piece.Append(json.PartialJson);
            }

            if (item.TryPickDelta(out RawMessageDeltaEvent? end))
                (reason, output) = (end.Delta.StopReason!.Raw(), end.Usage.OutputTokens);
        }

        Assert.Equal(["""{"city": "Lima"}""", "{}"], pieces.Values.Select(piece => piece.ToString()));
        Assert.Equal("tool_use", reason);
        Assert.True(output > 0);
    }

    [Fact]
    public async Task Structured_output_is_valid_under_its_schema()
    {
        const string Schema = """{"type":"object","properties":{"city":{"enum":["Lima","Santiago"]}},"required":["city"],"additionalProperties":false}""";
        await using WireServer server = await WireServer.StartAsync((request, _) => new Glimmer.Server.Turns.ScriptedAnswer(ConstrainedText.Short(request.Constraint!())));
        Message answer = await Client(server).Messages.Create(s_question with
        {
            OutputConfig = new OutputConfig { Format = new JsonOutputFormat { Schema = JsonSerializer.Deserialize<Dictionary<string, JsonElement>>(Schema)! } },
        });
        Assert.True(answer.Content[^1].TryPickText(out TextBlock? text));
        Assert.True(Json.Schema.JsonSchema.FromText(Schema).Evaluate(JsonDocument.Parse(text!.Text).RootElement).IsValid, text.Text);
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
