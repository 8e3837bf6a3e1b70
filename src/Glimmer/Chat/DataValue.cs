using System.Text;
using System.Text.Json;

namespace Glimmer.Chat;

/// <summary>A value as JSON and chat templates know it: null, boolean, integer, float, string, array or object.</summary>
/// <remarks>
/// Behaves as Python's <c>json</c> module does, because templates are written against it: integers of any size are kept in full, floats print
/// as <c>repr</c>, objects keep the order of their keys, and a repeated key keeps its first place and its last value.
/// </remarks>
public abstract class DataValue
{
    private protected DataValue()
    {
    }

    /// <summary>JSON null, Python's None.</summary>
    public static DataValue Null => NullValue.Instance;

    /// <summary>A boolean.</summary>
    public static DataValue From(bool value) => value ? BooleanValue.True : BooleanValue.False;

    /// <summary>An integer.</summary>
    public static DataValue From(long value) => IntegerValue.Of(value);

    /// <summary>A float; prints as Python's <c>repr</c> (<c>1.0</c>, <c>1e-07</c>).</summary>
    public static DataValue From(double value) => new FloatValue(value);

    /// <summary>A string that did not come from the template; null gives <see cref="Null"/>.</summary>
    public static DataValue From(string? value) => value is null ? Null : new StringValue(value, TextOrigin.Data);

    /// <summary>A parsed JSON element, read again from its text so that numbers and keys stay as they were written.</summary>
    /// <exception cref="FormatException">The element's text is not strict JSON (comments, trailing commas) or nests deeper than 512 levels.</exception>
    public static DataValue From(JsonElement element) => Parse(element.GetRawText());

    /// <summary>Reads strict JSON: no comments, no trailing commas, no NaN or Infinity.</summary>
    /// <exception cref="FormatException">The text is not JSON; the message gives the offset.</exception>
    public static DataValue Parse(ReadOnlySpan<char> json)
    {
        var reader = new JsonTextReader(json);
        return reader.TryReadDocument(out DataValue? value)
            ? value
            : throw new FormatException($"Not valid JSON at character {reader.Position} of {json.Length}: expected a JSON value of at most {JsonTextReader.MaxDepth} levels.");
    }

    /// <summary>Reads strict JSON in UTF-8.</summary>
    /// <exception cref="FormatException">The text is not JSON.</exception>
    public static DataValue Parse(ReadOnlySpan<byte> utf8Json) => Parse(Encoding.UTF8.GetString(utf8Json));

    /// <summary>Reads strict JSON; false when the text is not JSON.</summary>
    public static bool TryParse(ReadOnlySpan<char> json, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out DataValue? value) =>
        new JsonTextReader(json).TryReadDocument(out value);

    /// <summary>A string value.</summary>
    public static implicit operator DataValue(string value) => From(value);

    /// <summary>A boolean value.</summary>
    public static implicit operator DataValue(bool value) => From(value);

    /// <summary>An integer value.</summary>
    public static implicit operator DataValue(long value) => From(value);

    /// <summary>True for <see cref="Null"/>.</summary>
    public bool IsNull => this is NullValue;

    /// <summary>The text of a string, else null.</summary>
    public string? AsString => (this as StringValue)?.Text;

    /// <summary>The value of a boolean, else null.</summary>
    public bool? AsBoolean => (this as BooleanValue)?.Value;

    /// <summary>The value of an integer that fits 64 bits, else null.</summary>
    public long? AsInteger => this is IntegerValue { IsBig: false } integer ? integer.Small : null;

    /// <summary>The value of an integer or float as a double, else null.</summary>
    public double? AsNumber => this switch
    {
        IntegerValue integer => integer.ToDouble(),
        FloatValue number => number.Value,
        _ => null,
    };

    /// <summary>JSON as Python's <c>json.dumps(ensure_ascii=False)</c> writes it: separators <c>", "</c> and <c>": "</c>, nothing escaped that need not be.</summary>
    /// <exception cref="InvalidOperationException">The value nests deeper than 1,000 levels.</exception>
    public string ToJson()
    {
        var text = new StringBuilder();
        try
        {
            new JsonTextWriter(text, JsonTextStyle.Default).Write(this);
        }
        catch (TemplateFault fault)
        {
            throw new InvalidOperationException(fault.Message, fault);
        }

        return text.ToString();
    }

    /// <summary>Text as Python's <c>str()</c> gives it: a string as it is, <c>None</c>, <c>True</c>, <c>['a', 1]</c>.</summary>
    public sealed override string ToString() => PythonText.Str(this);

    /// <summary>Name of the type in Python, for messages.</summary>
    internal abstract string TypeName { get; }

    /// <summary>Truth in Python.</summary>
    internal virtual bool IsTrue => true;
}
