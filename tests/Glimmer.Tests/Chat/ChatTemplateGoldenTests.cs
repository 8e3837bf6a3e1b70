using System.Text.Json;
using Glimmer.Chat;

namespace Glimmer.Tests.Chat;

/// <summary>Prompts recorded from Jinja2 must come out the same to the character.</summary>
[Trait("Category", "Golden")]
public sealed class ChatTemplateGoldenTests
{
    private static string? Folder => Fixtures.Folder("chat");

    private static string? SmolFolder => Fixtures.Models is { } models && Directory.Exists(Path.Combine(models, "smollm2")) ? Path.Combine(models, "smollm2") : null;

    public static TheoryData<string> TemplateRows => Fixtures.Rows(RecordedCases.Names(Folder, row => Kind(row) == "template"));

    public static TheoryData<string> SmolRows =>
        Fixtures.Rows(RecordedCases.Names(SmolFolder, row => row.TryGetProperty("messages", out _) && row.TryGetProperty("prompt", out _)));

    [SkippableTheory]
    [MemberData(nameof(TemplateRows))]
    public void Template_renders_as_recorded(string name)
    {
        Fixtures.SkipIfAbsent(name);
        JsonElement row = RecordedCases.Row(Folder!, name);
        var template = new ChatTemplate(File.ReadAllText(Path.Combine(Folder!, "templates", row.GetProperty("template").GetString() + ".jinja")));
        var variables = (DataObject)DataValue.From(row.GetProperty("kwargs"));
        var options = new ChatTemplateOptions
        {
            Tools = [.. row.GetProperty("tools").EnumerateArray().Select(ToolDefinition.FromJson)],
            AddGenerationPrompt = variables.Find("add_generation_prompt")?.AsBoolean ?? false,
            EnableThinking = variables.Find("enable_thinking")?.AsBoolean,
            ClearThinking = variables.Find("clear_thinking")?.AsBoolean,
            ReasoningEffort = variables.Find("reasoning_effort")?.AsString,
            Variables = variables,
        };

        RenderedText rendered = template.Render([.. row.GetProperty("messages").EnumerateArray().Select((message, i) => ChatMessage.FromJson(message, $"messages[{i}]"))], options);

        Assert.Equal(row.GetProperty("expected").GetString(), rendered.Text);
        Assert.Equal(rendered.Text, string.Concat(rendered.Segments.Select(segment => segment.Text)));
        bool hasNewlineLayout = template.Source.Contains("</arg_key>\n<arg_value>", StringComparison.Ordinal);
        Assert.Equal(hasNewlineLayout ? MessageGrammar.Glm45 : MessageGrammar.Glm47, template.Grammar);
    }

    [SkippableTheory]
    [MemberData(nameof(SmolRows))]
    public void SmolLM2_prompt_is_as_recorded(string name)
    {
        Fixtures.SkipIfAbsent(name);
        JsonElement row = RecordedCases.Row(SmolFolder!, name);
        var template = new ChatTemplate(Templates.SmolLM2);
        RenderedText rendered = template.Render([.. row.GetProperty("messages").EnumerateArray().Select((message, i) => ChatMessage.FromJson(message, $"messages[{i}]"))]);
        Assert.Equal(row.GetProperty("prompt").GetString(), rendered.Text);
        Assert.Equal(MessageGrammar.Plain, template.Grammar);
    }

    private static string? Kind(JsonElement row) => row.TryGetProperty("kind", out JsonElement kind) ? kind.GetString() : null;
}
