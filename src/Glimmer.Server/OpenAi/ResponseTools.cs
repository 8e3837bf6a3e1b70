using Glimmer.Chat;
using Glimmer.Server.Http;

namespace Glimmer.Server.OpenAi;

/// <summary>A tool of a responses request under the name that the model sees.</summary>
/// <param name="Definition">What the model is shown.</param>
/// <param name="Name">The name that the client knows.</param>
/// <param name="Namespace">The namespace that it came in; null for none.</param>
/// <param name="IsCustom">Whether it takes one text instead of arguments.</param>
internal sealed record ResponseTool(ToolDefinition Definition, string Name, string? Namespace, bool IsCustom);

/// <summary>The tools of a responses request: functions, functions in namespaces, and custom tools that take a text. Tools that run on the vendor's servers are dropped.</summary>
internal sealed class ResponseTools
{
    private readonly List<ResponseTool> _tools = [];

    /// <summary>Reads <c>tools</c>.</summary>
    /// <exception cref="ApiException">A tool is malformed.</exception>
    public ResponseTools(Fields body)
    {
        var declared = new List<(Fields Tool, string? Namespace, bool IsCustom)>();
        foreach (Fields tool in body.Objects("tools", 1024))
        {
            switch (tool.RequiredText("type"))
            {
                case "function":
                    declared.Add((tool, null, false));
                    break;
                case "custom":
                    declared.Add((tool, null, true));
                    break;
                case "local_shell":
                    _tools.Add(new ResponseTool(Shell(), "local_shell", null, false));
                    break;
                case "namespace":
                    string name = tool.RequiredText("name");
                    declared.AddRange(tool.Objects("tools", 1024).Where(inner => inner.Text("type") is null or "function").Select(inner => (inner, (string?)name, false)));
                    break;
            }
        }

        HashSet<string> ambiguous = [.. declared.GroupBy(item => item.Tool.RequiredText("name"), StringComparer.Ordinal).Where(group => group.Count() > 1).Select(group => group.Key)];
        foreach ((Fields tool, string? space, bool isCustom) in declared)
        {
            string name = tool.RequiredText("name");
            string shown = space is not null && ambiguous.Contains(name) ? $"{space}.{name}" : name;
            _tools.Add(new ResponseTool(isCustom ? Custom(tool, shown) : Function(tool, shown), name, space, isCustom));
        }
    }

    /// <summary>What the model is shown.</summary>
    public IReadOnlyList<ToolDefinition> Definitions => [.. _tools.Select(tool => tool.Definition)];

    /// <summary>The tool that the model called.</summary>
    public ResponseTool? Called(string shown) => _tools.Find(tool => tool.Definition.Name == shown);

    /// <summary>The name that the model sees for a call of the client's history.</summary>
    public string Shown(string name, string? space) =>
        (_tools.Find(tool => tool.Name == name && tool.Namespace == space) ?? _tools.Find(tool => tool.Name == name))?.Definition.Name ?? name;

    private static ToolDefinition Function(Fields tool, string shown)
    {
        var function = new DataObject { { "name", shown } };
        if (tool.Text("description") is { } description)
            function["description"] = description;
        function["parameters"] = tool.Object("parameters")?.Data ?? new DataObject { { "type", "object" }, { "properties", new DataObject() } };
        return new ToolDefinition(new DataObject { { "type", "function" }, { "function", function } });
    }

    private static ToolDefinition Custom(Fields tool, string shown)
    {
        string description = tool.Text("description") ?? "";
        if (tool.Object("format")?.Text("definition") is { } grammar)
            description += $"\nThe input follows this grammar:\n{grammar}";
        return Text(shown, description, "input", "The whole input as text.");
    }

    private static ToolDefinition Shell() => Text("local_shell", "Runs a command in a shell and returns its output.", "command", "The command line.");

    private static ToolDefinition Text(string name, string description, string parameter, string meaning) => new(new DataObject
    {
        { "type", "function" },
        {
            "function", new DataObject
            {
                { "name", name },
                { "description", description },
                {
                    "parameters", new DataObject
                    {
                        { "type", "object" },
                        { "properties", new DataObject { { parameter, new DataObject { { "type", "string" }, { "description", meaning } } } } },
                        { "required", new DataArray([parameter]) },
                    }
                },
            }
        },
    });
}
