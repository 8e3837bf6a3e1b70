namespace Glimmer.Chat.Jinja;

/// <summary>Variables of one block, with those of the blocks around it behind them.</summary>
internal sealed class Scope(Scope? parent)
{
    private readonly Dictionary<string, DataValue> _variables = [];

    public DataValue? Find(string name)
    {
        for (Scope? scope = this; scope is not null; scope = scope.Parent)
        {
            if (scope._variables.TryGetValue(name, out DataValue? value))
                return value;
        }

        return null;
    }

    public void Set(string name, DataValue value) => _variables[name] = value;

    private Scope? Parent { get; } = parent;
}

/// <summary>One rendering: variables, output, the place in the template and what has been used up.</summary>
internal sealed class RenderContext
{
    private long _iterations;
    private long _textWork;
    private int _depth;

    public RenderContext(JinjaOptions options, DataObject variables)
    {
        Options = options;
        Scope = new Scope(null);
        foreach ((string name, DataValue value) in variables)
            Scope.Set(name, value);
    }

    public JinjaOptions Options { get; }

    public Scope Scope { get; set; }

    public TextBuilder Output { get; private set; } = new();

    /// <summary>Line of the statement or operation under way, for messages.</summary>
    public int Line { get; set; } = 1;

    /// <summary>Added to the origin of everything written; <see cref="TextOrigin.Generated"/> inside a generation block.</summary>
    public TextOrigin Mark { get; set; }

    public void Enter()
    {
        if (++_depth > Options.MaxDepth)
            throw new TemplateFault($"nested deeper than {Options.MaxDepth} levels (a macro that calls itself?)");
    }

    public void Leave() => _depth--;

    /// <summary>Counts loop iterations and macro calls against the limit.</summary>
    public void CountIterations(long count)
    {
        _iterations += count;
        if (_iterations > Options.MaxIterations)
            throw new TemplateFault($"more than {Options.MaxIterations} loop iterations and macro calls in one rendering");
    }

    /// <summary>Counts a new string of this length against the limits, before it is made.</summary>
    public void CountText(long length)
    {
        if (length > Options.MaxTextLength)
            throw new TemplateFault($"a text of {length} characters; the limit is {Options.MaxTextLength}");
        CountWork(length);
    }

    /// <summary>Counts characters that are looked through.</summary>
    public void CountWork(long length)
    {
        _textWork += length;
        if (_textWork > Options.MaxTextWork)
            throw new TemplateFault($"more than {Options.MaxTextWork} characters copied or searched in one rendering");
    }

    /// <summary>Writes to the output.</summary>
    public void Write(StringValue text)
    {
        CountText(text.Text.Length);
        if ((long)Output.Length + text.Text.Length > Options.MaxTextLength)
            throw new TemplateFault($"the output is longer than {Options.MaxTextLength} characters");
        Output.Append(text, Mark);
    }

    /// <summary>Runs a block and gives back what it wrote.</summary>
    public StringValue Capture(Action<RenderContext> block)
    {
        TextBuilder outer = Output;
        Output = new TextBuilder();
        block(this);
        StringValue text = Output.ToValue();
        Output = outer;
        return text;
    }

    /// <summary>The text of a value, with its origins if it is a string; numbers and the like count as the template's.</summary>
    public StringValue ToText(DataValue value)
    {
        if (value is StringValue text)
        {
            CountWork(text.Text.Length);
            return text;
        }

        string printed = PythonText.Str(value);
        CountText(printed.Length);
        return new StringValue(printed, value is DataArray or DataObject ? TextOrigin.Data : TextOrigin.Template);
    }
}
