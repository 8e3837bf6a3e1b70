using System.Text;
using Glimmer.Chat;
using Glimmer.Server.Http;
using Glimmer.Server.OpenAi;
using Glimmer.Server.Turns;

namespace Glimmer.Server.Gemini;

/// <summary>Reads the body of generateContent and countTokens.</summary>
internal static class ContentReader
{
    /// <summary>Translates a request.</summary>
    /// <exception cref="ApiException">A field is wrong.</exception>
    public static TurnRequest Read(Fields body, string id, ImagePolicy images)
    {
        if (body.Text("cachedContent") is { Length: > 0 })
            throw ApiException.Invalid("cachedContent is not supported: prefixes are cached by themselves. Send the whole content.", "cachedContent");
        Fields config = body.Object("generationConfig") ?? body.Object("generation_config") ?? new Fields([], "generationConfig");
        bool wantsLogprobs = config.Flag("responseLogprobs") ?? false;
        var request = new TurnRequest
        {
            Id = id,
            Messages = Messages(body, images),
            Tools = Tools(body),
            Thinking = Thinking(config),
            Sampling = new SamplingChoice
            {
                Temperature = config.Number("temperature", 0, 2),
                TopP = config.Number("topP", 0, 1, excludeLeast: true),
                TopK = config.Number("topK", -1) is { } topK ? (int)Math.Min(topK, int.MaxValue) : null,
                PresencePenalty = config.Number("presencePenalty", -2, 2),
                FrequencyPenalty = config.Number("frequencyPenalty", -2, 2),
                Seed = config.Long("seed") is { } seed ? (ulong)seed : null,
            },
            MaxTokens = config.Integer("maxOutputTokens", 1),
            Stops = SharedFields.Stops(config, "stopSequences"),
            Count = config.Integer("candidateCount", 1, 16) ?? 1,
            Format = Format(config),
            Logprobs = wantsLogprobs,
            TopLogprobs = config.Integer("logprobs", 0, 20) ?? 0,
        };
        return Choice(body, request);
    }

    /// <summary>Whether thoughts are sent.</summary>
    public static bool IncludesThoughts(Fields body) =>
        (body.Object("generationConfig") ?? body.Object("generation_config"))?.Object("thinkingConfig")?.Flag("includeThoughts") ?? false;

    private static List<ChatMessage> Messages(Fields body, ImagePolicy images)
    {
        var messages = new List<ChatMessage>();
        DataValue? system = body.Value("systemInstruction") ?? body.Value("system_instruction");
        if (system is not null)
            messages.Add(ChatMessage.System(system.AsString ?? PlainText(new Fields(system as DataObject ?? throw body.Wrong("systemInstruction", "a content or a string"), "systemInstruction"))));
        DataValue contents = body.Value("contents") ?? throw body.Missing("contents");
        if (contents.AsString is { } plain)
        {
            messages.Add(ChatMessage.User(plain));
            return messages;
        }

        IReadOnlyList<Fields> sent = contents is DataObject one ? [new Fields(one, "contents")] : body.Objects("contents");
        if (sent.Count == 0)
            throw body.Missing("contents");
        // Calls are answered by name in order where ids are missing.
        var open = new List<ToolCall>();
        for (int i = 0; i < sent.Count; i++)
        {
            string role = sent[i].Text("role") ?? "user";
            switch (role)
            {
                case "user" or "function" or "tool":
                    AddUser(messages, sent[i], i, images, open);
                    break;
                case "model":
                    messages.Add(Model(sent[i], i, images, open));
                    break;
                case "system":
                    messages.Add(ChatMessage.System(PlainText(sent[i])));
                    break;
                default:
                    throw ApiException.Invalid($"contents.{i}.role is '{role}'; expected user or model.", $"contents.{i}.role");
            }
        }

        return messages;
    }

    private static void AddUser(List<ChatMessage> messages, Fields content, int index, ImagePolicy images, List<ToolCall> open)
    {
        var text = new StringBuilder();
        IReadOnlyList<Fields> parts = content.Objects("parts");
        for (int i = 0; i < parts.Count; i++)
        {
            if (parts[i].Object("functionResponse") is not { } response)
            {
                text.Append(PartText(parts[i], index, i, images));
                continue;
            }

            Flush();
            string name = response.Text("name") ?? "";
            string? id = response.Text("id") ?? open.Find(call => call.Name == name)?.Id;
            open.RemoveAll(call => call.Id == id);
            messages.Add(ChatMessage.Tool(ResultText(response), id) with { Name = name });
        }

        Flush();

        void Flush()
        {
            if (text.Length > 0)
                messages.Add(ChatMessage.User(text.ToString()));
            text.Clear();
        }
    }

    private static ChatMessage Model(Fields content, int index, ImagePolicy images, List<ToolCall> open)
    {
        StringBuilder text = new(), reasoning = new();
        var calls = new List<ToolCall>();
        IReadOnlyList<Fields> parts = content.Objects("parts");
        for (int i = 0; i < parts.Count; i++)
        {
            if (parts[i].Object("functionCall") is { } call)
            {
                calls.Add(new ToolCall
                {
                    Id = call.Text("id") ?? RequestIds.New("call_"),
                    Name = call.RequiredText("name"),
                    Arguments = call.Object("args")?.Data ?? [],
                });
            }
            else
                (parts[i].Flag("thought") == true ? reasoning : text).Append(PartText(parts[i], index, i, images));
        }

        open.AddRange(calls);
        return ChatMessage.Assistant(text.ToString(), reasoning.Length > 0 ? reasoning.ToString() : null) with { ToolCalls = calls };
    }

