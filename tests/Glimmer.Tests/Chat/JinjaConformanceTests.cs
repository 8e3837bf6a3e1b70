using System.Text.Json;
using Glimmer.Chat;

namespace Glimmer.Tests.Chat;

/// <summary>
/// Small templates rendered by Jinja2 3.1.6 in the environment of chat templates (ImmutableSandboxedEnvironment, trim_blocks, lstrip_blocks, loop controls,
/// json.dumps as tojson), recorded in Recorded/jinja-conformance.jsonl: the same text, or a failure where Jinja2 fails.
/// </summary>
public sealed class JinjaConformanceTests
{
    private static readonly JsonElement[] s_rows =
        [.. File.ReadLines(Path.Combine(Fixtures.Repository, "tests/Glimmer.Tests/Chat/Recorded/jinja-conformance.jsonl")).Select(line => JsonDocument.Parse(line).RootElement)];

    public static TheoryData<int> Rows => [.. Enumerable.Range(1, s_rows.Length - 1)];

    [Theory]
    [MemberData(nameof(Rows))]
    public void Template_renders_as_Jinja2_renders_it(int row)
    {
        var variables = (DataObject)DataValue.From(s_rows[0].GetProperty("variables"));
        string template = s_rows[row].GetProperty("template").GetString()!;
        if (s_rows[row].TryGetProperty("rendered", out JsonElement rendered))
        {
            RenderedText text = JinjaTemplate.Parse(template).RenderSegments(variables);
            Assert.Equal(rendered.GetString(), text.Text);
            Assert.Equal(text.Text, string.Concat(text.Segments.Select(segment => segment.Text)));
        }
        else
        {
            JinjaException error = Assert.Throws<JinjaException>(() => JinjaTemplate.Parse(template).Render(variables));
            Assert.StartsWith("chat template, line 1: ", error.Message, StringComparison.Ordinal);
        }
    }
}
