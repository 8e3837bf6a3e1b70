using System.ClientModel;
using System.Text;
using System.Text.Json;
using OpenAI;
using OpenAI.Chat;
using OpenAI.Models;

namespace Glimmer.Tests.Server;

/// <summary>The vendor's .NET SDK against our server.</summary>
public class OpenAiSdkTests
{
    private const string TwoCalls =
        "Two cities.</think>I look.<tool_call>get_weather<arg_key>city</arg_key><arg_value>Lima</arg_value><arg_key>days</arg_key><arg_value>2</arg_value></tool_call>"
        + "<tool_call>get_weather<arg_key>city</arg_key><arg_value>Santiago</arg_value></tool_call>";

    private static readonly ChatTool s_tool = ChatTool.CreateFunctionTool(
        "get_weather", "Weather", BinaryData.FromString("""{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"}}}"""));

    [Fact]
    public async Task A_stream_accumulates_text_two_parallel_calls_and_usage()
    {
        await using WireServer server = await WireServer.StartAsync((_, _) => WireServer.Answer(TwoCalls, end: "<|observation|>"));
        var text = new StringBuilder();
        var calls = new SortedDictionary<int, (string Id, string Name, StringBuilder Arguments)>();
        ChatFinishReason? finish = null;
        ChatTokenUsage? usage = null;
        await foreach (StreamingChatCompletionUpdate update in Client(server).CompleteChatStreamingAsync([new UserChatMessage("Weather?")], new ChatCompletionOptions { Tools = { s_tool } }))
        {
            foreach (ChatMessageContentPart part in update.ContentUpdate)
                text.Append(part.Text);
            foreach (StreamingChatToolCallUpdate call in update.ToolCallUpdates)
            {
                if (!calls.ContainsKey(call.Index))
                    calls[call.Index] = (call.ToolCallId, call.FunctionName, new StringBuilder());
                calls[call.Index].Arguments.Append(call.FunctionArgumentsUpdate?.ToString());
            }

            finish = update.FinishReason ?? finish;
            usage = update.Usage ?? usage;
        }

        Assert.Equal("I look.", text.ToString());
        Assert.Equal(ChatFinishReason.ToolCalls, finish);
        Assert.Equal(["get_weather", "get_weather"], calls.Values.Select(call => call.Name));
        Assert.Equal(2, calls.Values.Select(call => call.Id).Distinct().Count());
        Assert.Equal("Lima", JsonDocument.Parse(calls[0].Arguments.ToString()).RootElement.GetProperty("city").GetString());
        Assert.Equal(2, JsonDocument.Parse(calls[0].Arguments.ToString()).RootElement.GetProperty("days").GetInt32());
        Assert.Equal("Santiago", JsonDocument.Parse(calls[1].Arguments.ToString()).RootElement.GetProperty("city").GetString());
        Assert.True(usage is { OutputTokenCount: > 0, OutputTokenDetails.ReasoningTokenCount: > 0 });
    }

    [Fact]
    public async Task A_whole_answer_has_content_calls_and_usage()
    {
        await using WireServer server = await WireServer.StartAsync((_, _) => WireServer.Answer(TwoCalls, end: "<|observation|>"));
        ChatCompletion answer = await Client(server).CompleteChatAsync([new SystemChatMessage("Be brief."), new UserChatMessage("Weather?")], new ChatCompletionOptions { Tools = { s_tool } });
        Assert.Equal("I look.", answer.Content[0].Text);
        Assert.Equal(2, answer.ToolCalls.Count);
        Assert.Equal(ChatFinishReason.ToolCalls, answer.FinishReason);
        Assert.Equal(answer.Usage.InputTokenCount + answer.Usage.OutputTokenCount, answer.Usage.TotalTokenCount);
    }

    [Fact]
    public async Task Errors_have_the_status_of_the_error()
    {
        await using WireServer server = await WireServer.StartAsync("Lima.");
        ClientResultException unknown = await Assert.ThrowsAsync<ClientResultException>(() => Client(server, "no-such-model").CompleteChatAsync([new UserChatMessage("?")]));
        Assert.Equal(404, unknown.Status);
        Assert.Contains("no-such-model", unknown.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Models_are_listed()
    {
        await using WireServer server = await WireServer.StartAsync("Lima.");
        OpenAIModelCollection models = await new OpenAIClient(new ApiKeyCredential("x"), Options(server)).GetOpenAIModelClient().GetModelsAsync();
        Assert.Equal("glm-4.7", Assert.Single(models).Id);
    }

    private static ChatClient Client(WireServer server, string model = "glm-4.7") => new(model, new ApiKeyCredential("x"), Options(server));

    private static OpenAIClientOptions Options(WireServer server) => new() { Endpoint = new Uri(server.Address, "v1"), RetryPolicy = new System.ClientModel.Primitives.ClientRetryPolicy(0) };
}