    private static string PlainText(Fields content) => string.Concat(content.Objects("parts").Select(part => part.Text("text")));

    private static string PartText(Fields part, int content, int index, ImagePolicy images)
    {
        if (part.Text("text") is { } text)
            return text;
        if (part.Object("executableCode") is { } code)
            return $"```{code.Text("language")?.ToLowerInvariant()}\n{code.Text("code")}\n```\n";
        if (part.Object("codeExecutionResult") is { } result)
            return $"```\n{result.Text("output")}\n```\n";
        if ((part.Object("inlineData") ?? part.Object("inline_data") ?? part.Object("fileData") ?? part.Object("file_data")) is not { } media)
            return "";
        string type = media.Text("mimeType") ?? media.Text("mime_type") ?? "media";
        return images == ImagePolicy.Placeholder
            ? $"[{type} omitted: this model reads text only]"
            : throw ApiException.Invalid($"This server runs a text-only model; {type} content (message {content}, part {index}) is not supported.", $"contents.{content}.parts.{index}", "unsupported_content");
    }

    // Functions that return one text need no JSON around it.
    private static string ResultText(Fields response)
    {
        if (response.Value("response") is not DataObject result)
            return response.Text("response") ?? "";
        if (result.Count == 1 && (result.Find("output") ?? result.Find("error") ?? result.Find("result"))?.AsString is { } single)
            return single;
        return Encoding.UTF8.GetString(JsonText.Write(json => json.WriteData(result)));
    }

    private static List<ToolDefinition> Tools(Fields body)
    {
        var tools = new List<ToolDefinition>();
        foreach (Fields group in body.Objects("tools", 1024))
        {
            string field = group.Has("function_declarations") ? "function_declarations" : "functionDeclarations";
            foreach (Fields declared in group.Objects(field, 1024))
            {
                var function = new DataObject { { "name", declared.RequiredText("name") } };
                if (declared.Text("description") is { } description)
                    function["description"] = description;
                DataObject? schema = (declared.Object("parametersJsonSchema") ?? declared.Object("parameters"))?.Data;
                function["parameters"] = schema is null ? new DataObject { { "type", "object" }, { "properties", new DataObject() } } : GeminiSchema.Convert(schema);
                tools.Add(new ToolDefinition(new DataObject { { "type", "function" }, { "function", function } }));
            }
        }

        return tools;
    }

    private static TurnRequest Choice(Fields body, TurnRequest request)
    {
        Fields? calling = (body.Object("toolConfig") ?? body.Object("tool_config"))?.Object("functionCallingConfig");
        if (calling is null)
            return request;
        IReadOnlyList<string> allowed = calling.TextOrTexts("allowedFunctionNames");
        foreach (string name in allowed)
        {
            if (request.Tools.All(tool => tool.Name != name))
                throw ApiException.Invalid($"allowedFunctionNames contains '{name}', which is not declared.", "toolConfig.functionCallingConfig.allowedFunctionNames");
        }

        switch (calling.Text("mode")?.ToUpperInvariant())
        {
            case null or "AUTO" or "VALIDATED" or "MODE_UNSPECIFIED":
                return request;
            case "NONE":
                return request with { Choice = CallChoice.None };
            case "ANY" when request.Tools.Count == 0:
                throw ApiException.Invalid("The mode ANY demands a call, but no function is declared.", "toolConfig.functionCallingConfig.mode");
            case "ANY":
                return request with { Choice = CallChoice.Required, NamedTool = allowed.Count == 1 ? allowed[0] : null, AllowedTools = allowed.Count > 1 ? allowed : null };
            case { } mode:
                throw ApiException.Invalid($"functionCallingConfig.mode is '{mode}'; expected AUTO, ANY, NONE or VALIDATED.", "toolConfig.functionCallingConfig.mode");
        }
    }

    private static ThinkingSwitches Thinking(Fields config)
    {
        Fields? thinking = config.Object("thinkingConfig");
        int? budget = thinking?.Integer("thinkingBudget", -1);
        var switches = new ThinkingSwitches(budget switch { null or -1 => null, 0 => false, _ => true }, Budget: budget > 0 ? budget : null);
        string? level = thinking?.Text("thinkingLevel")?.ToLowerInvariant();
        return level is null or "thinking_level_unspecified" ? switches : ChatRequestReader.Effort(level, "thinkingConfig.thinkingLevel", switches);
    }

    private static OutputFormat? Format(Fields config)
    {
        DataObject? schema = (config.Object("responseJsonSchema") ?? config.Object("responseSchema"))?.Data;
        switch (config.Text("responseMimeType"))
        {
            case "application/json":
                return schema is null ? new OutputFormat(OutputFormatKind.JsonObject, "") : new OutputFormat(OutputFormatKind.JsonSchema, GeminiSchema.Convert(schema).ToJson());
            case "text/x.enum":
                IReadOnlyList<string> words = schema is null ? [] : new Fields(schema, "responseSchema").TextOrTexts("enum");
                if (words.Count == 0)
                    throw ApiException.Invalid("responseMimeType text/x.enum needs a responseSchema with 'enum'.", "generationConfig.responseSchema");
                return new OutputFormat(OutputFormatKind.Regex, string.Join('|', words.Select(SharedFields.Escape)));
            default:
                return null;
        }
    }
}
