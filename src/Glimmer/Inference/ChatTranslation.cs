using System.Globalization;
using System.Text;
using System.Text.Json;
using Glimmer.Chat;
using Microsoft.Extensions.AI;
using ChatMessage = Glimmer.Chat.ChatMessage;

namespace Glimmer.Inference;

/// <summary>Between the types of Microsoft.Extensions.AI and ours. What cannot be said in a prompt is refused by name.</summary>
internal static class ChatTranslation
{
    /// <summary>The conversation, with the options' instructions first. A tool message with several results becomes several messages.</summary>
    public static List<ChatMessage> Messages(IEnumerable<Microsoft.Extensions.AI.ChatMessage> messages, ChatOptions? options)
    {
        var translated = new List<ChatMessage>();
        if (!string.IsNullOrEmpty(options?.Instructions))
            translated.Add(ChatMessage.System(options.Instructions));
        foreach (Microsoft.Extensions.AI.ChatMessage message in messages)
            Add(translated, message);
        return translated;
    }

    /// <summary>The tools that the model may call.</summary>
    public static IReadOnlyList<ToolDefinition> Tools(ChatOptions? options)
    {
        if (options?.Tools is not { Count: > 0 } || options.ToolMode is NoneChatToolMode)
            return [];
        return [.. options.Tools.Select(tool => tool is AIFunctionDeclaration function
            ? Definition(function)
            : throw new UnsupportedModelException($"The tool '{tool.Name}' is a {tool.GetType().Name}; only functions (AIFunctionDeclaration) are supported."))];
    }

    /// <summary>What the template may choose.</summary>
    public static ChatTemplateOptions Template(ChatOptions? options, IReadOnlyList<ToolDefinition> tools)
    {
        if (options?.ConversationId is not null)
            throw new UnsupportedModelException("ChatOptions.ConversationId is not supported: conversations are not stored, send all messages.");
        ReasoningEffort? effort = options?.Reasoning?.Effort;
        bool? thinking = effort is null ? null : effort != ReasoningEffort.None;
        return new ChatTemplateOptions
        {
            Tools = tools,
            EnableThinking = Flag(options, "enable_thinking") ?? thinking,
            ClearThinking = Flag(options, "clear_thinking") ?? (tools.Count > 0 ? false : null),
            ReasoningEffort = effort switch
            {
                null or ReasoningEffort.None => null,
                ReasoningEffort.Low => "low",
                ReasoningEffort.Medium => "medium",
                ReasoningEffort.High => "high",
                _ => "max",
            },
        };
    }

    /// <summary>A call that the model made. Arguments are JSON elements, so numbers keep their spelling when they come back.</summary>
    public static FunctionCallContent Call(ToolCall call)
    {
        var arguments = new Dictionary<string, object?>();
        foreach ((string name, DataValue value) in call.Arguments)
        {
            using JsonDocument json = JsonDocument.Parse(value.ToJson());
            arguments[name] = json.RootElement.Clone();
        }

        return new FunctionCallContent(call.Id ?? "", call.Name, arguments);
    }

    private static void Add(List<ChatMessage> translated, Microsoft.Extensions.AI.ChatMessage message)
    {
        StringBuilder text = new(), reasoning = new();
        var calls = new List<ToolCall>();
        bool hasResults = false;
        foreach (AIContent content in message.Contents)
        {
            switch (content)
            {
                case TextReasoningContent thought:
                    reasoning.Append(thought.Text);
                    break;
                case TextContent part:
                    text.Append(part.Text);
                    break;
                case FunctionCallContent call:
                    calls.Add(new ToolCall { Id = call.CallId, Name = call.Name, Arguments = Arguments(call) });
                    break;
                case FunctionResultContent result:
                    hasResults = true;
                    translated.Add(ChatMessage.Tool(Text(result.Result), result.CallId));
                    break;
                case UsageContent:
                    break; // Counts of an earlier answer are no part of the conversation.
                default:
                    throw new UnsupportedModelException($"A message of '{message.Role}' contains {content.GetType().Name}; the model reads text only.");
            }
        }

        if (hasResults && text.Length == 0)
            return;
        translated.Add(new ChatMessage
        {
            Role = message.Role.Value,
            Content = text.ToString(),
            ReasoningContent = reasoning.Length > 0 ? reasoning.ToString() : null,
            ToolCalls = calls,
            Name = message.AuthorName,
        });
    }

    private static ToolDefinition Definition(AIFunctionDeclaration function)
    {
        var inner = new DataObject { { "name", function.Name } };
        if (!string.IsNullOrEmpty(function.Description))
            inner["description"] = function.Description;
        inner["parameters"] = DataValue.From(function.JsonSchema);
        return new ToolDefinition(new DataObject { { "type", "function" }, { "function", inner } });
    }

    private static DataObject Arguments(FunctionCallContent call)
    {
        var arguments = new DataObject();
        foreach ((string name, object? value) in call.Arguments ?? new Dictionary<string, object?>())
            arguments[name] = value is null ? DataValue.Null : DataValue.Parse(Json(value));
        return arguments;
    }

    // Strings stay text; everything else is its JSON.
    private static string Text(object? result) => result switch
    {
        null => "",
        string text => text,
        JsonElement { ValueKind: JsonValueKind.String } json => json.GetString()!,
        _ => Json(result),
    };

    private static string Json(object value) => value switch
    {
        JsonElement json => json.GetRawText(),
        _ => JsonSerializer.Serialize(value, AIJsonUtilities.DefaultOptions.GetTypeInfo(value.GetType())),
    };

    private static bool? Flag(ChatOptions? options, string name)
    {
        if (options?.AdditionalProperties?.TryGetValue(name, out object? value) is not true || value is null)
            return null;
        return value switch
        {
            bool flag => flag,
            JsonElement { ValueKind: JsonValueKind.True or JsonValueKind.False } json => json.GetBoolean(),
            _ => throw new ArgumentException($"ChatOptions.AdditionalProperties['{name}'] is {Convert.ToString(value, CultureInfo.InvariantCulture)}; expected a boolean."),
        };
    }
}
