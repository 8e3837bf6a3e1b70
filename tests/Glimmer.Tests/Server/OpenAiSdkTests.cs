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
    public async Task Structured_output_is_valid_under_its_schema()
    {
        const string Schema = """{"type":"object","properties":{"city":{"enum":["Lima","Santiago"]},"days":{"type":"integer","minimum":1,"maximum":7}},"required":["city","days"],"additionalProperties":false}""";
        await using WireServer server = await WireServer.StartAsync((request, _) => new Glimmer.Server.Turns.ScriptedAnswer(ConstrainedText.Short(request.Constraint!())));
        var options = new ChatCompletionOptions { ResponseFormat = ChatResponseFormat.CreateJsonSchemaFormat("trip", BinaryData.FromString(Schema), jsonSchemaIsStrict: true) };
        ChatCompletion answer = await Client(server).CompleteChatAsync([new UserChatMessage("Where to?")], options);
        Assert.Equal(ChatFinishReason.Stop, answer.FinishReason);
        Json.Schema.JsonSchema schema = Json.Schema.JsonSchema.FromText(Schema);
        Assert.True(schema.Evaluate(JsonDocument.Parse(answer.Content[0].Text).RootElement).IsValid, answer.Content[0].Text);

        var streamed = new StringBuilder();
        await foreach (StreamingChatCompletionUpdate update in Client(server).CompleteChatStreamingAsync([new UserChatMessage("Where to?")], options))
        {
            foreach (ChatMessageContentPart part in update.ContentUpdate)
                streamed.Append(part.Text);
        }

        Assert.Equal(answer.Content[0].Text, streamed.ToString());
        ClientResultException wrong = await Assert.ThrowsAsync<ClientResultException>(() => Client(server).CompleteChatAsync(
            [new UserChatMessage("Where to?")], new ChatCompletionOptions { ResponseFormat = ChatResponseFormat.CreateJsonSchemaFormat("trip", BinaryData.FromString("""{"type":"nothing"}""")) }));
        Assert.Equal(400, wrong.Status);
    }

    [Fact]
    public async Task A_tool_is_called_and_its_result_answered()
    {
        string prompt = "";
        await using WireServer server = await WireServer.StartAsync((request, _) =>
        {
            prompt = SmallVocabulary.Tokenizer.Decode(request.Prompt.Span);
            return prompt.Contains("<|observation|>", StringComparison.Ordinal) ? WireServer.Answer("It is warm.</think>Lima is warm.") : WireServer.Answer(TwoCalls, end: "<|observation|>");
        });
        List<ChatMessage> messages = [new UserChatMessage("Weather?")];
        ChatCompletion called = await Client(server).CompleteChatAsync(messages, new ChatCompletionOptions { Tools = { s_tool } });
        messages.Add(new AssistantChatMessage(called));
        foreach (ChatToolCall call in called.ToolCalls)
            messages.Add(new ToolChatMessage(call.Id, "{\"degrees\": 25}"));
        ChatCompletion answered = await Client(server).CompleteChatAsync(messages, new ChatCompletionOptions { Tools = { s_tool } });
        Assert.Equal("Lima is warm.", answered.Content[0].Text);
        Assert.Contains("<tool_call>get_weather<arg_key>city</arg_key><arg_value>Lima</arg_value><arg_key>days</arg_key><arg_value>2</arg_value></tool_call>", prompt, StringComparison.Ordinal);
        Assert.Equal(2, System.Text.RegularExpressions.Regex.Count(prompt, "degrees"));
    }

    [Fact]
    public async Task A_demanded_call_is_made()
    {
        await using WireServer server = await WireServer.StartAsync((request, _) => new Glimmer.Server.Turns.ScriptedAnswer(ConstrainedText.Short(request.Constraint!())));
        ChatCompletion answer = await Client(server).CompleteChatAsync([new UserChatMessage("Weather?")], new ChatCompletionOptions { Tools = { s_tool }, ToolChoice = ChatToolChoice.CreateFunctionChoice("get_weather") });
        Assert.Equal("get_weather", Assert.Single(answer.ToolCalls).FunctionName);
        Assert.Equal(JsonValueKind.Object, JsonDocument.Parse(answer.ToolCalls[0].FunctionArguments).RootElement.ValueKind);
    }

    [Fact]
    public async Task Embeddings_are_refused_in_the_shape_of_the_API()
    {
        await using WireServer server = await WireServer.StartAsync("Lima.");
        ClientResultException refused = await Assert.ThrowsAsync<ClientResultException>(
            () => new OpenAIClient(new ApiKeyCredential("x"), Options(server)).GetEmbeddingClient("glm-4.7").GenerateEmbeddingAsync("Lima"));
        Assert.Equal(404, refused.Status);
        Assert.Contains("/v1/embeddings", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Log_probabilities_are_those_of_the_text()
    {
        await using WireServer server = await WireServer.StartAsync("Peru.</think>It is Lima.");
        ChatCompletion answer = await Client(server).CompleteChatAsync([new UserChatMessage("?")], new ChatCompletionOptions { IncludeLogProbabilities = true, TopLogProbabilityCount = 2 });
        Assert.Equal("It is Lima.", string.Concat(answer.ContentTokenLogProbabilities.Select(token => token.Token)));
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
