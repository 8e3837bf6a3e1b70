using System.Text.Json;
using Glimmer.Inference;
using Microsoft.Extensions.AI;

namespace Glimmer.Samples;

/// <summary>A model as an <see cref="IChatClient"/>, with an answer in JSON.</summary>
public static class ChatClientSample
{
    private const string Schema = """
        {"type":"object","properties":{"city":{"type":"string","maxLength":20}},"required":["city"],"additionalProperties":false}
        """;

    /// <summary>Runs the sample.</summary>
    public static async Task RunAsync(LoadedModel model, Engine engine, TextWriter output)
    {
        using IChatClient client = new GlmChatClient(model, engine);
        using JsonDocument schema = JsonDocument.Parse(Schema);
        var options = new ChatOptions { Temperature = 0, MaxOutputTokens = 60, ResponseFormat = ChatResponseFormat.ForJsonSchema(schema.RootElement) };
        ChatResponse response = await client.GetResponseAsync("What is the capital of France?", options);
        output.WriteLine($"{response.Text} ({response.Usage!.OutputTokenCount} tokens, {response.FinishReason})");
    }
}
