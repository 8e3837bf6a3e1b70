namespace Glimmer.Chat.Jinja;

/// <summary>The arguments of one call: values in order, then values by name.</summary>
internal sealed class CallArguments(List<DataValue> positional, List<KeyValuePair<string, DataValue>> named)
{
    public static readonly CallArguments None = new([], []);

    public List<DataValue> Positional { get; } = positional;

    public List<KeyValuePair<string, DataValue>> Named { get; } = named;

    /// <summary>Assigns the arguments to parameter names; the result has null where one was not given.</summary>
    /// <exception cref="TemplateFault">There are too many, or one has an unknown name.</exception>
    public DataValue?[] Bind(string function, params ReadOnlySpan<string> names)
    {
        if (Positional.Count > names.Length)
            throw new TemplateFault($"{function}() takes at most {names.Length} argument(s) but got {Positional.Count}");
        var bound = new DataValue?[names.Length];
        for (int i = 0; i < Positional.Count; i++)
            bound[i] = Positional[i];
        foreach ((string name, DataValue value) in Named)
        {
            int index = names.IndexOf(name);
            if (index < 0)
                throw new TemplateFault($"{function}() has no argument '{name}'");
            if (bound[index] is not null)
                throw new TemplateFault($"{function}() got more than one value for '{name}'");
            bound[index] = value;
        }

        return bound;
    }

    /// <summary>The same arguments without the first <paramref name="count"/> positional ones.</summary>
    public CallArguments Skip(int count) => new(Positional[Math.Min(count, Positional.Count)..], Named);
}
