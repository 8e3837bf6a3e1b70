using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using CsCheck;
using Glimmer.Chat;
using Xunit.Abstractions;

namespace Glimmer.Tests.Chat;

public sealed class GlmMessageParserTests(ITestOutputHelper output)
{
    private static readonly ToolDefinition[] s_tools = [.. JsonDocument.Parse(
        """
        [{"type":"function","function":{"name":"write","parameters":{"properties":{"path":{"type":"string"},"n":{"type":"integer"},"o":{}}}}},
         {"name":"write_all","parameters":{"properties":{"k":{"anyOf":[{"$ref":"#/$defs/A"},{"type":"null"}]}},"$defs":{"A":{"enum":["1",2]}}}}]
        """).RootElement.EnumerateArray().Select(ToolDefinition.FromJson)];

    /// <summary>Fragments that make every path of the machine likely.</summary>
    private static readonly string[] s_fragments =
    [
        "<think>", "</think>", "<tool_call>", "</tool_call>", "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>", "write", "write_all", "path", "n", "o", "k", "\n", "\\n", " ",
        "<", "</", "\\", "1", "\"2\"", "{\"a\": 1}", "{\"name\": \"write\", \"arguments\": {\"n\": 1}}", "{", "text", "<tool", "_call>", "é", "😀", "\u001c", "null", "True",
    ];

    private static readonly Gen<string> s_texts = Gen.Int[0, s_fragments.Length - 1].Array[0, 24].Select(picks => string.Concat(picks.Select(i => s_fragments[i])));

    private static readonly Gen<MessageGrammar> s_grammars = Gen.Int[0, 3].Select(i => new[] { MessageGrammar.Glm45, MessageGrammar.Glm47, MessageGrammar.PlainThinking, MessageGrammar.Plain }[i]);

    [Fact]
    public void Any_chunking_gives_the_same_events_and_the_same_message() =>
        Gen.Select(s_texts, s_grammars, Gen.Bool, Gen.Int[1, 6].Array[1, 60]).Sample(CheckChunking, iter: 3000);

    [Fact]
    [Trait("Category", "Slow")]
    public void Any_chunking_gives_the_same_events_and_the_same_message_in_many_more_texts() =>
        Gen.Select(s_texts, s_grammars, Gen.Bool, Gen.Int[1, 6].Array[1, 60]).Sample(CheckChunking, iter: 300_000);

    [Fact]
    public void Any_characters_parse_without_an_exception() => Gen.Select(Gen.String[0, 200], s_grammars, Gen.Bool).Sample((text, grammar, reasoning) =>
    {
        ParsedMessage message = GlmMessageParser.Parse(text, Options(grammar, reasoning));
        string all = message.Reasoning + message.Content;
        Assert.Equal(PythonText.Trim(text).ToString(), PythonText.Trim(all).ToString());
    });

    [Fact]
    public void Text_without_thinking_and_tools_passes_through()
    {
        const string Text = "  a <think>b</think> <tool_call>write</tool_call>\n";
        Assert.Equal(Text, GlmMessageParser.Parse(Text, new MessageParserOptions { Grammar = MessageGrammar.Plain, Tools = s_tools }).Content);
        ParsedMessage thinking = GlmMessageParser.Parse(Text, new MessageParserOptions { Grammar = MessageGrammar.PlainThinking, Tools = s_tools });
        Assert.Equal(("b", "a  <tool_call>write</tool_call>"), (thinking.Reasoning, thinking.Content));
    }

    [Theory]
    [InlineData("path", "\"x\"", "\"\\\"x\\\"\"")]
    [InlineData("n", "\"12\"", "12")]
    [InlineData("n", "12345678901234567890123", "12345678901234567890123")]
    [InlineData("n", "1e999", "1e999")]
    [InlineData("n", " +5 ", "\" +5 \"")]
    [InlineData("o", "{\\\"k\\\": [1]}", "{\"k\": [1]}")]
    [InlineData("o", "NaN", "\"NaN\"")]
    [InlineData("unknown", "[1, 2.50]", "[1, 2.5]")]
    public void Argument_has_the_type_its_schema_allows(string key, string text, string json)
    {
        ParsedMessage message = Parse($"<tool_call>write<arg_key>{key}</arg_key><arg_value>{text}</arg_value></tool_call>");
        Assert.Equal($"{{\"{key}\": {json}}}", Assert.Single(message.ToolCalls).ArgumentsJson);
    }

    [Theory]
    [InlineData("1", "\"1\"")]
    [InlineData("2", "2")]
    [InlineData("null", "null")]
    [InlineData("None", "\"None\"")]
    public void Types_follow_references_and_unions(string text, string json) => Assert.Equal(
        $"{{\"k\": {json}}}", Assert.Single(Parse($"<tool_call>write_all<arg_key>k</arg_key><arg_value>{text}</arg_value></tool_call>").ToolCalls).ArgumentsJson);

