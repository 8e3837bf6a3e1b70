using Glimmer.Chat;
using Glimmer.Server.Http;
using Glimmer.Server.OpenAi;
using Microsoft.AspNetCore.Http;

namespace Glimmer.Server.Native;

/// <summary>Endpoints that take a finished text apart, as every API does with what the model writes: reasoning, text and calls.</summary>
/// <param name="state">The server.</param>
internal sealed class Parsing(ServerState state)
{
    /// <summary><c>/parse_function_call</c>: <c>{text, tools, tool_call_parser?}</c> to <c>{normal_text, calls: [{tool_index, name, parameters}]}</c>; parameters are JSON text.</summary>
    public async Task CallsAsync(HttpContext context)
    {
        Fields body = await ReadAsync(context, "tool_call_parser").ConfigureAwait(false);
        IReadOnlyList<ToolDefinition> tools = ChatRequestReader.Tools(body);
        ParsedMessage message = Parse(body, new MessageParserOptions { Grammar = MessageGrammar.Glm47, Tools = tools });
        await JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteString("normal_text", message.Content ?? "");
            json.WriteStartArray("calls");
            foreach (ToolCall call in message.ToolCalls)
            {
                json.WriteStartObject();
                json.WriteNumber("tool_index", tools.TakeWhile(tool => tool.Name != call.Name).Count());
                json.WriteString("name", call.Name);
                json.WriteString("parameters", call.ArgumentsJson);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }).ConfigureAwait(false);
    }

    /// <summary><c>/separate_reasoning</c>: <c>{text, reasoning_parser?}</c> to <c>{reasoning_text, text}</c>. A text that closes a block it never opened began inside of it, as behind a prompt that opens one.</summary>
    public async Task ReasoningAsync(HttpContext context)
    {
        Fields body = await ReadAsync(context, "reasoning_parser").ConfigureAwait(false);
        string text = body.RequiredText("text");
        int open = text.IndexOf("<think>", StringComparison.Ordinal), close = text.IndexOf("</think>", StringComparison.Ordinal);
        ParsedMessage message = Parse(body, new MessageParserOptions { Grammar = MessageGrammar.Glm47, StartsInReasoning = close >= 0 && (open < 0 || open > close) });
        await JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteString("reasoning_text", message.Reasoning ?? "");
            json.WriteString("text", message.Content ?? "");
            json.WriteEndObject();
        }).ConfigureAwait(false);
    }

    private static ParsedMessage Parse(Fields body, MessageParserOptions options)
    {
        var parser = new GlmMessageParser(options);
        parser.Append(body.RequiredText("text"));
        parser.Complete();
        return parser.Message;
    }

    // One parser reads the layouts of all GLM models.
    private async Task<Fields> ReadAsync(HttpContext context, string parser)
    {
        Fields body = await RequestBody.ReadAsync(context, state.Options.MaxRequestBytes).ConfigureAwait(false);
        if (body.Text(parser) is { } name && !name.StartsWith("glm", StringComparison.Ordinal) && name != "auto")
            throw ApiException.Invalid($"{parser} is '{name}'; expected auto, glm45 or glm47.", parser);
        return body;
    }
}
