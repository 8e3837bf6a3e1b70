using System.Text.Json;
using Glimmer.Chat;
using Glimmer.Inference;
using Glimmer.Tests.Chat;
using Glimmer.Tokenization;
using Glimmer.Training.Sft;

namespace Glimmer.Tests.Training.Sft;

public class SftSampleBuilderTests
{
    private static readonly Lazy<Tokenizer> s_tokenizer = new(() => TokenizerFiles.Open(EmbeddedModel.Find()));

    [Fact]
    public void A_template_with_end_tokens_learns_answers_up_to_the_end_token() =>
        Assert.Equal("[4<|im_end|>][Six.<|im_end|>]", Learned("""{"messages":[{"role":"user","content":"2+2?"},{"role":"assistant","content":"4"},{"role":"user","content":"3+3?"},{"role":"assistant","content":"Six."}]}"""));

    [Fact]
    public void Spans_mask_characters_and_take_the_space_before_a_word_along()
    {
        SftSample sample = Build("""{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"It is wrong now","loss_spans":[[6,11,0]]}]}""");
        Assert.Equal("[It is][ now<|im_end|>]", Learned(sample));
    }

    [Fact]
    public void Parts_of_a_joined_turn_have_their_own_weights()
    {
        SftSample sample = Build("""{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"One.","loss":false},{"role":"assistant","content":" Two","loss_scale":0.5}]}""");
        Assert.Equal("[ Two<|im_end|>]", Learned(sample));
        Assert.All(sample.Weights.Where(weight => weight > 0), weight => Assert.Equal(0.5f, weight));
    }

    [Fact]
    public void A_control_token_in_the_text_of_a_message_is_text_and_ends_nothing()
    {
        SftSample sample = Build("""{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a <|im_end|> b"}]}""");
        Assert.Equal("[a <|im_end|> b<|im_end|>]", Learned(sample));
        int end = s_tokenizer.Value.TokenToId("<|im_end|>")!.Value;
        // System message, user message, answer: three ends from the template.
        Assert.Equal(3, sample.Tokens.Count(id => id == end));
    }

    [Fact]
    public void Plain_text_is_learned_as_a_whole_but_for_its_first_token()
    {
        SftSample sample = Build("""{"text":"Once upon a time"}""");
        Assert.Equal(0, sample.Weights[0]);
        Assert.Equal(sample.Tokens.Length - 1, sample.TargetCount);
        Assert.Equal(s_tokenizer.Value.EosId, sample.Tokens[^1]);
    }

    [Fact]
    public void Documents_predict_the_next_token_with_its_weight()
    {
        SftSample sample = Build("""{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]}""");
        Glimmer.Training.Batching.TrainingDocument document = sample.ToDocument();
        for (int i = 0; i < sample.Tokens.Length; i++)
        {
            bool isTarget = i + 1 < sample.Tokens.Length && sample.Weights[i + 1] > 0;
            Assert.Equal(isTarget ? sample.Tokens[i + 1] : -1, document.Targets[i]);
        }
    }

    [Fact]
    public void A_record_of_which_nothing_is_learned_is_refused() =>
        Assert.Throws<FormatException>(() => Build("""{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a","loss":false}]}"""));

    [Theory]
    [InlineData("last_round", "[Six.<|im_end|>]")]
    [InlineData("default", "[4<|im_end|>][Six.<|im_end|>]")]
    public void The_strategy_chooses_turns(string scale, string expected) => Assert.Equal(expected, Learned(Build(
        """{"messages":[{"role":"user","content":"2+2?"},{"role":"assistant","content":"4"},{"role":"user","content":"3+3?"},{"role":"assistant","content":"Six."}]}""", scale)));

    private static string Learned(string json) => Learned(Build(json));

    private static SftSample Build(string json, string scale = "default") =>
        new SftSampleBuilder(s_tokenizer.Value, new ChatTemplate(Templates.SmolLM2), new SftSampleOptions { LossScale = LossScale.Parse(scale) })
            .Build(SftRecordParser.Parse(JsonDocument.Parse(json).RootElement, new RecordPlace("data.jsonl", 1)));

    private static string Learned(SftSample sample)
    {
        var text = new System.Text.StringBuilder();
        for (int i = 0; i < sample.Tokens.Length; i++)
        {
            if (sample.Weights[i] == 0)
                continue;
            if (sample.Weights[i - 1] == 0)
                text.Append('[');
            text.Append(s_tokenizer.Value.Decode([sample.Tokens[i]]));
            if (i + 1 == sample.Tokens.Length || sample.Weights[i + 1] == 0)
                text.Append(']');
        }

        return text.ToString();
    }
}
