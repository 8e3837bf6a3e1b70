using System.Text;

namespace Glimmer.Chat;

/// <summary>One call under construction: its arguments so far, and their JSON as a stream sends it.</summary>
/// <remarks>
/// A key is sent only when its value begins, because until then a malformed call may still drop it. Text of string parameters is sent as it arrives;
/// any other value when it is complete.
/// </remarks>
internal sealed class ToolCallWriter(ToolDefinition tool, string id)
{
    private readonly DataObject _arguments = [];
    private readonly StringBuilder _value = new();
    private bool _sentAny;
    private string _key = "";
    private ParameterTypes? _types;

    /// <summary>JSON ready to be sent.</summary>
    public StringBuilder Json { get; } = new();

    public void BeginValue(string key)
    {
        _key = key;
        _value.Clear();
        if (key.Length == 0)
            return;
        _types = tool.TypesOf(key);
        Json.Append(_sentAny ? ", " : "{");
        _sentAny = true;
        new JsonTextWriter(Json, JsonTextStyle.Default).WriteString(key);
        Json.Append(": ");
        if (_types.IsString)
            Json.Append('"');
    }

    public void AppendValue(ReadOnlySpan<char> text)
    {
        if (_key.Length == 0)
            return;
        _value.Append(text);
        if (_types!.IsString)
            JsonTextWriter.AppendEscaped(Json, text, false);
    }

    public void EndValue()
    {
        if (_key.Length == 0)
            return;
        DataValue value = ArgumentReader.Read(_value.ToString(), _types!);
        _arguments[_key] = value;
        if (_types!.IsString)
            Json.Append('"');
        else
            new JsonTextWriter(Json, JsonTextStyle.Default).Write(value);
    }

    /// <summary>Sets all arguments at once: a call written as JSON.</summary>
    public void SetAll(DataObject arguments)
    {
        foreach ((string key, DataValue value) in arguments)
            _arguments[key] = value;
        Json.Append(_arguments.ToJson());
    }

    /// <summary>The finished call; closes the JSON unless it was written whole.</summary>
    public ToolCall Close(bool isWhole)
    {
        if (!isWhole)
            Json.Append(_sentAny ? "}" : "{}");
        return new ToolCall { Id = id, Name = tool.Name, Arguments = _arguments };
    }
}
