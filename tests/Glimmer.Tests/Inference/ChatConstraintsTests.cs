using Glimmer.Chat;
using Glimmer.Inference;
using Glimmer.Inference.Constraints;
using Glimmer.Tests.Inference.Constraints;
using Glimmer.Tokenization;
using Microsoft.Extensions.AI;

namespace Glimmer.Tests.Inference;

/// <summary>What chat options demand, as constraints on the tokens of a GLM model.</summary>
[Trait("Category", "Golden")]
public sealed class ChatConstraintsTests
{
    private const string Call = "<tool_call>weather<arg_key>city</arg_key><arg_value>Paris</arg_value></tool_call>";
    private const string Json = """{"answer": 3}""";

    private static readonly ToolDefinition s_tool = new((DataObject)DataValue.Parse(
        """{"name":"weather","parameters":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"],"additionalProperties":false}}"""));

    private static readonly ChatResponseFormat s_format = ChatResponseFormat.ForJsonSchema(
        System.Text.Json.JsonDocument.Parse("""{"type":"object","properties":{"answer":{"type":"integer"}},"required":["answer"],"additionalProperties":false}""").RootElement);

    private readonly ChatConstraints? _constraints = Load();

    [SkippableFact]
    public void Without_demands_there_is_no_constraint()
    {
        Skip.If(_constraints is null);
        Assert.Null(_constraints.For(null, [], "<|assistant|></think>"));
        Assert.Null(_constraints.For(new ChatOptions { ToolMode = ChatToolMode.Auto, ResponseFormat = ChatResponseFormat.Text }, [s_tool], "<|assistant|></think>"));
    }

    [SkippableFact]
    public void A_required_call_comes_first_and_has_valid_arguments()
    {
        Skip.If(_constraints is null);
        var options = new ChatOptions { ToolMode = ChatToolMode.RequireAny };
        Assert.True(Takes(options, [s_tool], Call));
        Assert.True(Takes(options, [s_tool], Call + Call));
        Assert.False(Takes(options, [s_tool], "Hello"));
        Assert.False(Takes(options, [s_tool], Call.Replace("city", "town", StringComparison.Ordinal)));
        options.AllowMultipleToolCalls = false;
        Assert.True(Takes(options, [s_tool], Call));
        Assert.False(Takes(options, [s_tool], Call + Call));
        Assert.Throws<ArgumentException>(() => _constraints.For(options, [], ""));
    }

    [SkippableFact]
    public void A_named_call_is_the_only_one()
    {
        Skip.If(_constraints is null);
        var other = new ToolDefinition((DataObject)DataValue.Parse("""{"name":"time","parameters":{"type":"object","properties":{}}}"""));
        var options = new ChatOptions { ToolMode = ChatToolMode.RequireSpecific("weather") };
        Assert.True(Takes(options, [other, s_tool], Call));
        Assert.False(Takes(options, [other, s_tool], "<tool_call>time</tool_call>"));
        Assert.Throws<ConstraintException>(() => _constraints.For(new ChatOptions { ToolMode = ChatToolMode.RequireSpecific("moon") }, [s_tool], ""));
    }

    [SkippableFact]
    public void One_call_at_most_leaves_text_free()
    {
        Skip.If(_constraints is null);
        var options = new ChatOptions { AllowMultipleToolCalls = false };
        Assert.True(Takes(options, [s_tool], "Hello there."));
        Assert.True(Takes(options, [s_tool], "I look. " + Call));
        Assert.False(Takes(options, [s_tool], Call + Call));
    }

    [SkippableFact]
    public void A_format_holds_for_the_text_and_leaves_calls_possible()
    {
        Skip.If(_constraints is null);
        var options = new ChatOptions { ResponseFormat = s_format };
        Assert.True(Takes(options, [], Json));
        Assert.False(Takes(options, [], "3"));
        Assert.True(Takes(new ChatOptions { ResponseFormat = ChatResponseFormat.Json }, [], """{"any": [1]}"""));
        Assert.True(Takes(options, [s_tool], Json));
        Assert.True(Takes(options, [s_tool], Call + Call));
        Assert.False(Takes(options, [s_tool], "Hello"));
        Assert.False(Takes(options, [s_tool], Call + Json));
        options.ToolMode = ChatToolMode.RequireAny;
        Assert.False(Takes(options, [s_tool], Json));
    }

    [SkippableFact]
    public void A_think_block_stays_free()
    {
        Skip.If(_constraints is null);
        var options = new ChatOptions { ResponseFormat = s_format };
        Assert.True(Takes(options, [], "Let me think: 3?</think>" + Json, "<|assistant|><think>"));
        Assert.False(Takes(options, [], "Let me think: 3?</think>Three.", "<|assistant|><think>"));
        Assert.True(Takes(options, [], "<think>3?</think>" + Json, "<|assistant|>"));
        Assert.True(Takes(options, [], Json, "<|assistant|>"));
    }

    // The turn and each of the tokens that end one.
    private bool Takes(ChatOptions options, IReadOnlyList<ToolDefinition> tools, string text, string prompt = "<|assistant|></think>")
    {
        Tokenizer tokenizer = Recordings.Trie.Tokenizer;
        int user = tokenizer.TokenToId("<|user|>")!.Value;
        ITokenConstraint constraint = _constraints!.For(options, tools, prompt)!();
        var mask = new ulong[(tokenizer.VocabularySize + 63) / 64];
        foreach (int id in (int[])[.. tokenizer.Encode(text, EncodeOptions.RenderedPrompt), user])
        {
            constraint.Mask(mask);
            if ((mask[id >> 6] >> (id & 63) & 1) == 0)
                return false;
            constraint.Accept(id);
        }

        return true;
    }

    private static ChatConstraints? Load()
    {
        if (Fixtures.Folder(Path.Combine("tokenizer", "glm-32k")) is null || Fixtures.Folder(Path.Combine("chat", "templates")) is not { } templates)
            return null;
        Tokenizer tokenizer = Recordings.Trie.Tokenizer;
        return new ChatConstraints(tokenizer, new ChatTemplate(File.ReadAllText(Path.Combine(templates, "glm-4.7.jinja"))), [tokenizer.TokenToId("<|user|>")!.Value, tokenizer.TokenToId("<|endoftext|>")!.Value]);
    }
}
