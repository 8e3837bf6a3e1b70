using System.Net;
using System.Text.Json;

namespace Glimmer.Tests.Server;

/// <summary>Finished texts taken apart by <c>/parse_function_call</c> and <c>/separate_reasoning</c>.</summary>
public class ParsingTests
{
    private const string Tools = """[{"type":"function","function":{"name":"other"}},{"type":"function","function":{"name":"weather","parameters":{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"}}}}}]""";

    [Theory]
    [InlineData("Let me look.<tool_call>weather<arg_key>city</arg_key><arg_value>12</arg_value><arg_key>days</arg_key><arg_value>3</arg_value></tool_call>")]
    [InlineData("Let me look.\n<tool_call>weather\n<arg_key>city</arg_key>\n<arg_value>12</arg_value>\n<arg_key>days</arg_key>\n<arg_value>3</arg_value>\n</tool_call>")]
    public async Task Calls_of_both_layouts_are_read_with_the_types_of_their_schema(string text)
    {
        await using WireServer server = await WireServer.StartAsync("");
        (HttpStatusCode status, JsonElement body) = await server.PostAsync("/parse_function_call", $$"""{"text":{{JsonSerializer.Serialize(text)}},"tools":{{Tools}},"tool_call_parser":"glm47"}""");
        Assert.Equal(HttpStatusCode.OK, status);
        Assert.Equal("Let me look.", body.GetProperty("normal_text").GetString()!.Trim());
        JsonElement call = Assert.Single(body.GetProperty("calls").EnumerateArray());
        Assert.Equal((1, "weather"), (call.GetProperty("tool_index").GetInt32(), call.GetProperty("name").GetString()));
        JsonElement arguments = JsonDocument.Parse(call.GetProperty("parameters").GetString()!).RootElement;
        Assert.Equal("12", arguments.GetProperty("city").GetString());
        Assert.Equal(3, arguments.GetProperty("days").GetInt32());
    }

    [Theory]
    [InlineData("<think>Peru.</think>Lima.", "Peru.", "Lima.")]
    [InlineData("Peru.</think>Lima.", "Peru.", "Lima.")]
    [InlineData("Lima.", "", "Lima.")]
    public async Task Reasoning_is_told_from_text_also_when_the_prompt_opened_it(string text, string reasoning, string rest)
    {
        await using WireServer server = await WireServer.StartAsync("");
        (HttpStatusCode status, JsonElement body) = await server.PostAsync("/separate_reasoning", $$"""{"text":"{{text}}","reasoning_parser":"glm45"}""");
        Assert.Equal(HttpStatusCode.OK, status);
        Assert.Equal(reasoning, body.GetProperty("reasoning_text").GetString());
        Assert.Equal(rest, body.GetProperty("text").GetString());
    }

    [Theory]
    [InlineData("/parse_function_call", """{"text":"a","tool_call_parser":"hermes"}""", "tool_call_parser")]
    [InlineData("/separate_reasoning", """{"reasoning_parser":"glm45"}""", "text")]
    public async Task What_cannot_be_read_is_refused_by_name(string path, string json, string field)
    {
        await using WireServer server = await WireServer.StartAsync("");
        (HttpStatusCode status, JsonElement body) = await server.PostAsync(path, json);
        Assert.Equal(HttpStatusCode.BadRequest, status);
        Assert.Contains(field, body.GetProperty("error").GetProperty("message").GetString(), StringComparison.Ordinal);
    }
}
