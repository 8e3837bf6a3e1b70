using System.Text.Json;
using Glimmer.Chat;
using Glimmer.Inference;
using Glimmer.Tokenization;

namespace Glimmer.Tests.Inference;

/// <summary>Conversations with the model in the repository.</summary>
public class ChatSessionTests(EmbeddedModelFixture fixture) : IClassFixture<EmbeddedModelFixture>
{
    public static TheoryData<string> Texts() => Fixtures.Rows(SmolLm2Recordings.Names("logprobs.safetensors", ".ids"));

    [Fact]
    public void A_second_turn_computes_only_what_is_new_and_answers_as_without_the_cache()
    {
        using var session = new ChatSession(fixture.Loaded, new GenerationOptions { MaxTokens = 16 });
        Assert.Equal("The capital of France is Paris.", Text(session.Ask(ChatMessage.User("What is the capital of France?"))));
        string second = Text(session.Ask(ChatMessage.User("And of Italy?")));
        // Everything of the first turn but the end token, whose keys were never needed.
        Assert.Equal(45 - 1, session.Meter!.ReusedTokens);
        using var fresh = new ChatSession(fixture.Loaded, new GenerationOptions { MaxTokens = 16 });
        fresh.Load([.. session.ToMessages().Take(2)]);
        Assert.Equal(second, Text(fresh.Ask(ChatMessage.User("And of Italy?"))));
        Assert.Equal(0, fresh.Meter!.ReusedTokens);
        Assert.Equal(FinishReason.Stop, fresh.Meter.Finish);
    }

    [Fact]
    public void An_answer_that_is_not_read_to_its_end_leaves_the_conversation_as_it_was()
    {
        using var session = new ChatSession(fixture.Loaded, new GenerationOptions { MaxTokens = 16 }) { System = "Be brief." };
        using var interrupt = new CancellationTokenSource();
        Assert.Throws<OperationCanceledException>(() =>
        {
            foreach (MessageEvent _ in session.Ask(ChatMessage.User("Tell me a story."), interrupt.Token))
                interrupt.Cancel();
        });
        Assert.Empty(session.Messages);
        _ = session.Ask(ChatMessage.User("Tell me a story.")).First();
        Assert.Empty(session.Messages);
        Assert.Equal("Be brief.", Assert.Single(session.ToMessages()).Content!.AsString);
    }

    [Fact]
    public void A_full_context_leaves_out_the_oldest_turns_but_keeps_them_and_the_system_message()
    {
        using var session = new ChatSession(fixture.Loaded, new GenerationOptions { MaxTokens = 8 }, contextLength: 80) { System = "Be brief." };
        foreach (string number in (string[])["one", "two", "three", "four"])
            _ = Text(session.Ask(ChatMessage.User($"Say {number}.")));
        Assert.Equal(8, session.Messages.Count);
        Assert.InRange(session.OmittedMessages, 2, 6);
        Assert.InRange(session.Meter!.PromptTokens, 20, 80 - 8);
        Assert.Contains("does not fit", Assert.Throws<ArgumentException>(() => session.Ask(ChatMessage.User(new string('7', 100)))).Message, StringComparison.Ordinal);
        Assert.Equal(8, session.Messages.Count);
        int omitted = session.OmittedMessages;
        Assert.InRange(omitted, 2, 6);
        _ = Text(session.Ask(ChatMessage.User("Say five.")));
        Assert.InRange(session.OmittedMessages, omitted, 8);
        Assert.InRange(session.Meter!.PromptTokens, 20, 80 - 8);
        session.Reset();
        Assert.Equal(0, session.OmittedMessages);
        Assert.Empty(session.Messages);
    }

    [SkippableTheory]
    [Trait("Category", "Golden")]
    [MemberData(nameof(Texts))]
    public void Perplexity_and_bits_per_byte_are_those_recorded(string name)
    {
        Fixtures.SkipIfAbsent(name);
        JsonElement line = SmolLm2Recordings.Lines("logprobs.jsonl").First(l => l.GetProperty("name").GetString() == name);
        TextScore score = TextScore.Of(fixture.Loaded, fixture.Loaded.Tokenizer.Encode(line.GetProperty("text").GetString(), EncodeOptions.RenderedPrompt));
        Assert.Equal(line.GetProperty("scored_bytes").GetInt64(), score.ScoredBytes);
        Assert.Equal(1, score.Perplexity / line.GetProperty("perplexity").GetDouble(), 1e-5);
        Assert.Equal(1, score.BitsPerByte / line.GetProperty("bits_per_byte").GetDouble(), 1e-5);
    }

    private static string Text(IEnumerable<MessageEvent> events) => string.Concat(events.OfType<TextDelta>().Select(delta => delta.Text));
}
