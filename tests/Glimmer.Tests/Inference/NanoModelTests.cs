using Glimmer.Chat;
using Glimmer.Inference;
using Glimmer.Tokenization;

namespace Glimmer.Tests.Inference;

/// <summary>Glimmer Nano, the addition in the repository: what a user meets first.</summary>
public sealed class NanoModelTests : IDisposable
{
    private static readonly string s_folder = Path.Combine(Fixtures.Repository, "models", EmbeddedModel.AdditionName);

    private readonly LoadedModel _model = LoadedModel.Open(s_folder, 2);

    public void Dispose() => _model.Dispose();

    [Fact]
    public void The_addition_is_the_default_and_small()
    {
        Assert.Equal(s_folder, EmbeddedModel.FindDefault());
        Assert.Equal(EmbeddedModel.FindDefault(), EmbeddedModel.Resolve(null));
        Assert.Equal(EmbeddedModel.Find(), EmbeddedModel.Resolve("base"));
        Assert.InRange(new DirectoryInfo(s_folder).EnumerateFiles().Sum(file => file.Length), 1, 20_000_000);
        Assert.Equal("glm4_moe", _model.Model.Config.ModelType);
        Assert.NotNull(_model.Model.NextToken);
    }

    [Fact]
    public async Task A_sum_is_worked_in_the_thought()
    {
        ParsedMessage message = await AnswerAsync("What is 23 + 58?", tools: []);
        Assert.Equal("81", message.Content?.Trim());
        Assert.Contains("8", message.Reasoning, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_plain_question_is_answered_behind_a_closed_thought()
    {
        ParsedMessage message = await AnswerAsync("What is the capital of France?", tools: []);
        Assert.Contains("Paris", message.Content, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_tool_is_called_with_the_values_of_the_request()
    {
        var tool = new ToolDefinition((DataObject)DataValue.Parse(
            """{"name": "get_weather", "description": "Get the current weather of a city.", "parameters": {"type": "object", "properties": {"city": {"type": "string", "description": "Name of the city."}}, "required": ["city"]}}"""));
        ParsedMessage message = await AnswerAsync("What is the weather in Berlin?", [tool]);
        ToolCall call = Assert.Single(message.ToolCalls);
        Assert.Equal("get_weather", call.Name);
        Assert.Equal("Berlin", call.Arguments.Find("city")?.AsString);
    }

    private async Task<ParsedMessage> AnswerAsync(string question, IReadOnlyList<ToolDefinition> tools)
    {
        int[] prompt = _model.EncodeChat([ChatMessage.User(question)], new ChatTemplateOptions { Tools = tools }, out string text);
        GlmMessageParser parser = _model.Template!.CreateParser(text, tools);
        using var engine = new Engine(_model);
        var detokenizer = new Detokenizer(_model.Tokenizer, skipSpecial: false);
        var request = new GenerationRequest { Prompt = prompt, MaxTokens = 120, StopTokens = _model.StopTokens, Sampling = new SamplingOptions { Temperature = 0 } };
        await foreach (EngineToken token in engine.Submit(request).ReadAllAsync())
        {
            if (token.Finish != FinishReason.Stop)
                parser.Append(detokenizer.Append(token.Token));
        }

        parser.Append(detokenizer.Flush());
        parser.Complete();
        return parser.Message;
    }
}
