using Glimmer.Inference;
using Glimmer.Inference.Constraints;

namespace Glimmer.Samples;

/// <summary>Two sampled answers in a given form, with log-probabilities.</summary>
public static class GenerationRequestSample
{
    /// <summary>Runs the sample.</summary>
    public static async Task RunAsync(LoadedModel model, Engine engine, TextWriter output)
    {
        var trie = new TokenTrie(model.Tokenizer, model.StopTokens); // once a model
        Constraint colours = Constraint.FromRegex(trie, "(red|green|blue|yellow)(, (red|green|blue|yellow)){2}");
        Generation generation = engine.Submit(new GenerationRequest
        {
            Prompt = model.Tokenizer.Encode("Three colours: "),
            Count = 2,
            StopTokens = model.StopTokens,
            Sampling = new SamplingOptions { Temperature = 0.8f, TopP = 0.9f, Seed = 7 },
            Constraint = colours.Start,
        });
        await foreach (EngineToken token in generation.ReadAllAsync())
            output.WriteLine($"answer {token.Answer}: '{model.Tokenizer.Decode([token.Token])}' {token.Logprob:0.00} {token.Finish}");
    }
}
