using Glimmer.Chat;
using Glimmer.Inference;
using Glimmer.Tokenization;

namespace Glimmer.Samples;

/// <summary>Tokens of one request as they come.</summary>
public static class EngineSample
{
    /// <summary>Runs the sample.</summary>
    public static async Task RunAsync(LoadedModel model, TextWriter output)
    {
        using var engine = new Engine(model);
        int[] prompt = model.EncodeChat([ChatMessage.User("What is the capital of France?")], null, out _);
        Generation generation = engine.Submit(new GenerationRequest { Prompt = prompt, StopTokens = model.StopTokens, MaxTokens = 40 });
        var text = new Detokenizer(model.Tokenizer, skipSpecial: true);
        await foreach (EngineToken token in generation.ReadAllAsync())
            output.Write(text.Append(token.Token));
    }
}
