using System.Text.Json;
using Glimmer.Inference.Constraints;
using Xunit.Abstractions;

namespace Glimmer.Tests.Inference.Constraints;

[Trait("Category", "Golden")]
public sealed class JsonSchemaTests(ITestOutputHelper output)
{
    private static readonly JsonSchemaOptions s_everyForm = new() { AnyOrder = true, AnyNumberForm = true };

    /// <summary>Splits in which we are stricter than the suite: formats are assertions for us, and integers have no exponents.</summary>
    private static readonly string[] s_loose = ["format", "extra"];

    public static TheoryData<string> Splits => Fixtures.Rows(Recordings.Lines("json_schema_suite.jsonl").Select(l => l.GetProperty("split").GetString()!).Distinct());

    public static TheoryData<string> Tools => Fixtures.Rows(Recordings.Lines("json_schema_tools.jsonl").Length == 0 ? [] : ["json_schema_tools.jsonl"]);

    [SkippableTheory]
    [MemberData(nameof(Splits))]
    public void No_invalid_instance_of_the_official_suite_is_accepted(string split)
    {
        Fixtures.SkipIfAbsent(split);
        JsonElement[] lines = [.. Recordings.Lines("json_schema_suite.jsonl").Where(l => l.GetProperty("split").GetString() == split)];
        Verdicts verdicts = Judge(lines, s_everyForm);
        output.WriteLine($"{split}: {verdicts.Summary}");
        Assert.True(verdicts.InvalidAccepted.Count == 0, "invalid accepted:\n" + string.Join('\n', verdicts.InvalidAccepted));
        Assert.All(verdicts.Refused, r => Assert.NotNull(r.Keyword));
        if (!s_loose.Contains(split))
            Assert.True(verdicts.ValidRejected.Count == 0, "valid rejected:\n" + string.Join('\n', verdicts.ValidRejected));
        if (split == "bar")
        {
            Assert.True(verdicts.Refused.Count <= 30, string.Join('\n', verdicts.Refused));
            Assert.True(verdicts.RefusedTests <= 140, string.Join('\n', verdicts.Refused));
        }
    }

    [SkippableTheory]
    [MemberData(nameof(Tools))]
    public void Calls_of_real_tools_are_accepted_exactly_when_they_are_valid(string file)
    {
        Fixtures.SkipIfAbsent(file);
        Verdicts verdicts = Judge(Recordings.Lines(file), new JsonSchemaOptions());
        output.WriteLine(verdicts.Summary);
        Assert.True(verdicts.InvalidAccepted.Count == 0, "invalid accepted:\n" + string.Join('\n', verdicts.InvalidAccepted));
        Assert.True(verdicts.ValidRejected.Count == 0, "valid rejected:\n" + string.Join('\n', verdicts.ValidRejected));
        Assert.True(verdicts.Refused.Count == 0, string.Join('\n', verdicts.Refused));
    }

    private static Verdicts Judge(IEnumerable<JsonElement> lines, JsonSchemaOptions options)
    {
        var verdicts = new Verdicts();
        foreach (JsonElement line in lines)
        {
            string id = line.GetProperty("id").GetString()!;
            JsonElement[] tests = [.. line.GetProperty("tests").EnumerateArray()];
            string schema = line.GetProperty("schema").GetRawText();
            verdicts.Tests += tests.Length;
            verdicts.Schemas++;
            Constraint? constraint = null;
            try
            {
                constraint = Constraint.FromJsonSchema(Recordings.Trie, schema, options);
            }
            catch (ConstraintException refused) when (refused.Keyword is null && refused.Message.StartsWith("No ", StringComparison.Ordinal))
            {
                // A schema without valid values: it rejects everything.
            }
            catch (ConstraintException refused)
            {
                verdicts.Refused.Add((id, refused.Keyword, refused.Message));
                verdicts.RefusedTests += tests.Length;
                continue;
            }

            foreach (JsonElement test in tests)
            {
                string data = test.GetProperty("data").GetRawText();
                string spaced = test.TryGetProperty("spaced", out JsonElement other) ? other.GetString()! : data;
                bool valid = test.GetProperty("valid").GetBoolean();
                bool compact = constraint is not null && Recordings.Accepts(constraint, data);
                bool wide = constraint is not null && Recordings.Accepts(constraint, spaced);
                string name = $"{id}: {schema} {(test.TryGetProperty("description", out JsonElement what) ? what.GetString() : "")}: {data}";
                if (!valid && (compact || wide))
                    verdicts.InvalidAccepted.Add(name);
                if (valid && !(compact && wide))
                    verdicts.ValidRejected.Add(name);
            }
        }

        return verdicts;
    }

    private sealed class Verdicts
    {
        public int Schemas { get; set; }

        public int Tests { get; set; }

        public int RefusedTests { get; set; }

        public List<string> InvalidAccepted { get; } = [];

        public List<string> ValidRejected { get; } = [];

        public List<(string Id, string? Keyword, string Message)> Refused { get; } = [];

        public string Summary =>
            $"{Schemas} schemas, {Tests} tests: {InvalidAccepted.Count} invalid accepted, {ValidRejected.Count} valid rejected, {RefusedTests} tests in {Refused.Count} schemas refused ("
            + string.Join(", ", Refused.CountBy(r => r.Keyword ?? "malformed").Select(g => $"{g.Key} {g.Value}")) + ")";
    }
}
