using System.Text.Json;

namespace Glimmer.Environments.Scorers.Bfcl;

/// <summary>Grades calls against the accepted answers of the Berkeley Function Calling Leaderboard, without running them.</summary>
/// <remarks>
/// The rules of bfcl-eval's <c>ast_checker</c>, verdict for verdict: name, required parameters, no unknown ones, type (integers pass as floats in Python only; one level of items),
/// value (<see cref="BfclValueCheck"/>), and absent parameters only where the answer lists "". A value of the accepted answers' own type passes as a variable, then compared exactly.
/// </remarks>
internal sealed class BfclChecker
{
    private readonly BfclLanguage _language;
    private readonly bool _underscores;

    /// <summary>Creates a checker.</summary>
    /// <param name="language">Language of the functions.</param>
    /// <param name="underscores">Whether dots of function names were written as underscores for the model.</param>
    public BfclChecker(BfclLanguage language, bool underscores = false) => (_language, _underscores) = (language, underscores);

    /// <summary>The language that a category's functions are written in.</summary>
    public static BfclLanguage LanguageOf(string category) =>
        category.Contains("javascript", StringComparison.Ordinal) ? BfclLanguage.JavaScript : category.Contains("java", StringComparison.Ordinal) ? BfclLanguage.Java : BfclLanguage.Python;

    /// <summary>Grades an answer.</summary>
    /// <param name="category">Category, such as <c>simple_python</c> or <c>live_parallel</c>: says how many calls and whether their order counts.</param>
    /// <param name="functions">The functions on offer: an array of objects with name and parameters.</param>
    /// <param name="calls">The model's calls.</param>
    /// <param name="answers">The accepted answer: an array of objects <c>{function: {parameter: [values]}}</c>.</param>
    public BfclVerdict Check(string category, JsonElement functions, IReadOnlyList<BfclCall> calls, JsonElement answers)
    {
        try
        {
            bool isParallel = category.Contains("parallel", StringComparison.Ordinal), isMultiple = category.Contains("multiple", StringComparison.Ordinal);
            string checker = isParallel ? "parallel_function_checker_no_order" : isMultiple ? "multiple_function_checker" : "simple_function_checker";
            int expected = isParallel || isMultiple ? answers.GetArrayLength() : 1;
            if (calls.Count != expected)
                return new BfclVerdict(false, checker + ":wrong_count", $"{calls.Count} calls; expected {expected}");
            if (isParallel)
                return CheckAnyOrder(functions, calls, answers);
            JsonProperty answer = Answer(answers[0]);
            return CheckCall(isMultiple ? Description(functions, answer.Name) : functions[0], calls[0], answer.Value);
        }
        catch (BfclCheckException error)
        {
            return new BfclVerdict(false, "exception", error.Message);
        }
    }

    /// <summary>Each accepted call takes the first call that matches and is still free.</summary>
    private BfclVerdict CheckAnyOrder(JsonElement functions, IReadOnlyList<BfclCall> calls, JsonElement answers)
    {
        var free = new List<BfclCall>(calls);
        foreach (JsonElement item in answers.EnumerateArray())
        {
            JsonProperty answer = Answer(item);
            JsonElement description = Description(functions, answer.Name);
            string? message = null;
            int found = free.FindIndex(call =>
            {
                BfclVerdict verdict = CheckCall(description, call, answer.Value);
                message ??= verdict.Message;
                return verdict.IsValid;
            });
            if (found < 0)
                return new BfclVerdict(false, "parallel_function_checker_no_order:cannot_find_match", $"no call matches {answer.Name}: {message}");
            free.RemoveAt(found);
        }

        return BfclVerdict.Valid;
    }

    private BfclVerdict CheckCall(JsonElement description, BfclCall call, JsonElement answer)
    {
        string name = description.GetProperty("name").GetString()!;
        if (_underscores)
            name = name.Replace('.', '_');
        if (call.Name != name)
            return new BfclVerdict(false, "simple_function_checker:wrong_func_name", $"the call is {call.Name}; expected {name}");
        JsonElement parameters = Property(description, "parameters"), properties = Property(parameters, "properties");
        foreach (JsonElement required in Property(parameters, "required").EnumerateArray())
        {
            if (call.Arguments.Find(required.GetString()!) is null)
                return new BfclVerdict(false, "simple_function_checker:missing_required", $"{name} lacks the required parameter {required}");
        }

        foreach ((PythonValue key, PythonValue value) in call.Arguments.Pairs)
        {
            if (key.Type != PythonType.String || !properties.TryGetProperty(key.Text, out JsonElement parameter) || !answer.TryGetProperty(key.Text, out JsonElement values))
                return new BfclVerdict(false, "simple_function_checker:unexpected_param", $"{name} has no parameter {key}");
            BfclVerdict verdict = CheckParameter(parameter, value, PythonValue.From(values).Items);
            if (!verdict.IsValid)
                return verdict with { Message = $"{name}.{key.Text}: {verdict.Message}" };
        }

        foreach (JsonProperty parameter in answer.EnumerateObject())
        {
            if (call.Arguments.Find(parameter.Name) is null && !PythonValue.From(parameter.Value).Items.Any(value => value.IsString("")))
                return new BfclVerdict(false, "simple_function_checker:missing_optional", $"{name} lacks {parameter.Name}, which the answer does not leave open");
        }

        return BfclVerdict.Valid;
    }

