using System.Text.Json;

namespace Glimmer.Tests.Server;

/// <summary>What a stream of any API but chat and completions adds up to, in the same terms for all of them; the order of events is checked on the way.</summary>
internal sealed class StreamedAnswer
{
    private readonly List<string> _parts = [];

    /// <summary>Reasoning of each choice.</summary>
    public SortedDictionary<int, string> Reasoning { get; } = [];

    /// <summary>Text of each choice.</summary>
    public SortedDictionary<int, string> Text { get; } = [];

    /// <summary>Complete calls: name and arguments as JSON.</summary>
    public List<(string Name, string Arguments)> Calls { get; } = [];

    /// <summary>Names of all calls that were begun.</summary>
    public List<string> Begun { get; } = [];

    /// <summary>How it ended, in the API's words; null for no end.</summary>
    public string? Finish { get; private set; }

    /// <summary>The stop text.</summary>
    public string? Stop { get; private set; }

    /// <summary>Type of an error in the stream.</summary>
    public string? Error { get; private set; }

    /// <summary>Whether the last event came.</summary>
    public bool IsTerminated { get; private set; }

    /// <summary>Tokens of the prompt; 0 when unknown.</summary>
    public int Prompt { get; private set; }

    /// <summary>Ids of the answer, of native streams.</summary>
    public int[] Ids { get; private set; } = [];

    /// <summary>Texts of tokens with log-probabilities.</summary>
    public List<string> Tokens { get; } = [];

    /// <summary>Adds a stream up.</summary>
    public static StreamedAnswer Of(string dialect, string stream)
    {
        var answer = new StreamedAnswer();
        foreach (string item in stream.Split("\n\n", StringSplitOptions.RemoveEmptyEntries))
        {
            string[] lines = item.Split('\n');
            if (lines.FirstOrDefault(line => line.StartsWith("data: ", StringComparison.Ordinal)) is not { } data)
                continue;
            Assert.False(answer.IsTerminated, "an event after the last one");
            if (data == "data: [DONE]")
            {
                answer.IsTerminated = true;
                continue;
            }

            JsonElement json = JsonDocument.Parse(data["data: ".Length..]).RootElement;
            if (dialect is "anthropic" or "openai_responses")
                Assert.Equal("event: " + json.GetProperty("type").GetString(), lines.First(line => line.StartsWith("event: ", StringComparison.Ordinal)));
            switch (dialect)
            {
                case "anthropic":
                    answer.Message(json);
                    break;
                case "gemini":
                    answer.Content(json);
                    break;
                case "openai_responses":
                    answer.Response(json);
                    break;
                default:
                    answer.Native(json);
                    break;
            }
        }

        return answer;
    }

    private static string Add(SortedDictionary<int, string> texts, int choice, string? text) => texts[choice] = texts.GetValueOrDefault(choice, "") + text;

    // Blocks are opened in order and never overlap.
    private void Message(JsonElement item)
    {
        switch (item.GetProperty("type").GetString())
        {
            case "message_start":
                Prompt = item.GetProperty("message").GetProperty("usage").GetProperty("input_tokens").GetInt32();
                Add(Text, 0, "");
                Add(Reasoning, 0, "");
                break;
            case "content_block_start":
                Assert.Empty(_parts);
                JsonElement block = item.GetProperty("content_block");
                _parts.AddRange([block.GetProperty("type").GetString()!, block.TryGetProperty("name", out JsonElement name) ? name.GetString()! : "", ""]);
                if (_parts[0] == "tool_use")
                    Begun.Add(_parts[1]);
                break;
            case "content_block_delta":
                JsonElement delta = item.GetProperty("delta");
                switch (delta.GetProperty("type").GetString())
                {
                    case "text_delta":
                        Assert.Equal("text", _parts[0]);
                        Add(Text, 0, delta.GetProperty("text").GetString());
                        break;
                    case "thinking_delta":
                        Assert.Equal("thinking", _parts[0]);
                        Add(Reasoning, 0, delta.GetProperty("thinking").GetString());
                        break;
                    case "input_json_delta":
                        Assert.Equal("tool_use", _parts[0]);
                        _parts[2] += delta.GetProperty("partial_json").GetString();
                        break;
                }

                break;
            case "content_block_stop":
                if (_parts[0] == "tool_use" && IsObject(_parts[2]))
                    Calls.Add((_parts[1], _parts[2]));
                _parts.Clear();
                break;
            case "message_delta":
                Finish = item.GetProperty("delta").GetProperty("stop_reason").GetString();
                Stop = item.GetProperty("delta").GetProperty("stop_sequence").GetString();
                break;
            case "message_stop":
                IsTerminated = true;
                break;
            case "error":
                Error = item.GetProperty("error").GetProperty("type").GetString();
                IsTerminated = true;
                break;
        }
    }

