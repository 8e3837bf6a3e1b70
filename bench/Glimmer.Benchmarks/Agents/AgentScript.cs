using System.Text;
using System.Text.RegularExpressions;
using Glimmer.Chat;
using Glimmer.Inference;
using Glimmer.Server.Turns;
using Glimmer.Tokenization;

namespace Glimmer.Benchmarks.Agents;

/// <summary>
/// Plays a model that knows one task: write a file with the tools that the client offers, look at it by two calls in one turn where a tool runs commands, then say so.
/// It reads the tools and the conversation from the prompt's own ids and answers with ids, so that template, tokenizer, parser and API are the real ones.
/// </summary>
/// <param name="tokenizer">A vocabulary with GLM's markers.</param>
/// <param name="file">The file to write, in the client's current folder.</param>
/// <param name="content">What to write.</param>
internal sealed class AgentScript(Tokenizer tokenizer, string file, string content)
{
    private static readonly string[] s_commandNames = ["command", "cmd", "script", "commands"];
    private static readonly string[] s_pathNames = ["file_path", "filePath", "path", "absolutePath", "absolute_path"];
    private static readonly string[] s_contentNames = ["content", "contents", "text"];

    /// <summary>The answer to a request.</summary>
    public ScriptedAnswer Answer(GenerationRequest request)
    {
        string prompt = tokenizer.Decode(request.Prompt.Span);
        if (request.Constraint is { } constraint)
            return new ScriptedAnswer(ShortestUnder(constraint()));
        List<DataObject> tools = Tools(prompt);
        bool isOpen = GlmMessageParser.EndsInOpenThinking(prompt);
        List<string> calls = Calls(tools, Regex.Count(prompt, Regex.Escape("<|observation|>")));
        var parts = new List<TextSegment>();
        if (isOpen)
            parts.AddRange([new TextSegment(calls.Count == 2 ? "Is it right? I look at the file." : "I should do what was asked.", false), new TextSegment("</think>", true)]);
        parts.Add(new TextSegment(calls.Count switch { 0 => $"The file {file} is written.", 1 => "I write the file.", _ => "I look." }, false));
        foreach (string call in calls)
            parts.AddRange(Trusted(call));
        parts.Add(new TextSegment(calls.Count == 0 ? "<|user|>" : "<|observation|>", true));
        return new ScriptedAnswer(tokenizer.Encode(parts));
    }

    // The list that the template shows: one JSON object a line.
    private static List<DataObject> Tools(string prompt)
    {
        int start = prompt.IndexOf("<tools>\n", StringComparison.Ordinal);
        int end = start < 0 ? -1 : prompt.IndexOf("\n</tools>", start, StringComparison.Ordinal);
        var tools = new List<DataObject>();
        if (end < 0)
            return tools;
        foreach (string line in prompt[(start + "<tools>".Length)..end].Split('\n'))
        {
            if (DataValue.TryParse(line, out DataValue? value) && value is DataObject tool)
                tools.Add(tool.Find("function") as DataObject ?? tool);
        }

        return tools;
    }

    // The calls after so many results.
    private List<string> Calls(List<DataObject> tools, int results)
    {
        foreach (DataObject tool in tools)
        {
            if (Property(tool, s_commandNames) is not { } name)
                continue;
            string[] commands = results switch { 0 => [$"echo {content} > {file}"], 1 => [$"cat {file}", $"wc -c {file}"], _ => [] };
            bool isList = (Properties(tool)!.Find(name) as DataObject)?.Find("type") is { AsString: "array" };
            return [.. commands.Select(command => Write(tool, new DataObject { { name, isList ? new DataArray(name == "commands" ? [command] : ["bash", "-lc", command]) : command } }))];
        }

        foreach (DataObject tool in results > 0 ? [] : tools)
        {
            if (Property(tool, s_pathNames) is { } path && Property(tool, s_contentNames) is { } text)
                return [Write(tool, new DataObject { { path, file }, { text, content } })];
        }

        return [];
    }

    private static DataObject? Properties(DataObject tool) => (tool.Find("parameters") as DataObject)?.Find("properties") as DataObject;

    private static string? Property(DataObject tool, string[] names) => Properties(tool) is { } properties ? Array.Find(names, properties.ContainsKey) : null;

    // Whatever else the tool requires gets a value of its type.
    private static string Write(DataObject tool, DataObject arguments)
    {
        DataObject properties = Properties(tool)!;
        foreach (DataValue required in (tool.Find("parameters") as DataObject)?.Find("required") as DataArray ?? [])
        {
            string name = required.AsString!;
            if (arguments.ContainsKey(name) || properties.Find(name) is not DataObject property)
                continue;
            arguments[name] = property.Find("enum") is DataArray { Count: > 0 } choices ? choices[0] : property.Find("type")?.AsString switch
            {
                "boolean" => false,
                "integer" or "number" => 10,
                "array" => new DataArray([]),
                "object" => new DataObject(),
                _ => "Write the file",
            };
        }

        var call = new StringBuilder("<tool_call>").Append(tool.Find("name")!.AsString);
        foreach ((string name, DataValue value) in arguments)
            call.Append("<arg_key>").Append(name).Append("</arg_key><arg_value>").Append(value.AsString ?? value.ToJson()).Append("</arg_value>");
        return call.Append("</tool_call>").ToString();
    }

    // Markers are control tokens, what stands between them is text.
    private static IEnumerable<TextSegment> Trusted(string call)
    {
        string[] markers = ["<tool_call>", "</tool_call>", "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>"];
        int at = 0;
        while (at < call.Length)
        {
            (int Index, string Marker) next = markers.Select(marker => (Index: call.IndexOf(marker, at, StringComparison.Ordinal), Marker: marker)).Where(found => found.Index >= 0)
                .DefaultIfEmpty((call.Length, "")).Min();
            if (next.Index > at)
                yield return new TextSegment(call[at..next.Index], false);
            if (next.Marker.Length > 0)
                yield return new TextSegment(next.Marker, true);
            at = next.Index + Math.Max(1, next.Marker.Length);
        }
    }

    // Ends as soon as the constraint lets it; before that it closes what is open.
    private int[] ShortestUnder(ITokenConstraint constraint)
    {
        var mask = new ulong[(tokenizer.VocabularySize + 63) / 64];
        var tokens = new List<int>();
        int[] preferred = [.. new[] { "</think>", "}", "]", "\"", "\":", "\": ", ":", ",", "{", "[", "0", "a" }.Select(text => tokenizer.Encode(text, EncodeOptions.RenderedPrompt)).Where(ids => ids.Length == 1).Select(ids => ids[0])];
        while (tokens.Count < 2000)
        {
            constraint.Mask(mask);
            int? end = tokenizer.EndIds.Cast<int?>().FirstOrDefault(id => Allows(id!.Value));
            int next = end ?? preferred.Cast<int?>().FirstOrDefault(id => Allows(id!.Value)) ?? Enumerable.Range(0, tokenizer.VocabularySize).First(Allows);
            tokens.Add(next);
            if (end is not null)
                break;
            constraint.Accept(next);
        }

        return [.. tokens];

        bool Allows(int id) => (mask[id >> 6] >> (id & 63) & 1) != 0;
    }
}
