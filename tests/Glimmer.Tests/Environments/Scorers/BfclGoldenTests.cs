using System.Text.Json;
using Glimmer.Environments.Scorers.Bfcl;

namespace Glimmer.Tests.Environments.Scorers;

/// <summary>Function calls are decoded and graded as bfcl-eval 2026.3.23 does.</summary>
public class BfclGoldenTests
{
    // Rows whose answer names a parameter that the function lacks, or lets a required one be absent: nobody can be right.
    private static readonly HashSet<string> s_contradictory = ["parallel_multiple_12", "parallel_multiple_26", "live_simple_106-63-0", "live_simple_112-68-0"];

    [SkippableFact]
    public void Every_recorded_answer_gets_the_official_verdict()
    {
        var data = new Dictionary<string, (Dictionary<string, JsonElement> Rows, Dictionary<string, JsonElement> Answers)>();
        var wrong = new List<string>();
        int errorTypes = 0, invalid = 0;
        foreach (JsonElement row in EvaluationFixtures.Rows("bfcl_ast.jsonl"))
        {
            string category = row.GetProperty("category").GetString()!, id = row.GetProperty("id").GetString()!;
            if (!data.TryGetValue(category, out (Dictionary<string, JsonElement> Rows, Dictionary<string, JsonElement> Answers) set))
                data[category] = set = (ById(EvaluationFixtures.Data("bfcl", $"BFCL_{category}.jsonl")), ById(EvaluationFixtures.Data("bfcl", "possible_answer", $"BFCL_{category}.jsonl")));
            HashSet<string> tuples = row.TryGetProperty("tuple_params", out JsonElement list) ? [.. list.EnumerateArray().Select(item => item.GetString()!)] : [];
            BfclCall[] calls = [.. row.GetProperty("output").EnumerateArray().SelectMany(call => call.EnumerateObject()).Select(call => new BfclCall(call.Name, Arguments(call.Value, tuples)))];
            var checker = new BfclChecker(BfclChecker.LanguageOf(category), row.GetProperty("names").GetString() == "underscore");
            BfclVerdict verdict = checker.Check(category, set.Rows[id].GetProperty("function"), calls, set.Answers[id].GetProperty("ground_truth"));
            JsonElement official = row.GetProperty("official");
            bool expected = official.TryGetProperty("valid", out JsonElement valid) && valid.GetBoolean();
            if (verdict.IsValid != expected)
                wrong.Add($"{row}: {verdict}");
            if (!expected && official.TryGetProperty("error_type", out JsonElement type))
            {
                invalid++;
                errorTypes += verdict.ErrorType == type.GetString() ? 1 : 0;
                if (verdict.ErrorType != type.GetString())
                    wrong.Add($"{row}: {verdict}");
            }
        }

        Assert.True(wrong.Count == 0, $"{wrong.Count} differ; error types {errorTypes} of {invalid}:\n{string.Join('\n', wrong.Take(10))}");
    }

    [SkippableFact]
    public void Every_recorded_text_decodes_as_officially()
    {
        var wrong = new List<string>();
        foreach (JsonElement row in EvaluationFixtures.Rows("bfcl_decode.jsonl"))
        {
            BfclFormat format = Enum.Parse<BfclFormat>(row.GetProperty("format").GetString()!, ignoreCase: true);
            bool decoded = BfclDecoder.TryDecode(row.GetProperty("text").GetString()!, format, out IReadOnlyList<BfclCall> calls, out string? error);
            JsonElement official = row.GetProperty("official");
            string expected = official.TryGetProperty("calls", out JsonElement list) ? PythonValue.From(list).ToString() : "refused";
            string found = decoded ? PythonValue.List([.. calls.Select(call => PythonValue.Dict([KeyValuePair.Create(PythonValue.Of(call.Name), AsJson(call.Arguments, "", call.Name, row))]))]).ToString() : "refused";
            if (found != expected)
                wrong.Add($"{row}: {found} {error}");
        }

        Assert.True(wrong.Count == 0, $"{wrong.Count} differ:\n{string.Join('\n', wrong)}");
    }

    [SkippableTheory]
    [InlineData("simple_python")]
    [InlineData("simple_java")]
    [InlineData("simple_javascript")]
    [InlineData("multiple")]
    [InlineData("parallel")]
    [InlineData("parallel_multiple")]
    [InlineData("live_simple")]
    [InlineData("live_parallel")]
    public void Calls_without_their_first_argument_and_no_calls_are_wrong(string category)
    {
        Dictionary<string, JsonElement> answers = ById(EvaluationFixtures.Data("bfcl", "possible_answer", $"BFCL_{category}.jsonl"));
        var checker = new BfclChecker(BfclChecker.LanguageOf(category));
        foreach (JsonElement row in EvaluationFixtures.Data("bfcl", $"BFCL_{category}.jsonl"))
        {
            JsonElement answer = answers[row.GetProperty("id").GetString()!].GetProperty("ground_truth");
            Assert.False(checker.Check(category, row.GetProperty("function"), [], answer).IsValid);
            BfclCall[] unknown = [.. answer.EnumerateArray().SelectMany(call => call.EnumerateObject()).Select(call => new BfclCall(call.Name + "x", PythonValue.Dict([])))];
            Assert.False(checker.Check(category, row.GetProperty("function"), unknown, answer).IsValid);
        }
    }

