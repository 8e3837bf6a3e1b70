namespace Glimmer.Environments.Scorers.Bfcl;

/// <summary>Compares one value with the values that an answer accepts.</summary>
/// <remarks>BFCL's <c>ast_checker</c>: <c>string_checker</c>, <c>list_checker</c>, <c>dict_checker</c>, <c>list_dict_checker</c>.</remarks>
internal static class BfclValueCheck
{
    /// <summary>Strings: without blanks and <c>, . / - _ * ^</c>, small letters, double quotes.</summary>
    public static string Standardise(string text)
    {
        string kept = string.Concat(text.Where(c => c is not (' ' or ',' or '.' or '/' or '-' or '_' or '*' or '^')));
        return kept.ToLowerInvariant().Replace('\'', '"');
    }

    /// <summary>A string must be one of the accepted strings.</summary>
    public static BfclVerdict String(PythonValue value, IReadOnlyList<PythonValue> accepted)
    {
        string standard = Standardise(value.Text);
        return accepted.Any(answer => answer.Type == PythonType.String && Standardise(answer.Text) == standard)
            ? BfclVerdict.Valid
            : new BfclVerdict(false, "value_error:string", $"{value} is not one of {PythonValue.List(accepted)}");
    }

    /// <summary>A list must equal one of the accepted lists, its strings compared as strings are.</summary>
    public static BfclVerdict List(PythonValue value, IReadOnlyList<PythonValue> accepted)
    {
        PythonValue standard = PythonValue.List([.. value.Items.Select(Standard)]);
        var answers = new List<PythonValue>();
        foreach (PythonValue answer in accepted)
        {
            // A string is a sequence of characters; in particular "" stands for the empty list.
            answers.Add(PythonValue.List([.. answer.Type switch
            {
                PythonType.List => answer.Items.Select(Standard),
                PythonType.String => answer.Text.Select(c => Standard(PythonValue.Of(c.ToString()))),
                _ => throw new BfclCheckException($"the accepted value {answer} is no list"),
            }]));
        }

        return answers.Contains(standard) ? BfclVerdict.Valid : new BfclVerdict(false, "value_error:list/tuple", $"{value} is not one of {PythonValue.List(accepted)}");
    }

    /// <summary>A dict must match one of the accepted ones key by key: each key has a list of accepted values, and may be absent if that holds "".</summary>
    public static BfclVerdict Dict(PythonValue value, IReadOnlyList<PythonValue> accepted)
    {
        var result = new BfclVerdict(false, "dict_checker:unclear");
        if (value.Type != PythonType.Dict)
            throw new BfclCheckException($"{value} is no dict");
        foreach (PythonValue answer in accepted)
        {
            if (answer.IsString(""))
                continue;
            if (answer.Type != PythonType.Dict)
                throw new BfclCheckException($"the accepted value {answer} is no dict");
            result = DictAgainst(value, answer);
            if (result.IsValid)
                return result;
        }

        return result;
    }

    /// <summary>A list of dicts must match one of the accepted lists, dict by dict.</summary>
    public static BfclVerdict ListOfDicts(PythonValue value, IReadOnlyList<PythonValue> accepted)
    {
        var result = new BfclVerdict(false, "list_dict_checker:unclear");
        foreach (PythonValue answer in accepted)
        {
            int count = answer.Type switch
            {
                PythonType.List => answer.Items.Count,
                PythonType.String => answer.Text.Length,
                PythonType.Dict => answer.Pairs.Count,
                _ => throw new BfclCheckException($"the accepted value {answer} is no list"),
            };
            if (value.Items.Count != count)
            {
                result = new BfclVerdict(false, "value_error:list_dict_count", $"{value.Items.Count} dicts; expected {count}");
                continue;
            }

            if (count > 0 && answer.Type != PythonType.List)
                throw new BfclCheckException($"the accepted value {answer} is no list");
            result = BfclVerdict.Valid;
            for (int i = 0; i < count && result.IsValid; i++)
                result = Dict(value.Items[i], [answer.Items[i]]);
            if (result.IsValid)
                return result;
        }

        return result;
    }

    private static BfclVerdict DictAgainst(PythonValue value, PythonValue answer)
    {
        BfclVerdict result = BfclVerdict.Valid;
        foreach ((PythonValue key, PythonValue item) in value.Pairs)
        {
            PythonValue? values = Find(answer, key);
            if (values is null)
            {
                result = new BfclVerdict(false, "value_error:dict_key", $"unexpected key {key}");
                break;
            }

            if (!Contains(values, Standard(item), standardise: true))
            {
                result = new BfclVerdict(false, "value_error:dict_value", $"{item} at {key} is not one of {values}");
                break;
            }
        }

        foreach ((PythonValue key, PythonValue values) in answer.Pairs)
        {
            if (Find(value, key) is null && !Contains(values, PythonValue.Of(""), standardise: false))
                return new BfclVerdict(false, "value_error:dict_key", $"missing key {key}");
        }

        return result;
    }

    private static PythonValue? Find(PythonValue dict, PythonValue key)
    {
        foreach ((PythonValue name, PythonValue value) in dict.Pairs)
        {
            if (name.Equals(key))
                return value;
        }

        return null;
    }

    // Python's "in" on what should be a list; a string is searched by character or, for "", contains it.
    private static bool Contains(PythonValue values, PythonValue value, bool standardise) => values.Type switch
    {
        PythonType.List => values.Items.Any(item => (standardise ? Standard(item) : item).Equals(value)),
        PythonType.String => standardise
            ? values.Text.Any(c => Standard(PythonValue.Of(c.ToString())).Equals(value))
            : value.Type == PythonType.String && values.Text.Contains(value.Text, StringComparison.Ordinal),
        _ => throw new BfclCheckException($"the accepted values {values} are no list"),
    };

    private static PythonValue Standard(PythonValue value) => value.Type == PythonType.String ? PythonValue.Of(Standardise(value.Text)) : value;
}