    private void Content(JsonElement item)
    {
        if (item.TryGetProperty("usageMetadata", out JsonElement usage) && usage.TryGetProperty("promptTokenCount", out JsonElement prompt))
            Prompt = prompt.GetInt32();
        foreach (JsonElement candidate in item.GetProperty("candidates").EnumerateArray())
        {
            int choice = candidate.TryGetProperty("index", out JsonElement index) ? index.GetInt32() : 0;
            Add(Text, choice, "");
            Add(Reasoning, choice, "");
            if (candidate.TryGetProperty("content", out JsonElement content) && content.TryGetProperty("parts", out JsonElement parts))
            {
                foreach (JsonElement part in parts.EnumerateArray())
                {
                    if (part.TryGetProperty("text", out JsonElement text))
                        Add(part.TryGetProperty("thought", out JsonElement thought) && thought.GetBoolean() ? Reasoning : Text, choice, text.GetString());
                    if (part.TryGetProperty("functionCall", out JsonElement call))
                        Calls.Add((call.GetProperty("name").GetString()!, call.TryGetProperty("args", out JsonElement args) ? args.GetRawText() : "{}"));
                }
            }

            if (candidate.TryGetProperty("logprobsResult", out JsonElement logprobs) && logprobs.TryGetProperty("chosenCandidates", out JsonElement chosen))
                Tokens.AddRange(chosen.EnumerateArray().Select(token => token.GetProperty("token").GetString()!));
            if (candidate.TryGetProperty("finishReason", out JsonElement finish))
            {
                Finish = finish.GetString();
                IsTerminated = false;
                _parts.Add(choice.ToString(System.Globalization.CultureInfo.InvariantCulture));
            }
        }
    }

    // Numbers count up; what deltas said is what the done events and the last object say.
    private void Response(JsonElement item)
    {
        Assert.Equal(_sequence++, item.GetProperty("sequence_number").GetInt32());
        string type = item.GetProperty("type").GetString()!;
        switch (type)
        {
            case "response.output_text.delta":
                Add(Text, 0, item.GetProperty("delta").GetString());
                _delta += item.GetProperty("delta").GetString();
                break;
            case "response.reasoning_text.delta":
                Add(Reasoning, 0, item.GetProperty("delta").GetString());
                _delta += item.GetProperty("delta").GetString();
                break;
            case "response.function_call_arguments.delta":
                _delta += item.GetProperty("delta").GetString();
                break;
            case "response.output_text.done" or "response.reasoning_text.done":
                Assert.Equal(_delta, item.GetProperty("text").GetString());
                _delta = "";
                break;
            case "response.function_call_arguments.done":
                Assert.Equal(_delta, item.GetProperty("arguments").GetString());
                _delta = "";
                break;
            case "response.output_item.added" when item.GetProperty("item").GetProperty("type").GetString() == "function_call":
                Begun.Add(item.GetProperty("item").GetProperty("name").GetString()!);
                break;
            case "response.output_item.done":
                JsonElement done = item.GetProperty("item");
                _parts.Add(done.GetRawText());
                if (done.GetProperty("type").GetString() == "function_call" && done.GetProperty("status").GetString() == "completed")
                    Calls.Add((done.GetProperty("name").GetString()!, done.GetProperty("arguments").GetString()!));
                if (done.GetProperty("type").GetString() == "message")
                {
                    foreach (JsonElement part in done.GetProperty("content").EnumerateArray().Where(part => part.TryGetProperty("logprobs", out JsonElement list) && list.ValueKind == JsonValueKind.Array))
                        Tokens.AddRange(part.GetProperty("logprobs").EnumerateArray().Select(token => token.GetProperty("token").GetString()!));
                }

                break;
            case "response.completed" or "response.incomplete" or "response.failed":
                IsTerminated = true;
                JsonElement response = item.GetProperty("response");
                Finish = response.GetProperty("status").GetString();
                if (response.GetProperty("error") is { ValueKind: JsonValueKind.Object } error)
                    Error = error.GetProperty("code").GetString();
                else
                    Assert.Equal(_parts.Count, response.GetProperty("output").GetArrayLength());
                if (response.GetProperty("usage") is { ValueKind: JsonValueKind.Object } usage)
                    Prompt = usage.GetProperty("input_tokens").GetInt32();
                break;
        }

        Text.TryAdd(0, "");
        Reasoning.TryAdd(0, "");
    }

    private int _sequence;
    private string _delta = "";

    // Each chunk has everything so far.
    private void Native(JsonElement item)
    {
        if (item.TryGetProperty("error", out _))
        {
            Error = "error";
            return;
        }

        string text = item.GetProperty("text").GetString()!;
        Assert.StartsWith(Text.GetValueOrDefault(0, ""), text, StringComparison.Ordinal);
        Text[0] = text;
        Ids = [.. item.GetProperty("output_ids").EnumerateArray().Select(id => id.GetInt32())];
        JsonElement meta = item.GetProperty("meta_info");
        Prompt = meta.GetProperty("prompt_tokens").GetInt32();
        if (meta.GetProperty("finish_reason") is { ValueKind: JsonValueKind.Object } finish)
        {
            Finish = finish.GetProperty("type").GetString();
            Stop = finish.TryGetProperty("matched", out JsonElement matched) && matched.ValueKind == JsonValueKind.String ? matched.GetString() : null;
        }
    }

    /// <summary>Whether every choice of a Gemini stream ended.</summary>
    public bool EveryChoiceEnded => _parts.Distinct().Count() == Text.Count;

    private static bool IsObject(string json)
    {
        try
        {
            return JsonDocument.Parse(json).RootElement.ValueKind == JsonValueKind.Object;
        }
        catch (JsonException)
        {
            return false;
        }
    }
}