    [SkippableTheory]
    [InlineData("simple_python")]
    [InlineData("multiple")]
    [InlineData("parallel")]
    [InlineData("parallel_multiple")]
    [InlineData("live_simple")]
    [InlineData("live_parallel")]
    public void Accepted_answers_are_right_and_their_strings_with_a_letter_more_are_wrong(string category)
    {
        Dictionary<string, JsonElement> answers = ById(EvaluationFixtures.Data("bfcl", "possible_answer", $"BFCL_{category}.jsonl"));
        var checker = new BfclChecker(BfclLanguage.Python);
        var wrong = new List<string>();
        foreach (JsonElement row in EvaluationFixtures.Data("bfcl", $"BFCL_{category}.jsonl"))
        {
            string id = row.GetProperty("id").GetString()!;
            JsonElement answer = answers[id].GetProperty("ground_truth");
            BfclCall[] calls = [.. answer.EnumerateArray().SelectMany(call => call.EnumerateObject()).Select(call => new BfclCall(call.Name, FirstAccepted(PythonValue.From(call.Value))))];
            BfclVerdict verdict = checker.Check(category, row.GetProperty("function"), calls, answer);
            if (verdict.IsValid == s_contradictory.Contains(id))
                wrong.Add($"{id}: {verdict}");
            if (calls[0].Arguments.Pairs.FirstOrDefault() is { Value.Type: PythonType.String } first)
            {
                calls[0] = calls[0] with { Arguments = PythonValue.Dict([KeyValuePair.Create(first.Key, PythonValue.Of(first.Value.Text + "xyz")), .. calls[0].Arguments.Pairs.Skip(1)]) };
                Assert.False(checker.Check(category, row.GetProperty("function"), calls, answer).IsValid, id);
            }
        }

        Assert.True(wrong.Count == 0, $"{wrong.Count} differ:\n{string.Join('\n', wrong.Take(20))}");
    }

    // The first accepted value of each parameter, inside dicts too; parameters that may only be absent are left out.
    private static PythonValue FirstAccepted(PythonValue accepted) => PythonValue.Dict(accepted.Pairs
        .Select(pair => (pair.Key, Value: pair.Value.Items.FirstOrDefault(item => !item.IsString(""))))
        .Where(pair => pair.Value is not null)
        .Select(pair => KeyValuePair.Create(pair.Key, Resolve(pair.Value!))));

    private static PythonValue Resolve(PythonValue value) => value.Type switch
    {
        PythonType.Dict => FirstAccepted(value),
        PythonType.List when value.Items.Any(item => item.Type == PythonType.Dict) => PythonValue.List([.. value.Items.Select(Resolve)]),
        _ => value,
    };

    private static Dictionary<string, JsonElement> ById(List<JsonElement> rows) => rows.ToDictionary(row => row.GetProperty("id").GetString()!);

    private static PythonValue Arguments(JsonElement json, HashSet<string> tuples) => PythonValue.Dict(json.EnumerateObject().Select(property =>
    {
        PythonValue value = PythonValue.From(property.Value);
        return KeyValuePair.Create(PythonValue.Of(property.Name), tuples.Contains(property.Name) ? PythonValue.Tuple(value.Items) : value);
    }));

    // As the recording's JSON shows values: tuples as lists (and listed), other types by their text, keys as strings.
    private static PythonValue AsJson(PythonValue value, string path, string name, JsonElement row)
    {
        string here = path.Length == 0 ? "/" + name : path;
        switch (value.Type)
        {
            case PythonType.Tuple:
                Assert.Contains(here, row.GetProperty("tuples").EnumerateArray().Select(item => item.GetString()));
                return PythonValue.List([.. value.Items.Select((item, i) => AsJson(item, $"{here}/{i}", name, row))]);
            case PythonType.List:
                return PythonValue.List([.. value.Items.Select((item, i) => AsJson(item, $"{here}/{i}", name, row))]);
            case PythonType.Dict:
                return PythonValue.Dict(value.Pairs.Select(pair =>
                {
                    string key = pair.Key.Type == PythonType.String ? pair.Key.Text : pair.Key.ToString();
                    return KeyValuePair.Create(PythonValue.Of(key), AsJson(pair.Value, $"{here}/{key}", name, row));
                }));
            case PythonType.Other:
                return PythonValue.Dict([KeyValuePair.Create(PythonValue.Of("python"), PythonValue.Of(value.Text))]);
            default:
                return value;
        }
    }
}
