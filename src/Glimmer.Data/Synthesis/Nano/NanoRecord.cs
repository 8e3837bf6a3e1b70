using System.Text.Json.Nodes;

namespace Glimmer.Data.Synthesis.Nano;

/// <summary>Which part of the data an item is in.</summary>
public enum NanoSplit
{
    /// <summary>To train on.</summary>
    Train,

    /// <summary>To measure on; its keys do not occur in the training part.</summary>
    Test,
}

/// <summary>A generated conversation.</summary>
/// <param name="Family">What it teaches: <c>tools</c>, <c>arithmetic</c>, <c>instructions</c>, <c>answers</c>, <c>gsm8k</c>.</param>
/// <param name="Key">What makes it this item: the operands, the tool; split by its hash.</param>
/// <param name="Json">The record in the form of fine-tuning data: <c>messages</c>, <c>tools</c>, <c>chat_template_kwargs</c>, <c>channel</c>.</param>
public sealed record NanoRecord(string Family, string Key, JsonObject Json)
{
    /// <summary>A record of a question and an answer, thinking or direct.</summary>
    internal static NanoRecord Of(string family, string key, string question, string? thinking, string answer) => new(family, key, new JsonObject
    {
        ["messages"] = new JsonArray(User(question), Assistant(thinking, answer)),
        ["chat_template_kwargs"] = new JsonObject { ["enable_thinking"] = thinking is not null },
        ["channel"] = family,
    });

    internal static JsonObject User(string text) => new() { ["role"] = "user", ["content"] = text };

    internal static JsonObject Assistant(string? thinking, string text)
    {
        var message = new JsonObject { ["role"] = "assistant" };
        if (thinking is not null)
            message["reasoning_content"] = thinking;
        message["content"] = text;
        return message;
    }
}
