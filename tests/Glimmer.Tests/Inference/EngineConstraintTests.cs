using System.Text.Json;
using System.Text.RegularExpressions;
using Glimmer.Inference;
using Glimmer.Inference.Constraints;
using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Tokenization;

namespace Glimmer.Tests.Inference;

/// <summary>Constraints from end to end on tiny models: what is generated satisfies them, and nothing that the engine does beside changes a token.</summary>
[Trait("Category", "Golden")]
public sealed class EngineConstraintTests : IDisposable
{
    private const string Schema = """
        {"type":"object","properties":{"name":{"type":"string","maxLength":30},"n":{"type":"integer","minimum":0,"maximum":999},"ok":{"type":"boolean"}},"required":["name","n","ok"],"additionalProperties":false}
        """;

    private readonly Checkpoint _checkpoint;
    private readonly CausalLm _model;
    private readonly Compute _compute = new(1);
    private readonly Tokenizer _tokenizer = PrintableTokenizer.Create();
    private readonly TokenTrie _trie;

    public EngineConstraintTests()
    {
        (_checkpoint, _model) = TinyModels.FirstOrNone(model => model.NextToken is not null);
        _trie = new TokenTrie(_tokenizer);
    }

    [SkippableTheory]
    [InlineData(DraftSource.PromptLookup)]
    [InlineData(DraftSource.NextTokenLayer)]
    public void Drafts_preemption_and_forks_change_no_token_of_a_constrained_answer(DraftSource drafts)
    {
        Skip.If(_model is null);
        Constraint constraint = Constraint.FromJsonSchema(_trie, Schema, new JsonSchemaOptions { Whitespace = false });
        GenerationRequest[] requests = [.. Enumerable.Range(0, 4).Select(i => Request($$"""Examples: {"name":"ab","n":{{i}},"ok":true} {"name":"in","n":10,"ok":false} now:""", constraint, i))];
        EngineStatistics busy = Run(requests, new EngineOptions { ContextLength = 250, CacheTokens = 64 * 5, PrefillTokens = 50, Drafts = drafts, MaxDrafts = 4 }, out List<EngineToken>[] together);
        Assert.True(busy.Preemptions > 0, "nothing was preempted");
        Assert.True(busy.DraftedTokens > 0 && (drafts == DraftSource.NextTokenLayer || busy.AcceptedTokens > 0), "no draft was right");
        for (int i = 0; i < requests.Length; i++)
        {
            Run([requests[i]], new EngineOptions { ContextLength = 250, MaxDrafts = 0 }, out List<EngineToken>[] alone);
            for (int answer = 0; answer < 2; answer++)
            {
                List<EngineToken> expected = [.. alone[0].Where(t => t.Answer == answer)], found = [.. together[i].Where(t => t.Answer == answer)];
                Assert.Equal(expected.Select(t => (t.Token, t.Logprob, t.Finish)), found.Select(t => (t.Token, t.Logprob, t.Finish)));
                Assert.Equal(FinishReason.Stop, found[^1].Finish);
                using JsonDocument json = JsonDocument.Parse(Text(found));
                Assert.Equal(["name", "n", "ok"], json.RootElement.EnumerateObject().Select(p => p.Name));
            }
        }
    }

    [SkippableFact]
    public void A_complete_text_ends_before_the_least_length_and_an_open_one_does_not()
    {
        Skip.If(_model is null);
        Constraint fixedText = Constraint.FromRegex(_trie, "abc"), open = Constraint.FromRegex(_trie, "[ab]*");
        Run([Request("x", fixedText, 1) with { MinTokens = 30, Count = 1 }, Request("x", open, 1) with { MinTokens = 30, Count = 1 }], new EngineOptions { ContextLength = 250 }, out List<EngineToken>[] answers);
        Assert.Equal("abc", Text(answers[0]));
        Assert.Equal(FinishReason.Stop, answers[0][^1].Finish);
        Assert.True(answers[1].Count >= 30, $"{answers[1].Count} tokens");
        Assert.Matches("^[ab]*$", Text(answers[1]));
    }

    [SkippableTheory]
    [InlineData(0)]
    [InlineData(4)]
    public void A_think_block_is_free_up_to_its_budget_and_the_text_behind_it_is_constrained(int drafts)
    {
        Skip.If(_model is null);
        Constraint inner = Constraint.FromRegex(_trie, "(yes|no)!");
        var rule = new ThinkingRule(PrintableTokenizer.ThinkOpen, PrintableTokenizer.ThinkClose, [PrintableTokenizer.EndOfText], ReasoningStart.Open, 12);
        GenerationRequest request = Request("Is it? <think>", inner, 5) with { Count = 1, Constraint = () => new AfterThinking(rule, inner.Start()) };
        Run([request], new EngineOptions { ContextLength = 250, MaxDrafts = drafts }, out List<EngineToken>[] answers);
        int[] tokens = [.. answers[0].Select(t => t.Token)];
        int close = Array.IndexOf(tokens, PrintableTokenizer.ThinkClose);
        Assert.InRange(close, 0, 12);
        Assert.DoesNotContain(PrintableTokenizer.EndOfText, tokens[..close]);
        Assert.Matches(new Regex("^(yes|no)!$"), Text(answers[0][(close + 1)..]));
        Run([request], new EngineOptions { ContextLength = 250, MaxDrafts = 0 }, out List<EngineToken>[] plain);
        Assert.Equal(plain[0].Select(t => t.Token), tokens);
    }

    public void Dispose()
    {
        _compute.Dispose();
        _model?.Dispose();
        _checkpoint?.Dispose();
    }

    private GenerationRequest Request(string prompt, Constraint constraint, int seed) => new()
    {
        Prompt = _tokenizer.Encode(prompt, EncodeOptions.RenderedPrompt),
        MaxTokens = 120,
        Count = 2,
        StopTokens = [PrintableTokenizer.EndOfText],
        Sampling = new SamplingOptions { Temperature = seed == 0 ? 0 : 0.8f, Seed = (ulong)seed },
        Constraint = constraint.Start,
    };

    private EngineStatistics Run(GenerationRequest[] requests, EngineOptions options, out List<EngineToken>[] answers)
    {
        using var core = new EngineCore(_model, _compute, options, _tokenizer);
        Generation[] generations = [.. requests.Select(request => new Generation(request, core.Cancel))];
        foreach (Generation generation in generations)
        {
            core.Check(generation.Request);
            core.Add(generation);
        }

        while (core.HasWork)
            core.Step();
        answers = [.. generations.Select(Read)];
        return core.Statistics;
    }

    private static List<EngineToken> Read(Generation generation)
    {
        var tokens = new List<EngineToken>();
        while (generation.TryRead(out EngineToken token))
            tokens.Add(token);
        return tokens;
    }

    // Without the token that ended it.
    private string Text(IEnumerable<EngineToken> tokens) => _tokenizer.Decode([.. tokens.Select(t => t.Token).Where(t => t != PrintableTokenizer.EndOfText)]);
}