    private BfclVerdict CheckParameter(JsonElement parameter, PythonValue value, IReadOnlyList<PythonValue> accepted)
    {
        string typeName = Property(parameter, "type").GetString()!;
        PythonType type = BfclTypes.Of(_language, typeName);
        string? itemTypeName = null;
        if (_language != BfclLanguage.Python && value.Type != PythonType.String)
            return new BfclVerdict(false, _language == BfclLanguage.Java ? "type_error:java" : "type_error:js", $"expected source text, not {value}");
        if (BfclTypes.HasItems(_language, typeName))
            itemTypeName = Property(Property(parameter, "items"), "type").GetString()!;
        PythonType? itemType = itemTypeName is null ? null : BfclTypes.Of(_language, itemTypeName);
        value = _language switch
        {
            BfclLanguage.Java => JavaValues.Convert(value.Text, typeName, itemTypeName),
            BfclLanguage.JavaScript => JavaScriptValues.Convert(value.Text, typeName, itemTypeName),
            _ when typeName == "tuple" && value.Type == PythonType.Tuple => PythonValue.List(value.Items),
            _ when typeName == "float" && value.Type == PythonType.Integer => PythonValue.Of((double)value.Integer),
            _ => value,
        };
        (BfclVerdict verdict, bool isVariable) = CheckType(value, accepted, type, itemType);
        if (!verdict.IsValid)
            return verdict;
        if (!isVariable)
        {
            switch (type)
            {
                case PythonType.Dict:
                    return BfclValueCheck.Dict(value, accepted);
                case PythonType.List when itemType == PythonType.Dict:
                    return BfclValueCheck.ListOfDicts(value, accepted);
                case PythonType.String:
                    return BfclValueCheck.String(value, accepted);
                case PythonType.List:
                    return BfclValueCheck.List(value, accepted);
            }
        }

        return accepted.Contains(value) ? BfclVerdict.Valid : new BfclVerdict(false, "value_error:others", $"{value} is not one of {PythonValue.List(accepted)}");
    }

    /// <summary>The type of a value, and whether it passes as a variable: as a value of the type that the accepted values have.</summary>
    private static (BfclVerdict Verdict, bool IsVariable) CheckType(PythonValue value, IReadOnlyList<PythonValue> accepted, PythonType type, PythonType? itemType)
    {
        PythonType? acceptedType = accepted.FirstOrDefault(answer => !answer.IsString(""))?.Type;
        bool isVariable = acceptedType is not null && acceptedType != type;
        bool isNestedWrong = false;
        if (value.Type == type)
        {
            if (itemType is null)
                return (BfclVerdict.Valid, isVariable);
            foreach (PythonValue answer in accepted)
            {
                if (!answer.IsList || value.Items.All(item => CheckType(item, answer.Items, itemType.Value, null).Verdict.IsValid))
                    return (BfclVerdict.Valid, isVariable);
            }

            isNestedWrong = true;
        }

        if (acceptedType is not null && value.Type == acceptedType)
            return isNestedWrong ? (new BfclVerdict(false, "type_error:nested", $"items of {value} are not {itemType}"), true) : (BfclVerdict.Valid, true);
        return (new BfclVerdict(false, "type_error:simple", $"{value} is {value.Type}; expected {type}"), false);
    }

    private static JsonProperty Answer(JsonElement item)
    {
        foreach (JsonProperty property in item.EnumerateObject())
            return property;
        throw new BfclCheckException("an accepted answer names no function");
    }

    private static JsonElement Description(JsonElement functions, string name)
    {
        foreach (JsonElement function in functions.EnumerateArray())
        {
            if (function.GetProperty("name").GetString() == name)
                return function;
        }

        throw new BfclCheckException($"no function on offer is called '{name}'");
    }

    private static JsonElement Property(JsonElement json, string name) =>
        json.TryGetProperty(name, out JsonElement value) ? value : throw new BfclCheckException($"the function's description has no '{name}'");
}