    [Fact]
    public void Arguments_stream_as_they_arrive_and_names_never_in_part()
    {
        var parser = new GlmMessageParser(Options(MessageGrammar.Glm47, false));
        Assert.Empty(parser.Append("<tool_call>write_"));
        Assert.Empty(parser.Append("all"));
        Assert.Equal([new ToolCallStart(0, "id", "write_all")], parser.Append("<arg_key>"));
        Assert.Empty(parser.Append("k</arg_key>"));
        Assert.Equal([new ToolCallArguments(0, "{\"k\": ")], parser.Append("<arg_value>2"));
        Assert.Equal([new ToolCallArguments(0, "2")], parser.Append("</arg_value>"));
        IReadOnlyList<MessageEvent> end = parser.Append("</tool_call><tool_call>write<arg_key>path</arg_key><arg_value>long \"te");
        Assert.Equal(new ToolCallArguments(0, "}"), end[0]);
        Assert.IsType<ToolCallEnd>(end[1]);
        Assert.Equal([new ToolCallStart(1, "id", "write"), new ToolCallArguments(1, "{\"path\": \"long \\\"te")], end.Skip(2));
        Assert.Equal([new ToolCallArguments(1, "xt")], parser.Append("xt<"));
        Assert.Equal([new ToolCallCut(1, "<tool_call>write<arg_key>path</arg_key><arg_value>long \"text<")], parser.Complete());
        Assert.Equal("<tool_call>write<arg_key>path</arg_key><arg_value>long \"text<", parser.Message.Content);
        Assert.Throws<InvalidOperationException>(() => parser.Append("x"));
        Assert.Throws<InvalidOperationException>(() => parser.Complete());
    }

    [Fact]
    public void Recursive_schema_says_nothing_about_types()
    {
        var tool = ToolDefinition.FromJson(JsonDocument.Parse("""{"name":"f","parameters":{"properties":{"a":{"$ref":"#/properties/a"},"b":{"$ref":"#/properties/c"},"c":{"anyOf":[{"$ref":"#/properties/b"},{"type":"string"}]}}}}""").RootElement);
        Assert.Null(tool.TypesOf("a").Allowed);
        Assert.Null(tool.TypesOf("b").Allowed);
    }

    [Theory]
    [InlineData("text", "lorem ipsum < dolor ", "")]
    [InlineData("value", "lorem < \"ipsum\"\n", "<tool_call>write<arg_key>path</arg_key><arg_value>")]
    [InlineData("closers in a value", "</tool_call> ", "<tool_call>write<arg_key>path</arg_key><arg_value>")]
    [InlineData("space after a closer", " ", "<tool_call>write<arg_key>path</arg_key><arg_value></tool_call>")]
    [InlineData("failed calls", "<tool_call>nothing", "")]
    [InlineData("half calls", "<tool_call>write ", "")]
    [InlineData("failed JSON calls", "<tool_call>{", "")]
    [InlineData("name without end", "x ", "<tool_call>write ")]
    [InlineData("keys", "<arg_key>a</arg_key>", "<tool_call>write")]
    [InlineData("junk", "junk ", "<tool_call>write<arg_key>n</arg_key><arg_value>1</arg_value>")]
    [InlineData("digits", "7", "<tool_call>write<arg_key>n</arg_key><arg_value>")]
    public void A_megabyte_takes_time_in_proportion(string what, string pattern, string start)
    {
        TimeSpan quarter = Time(start, pattern, 250_000), whole = Time(start, pattern, 1_000_000);
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{what}: 1 MB in pieces of 4: {whole.TotalMilliseconds:F0} ms (250 kB: {quarter.TotalMilliseconds:F0} ms)"));
        Assert.True(whole < TimeSpan.FromSeconds(3), $"{whole.TotalSeconds:F1} s");
    }

    private static TimeSpan Time(string start, string pattern, int length)
    {
        string text = start + string.Concat(Enumerable.Repeat(pattern, length / pattern.Length)) + (pattern.Contains("{", StringComparison.Ordinal) ? "</tool_call>" : "");
        var watch = Stopwatch.StartNew();
        var parser = new GlmMessageParser(Options(MessageGrammar.Glm47, false));
        for (int i = 0; i < text.Length; i += 4)
            parser.Append(text.AsSpan(i, Math.Min(4, text.Length - i)));
        parser.Complete();
        return watch.Elapsed;
    }

    private static void CheckChunking(string text, MessageGrammar grammar, bool reasoning, int[] sizes)
    {
        var whole = new GlmMessageParser(Options(grammar, reasoning));
        List<MessageEvent> expected = [.. whole.Append(text), .. whole.Complete()];
        var parser = new GlmMessageParser(Options(grammar, reasoning));
        var events = new List<MessageEvent>();
        for (int i = 0, turn = 0; i < text.Length; turn++)
        {
            int size = Math.Min(sizes[turn % sizes.Length], text.Length - i);
            events.AddRange(parser.Append(text.AsSpan(i, size)));
            i += size;
        }

        events.AddRange(parser.Complete());
        Assert.Equal(Merge(expected), Merge(events));
        Assert.Equal(Show(whole.Message), Show(parser.Message));
        StreamedMessage.Collect(events);
    }

    private static List<string> Merge(List<MessageEvent> events)
    {
        var merged = new List<string>();
        string kind = "";
        foreach (MessageEvent item in events)
        {
            (string next, string text) = item switch
            {
                ReasoningDelta delta => ("reasoning", delta.Text),
                TextDelta delta => ("text", delta.Text),
                ToolCallArguments delta => ("arguments" + delta.Index, delta.Json),
                ToolCallEnd end => ("end", end.Call.Name + end.Call.ArgumentsJson),
                _ => ("other", item.ToString()),
            };
            if (next == kind && next is not ("end" or "other"))
                merged[^1] += text;
            else
                merged.Add(next + ":" + text);
            kind = next;
        }

        return merged;
    }

    private static string Show(ParsedMessage message) =>
        $"{message.Reasoning}|{message.Content}|{string.Join(';', message.ToolCalls.Select(call => call.Name + call.ArgumentsJson))}";

    private static ParsedMessage Parse(string text) => GlmMessageParser.Parse(text, Options(MessageGrammar.Glm47, false));

    private static MessageParserOptions Options(MessageGrammar grammar, bool reasoning) =>
        new() { Grammar = grammar, StartsInReasoning = reasoning, Tools = s_tools, NewCallId = () => "id" };
}
