using System.Globalization;
using System.Text.RegularExpressions;

namespace Glimmer.Data.Synthesis.Nano;

/// <summary>The functions of the generated tool sets, read from <c>functions.txt</c>, whose first lines tell its form.</summary>
internal static partial class FunctionLibrary
{
    private const string Resource = "nano-functions.txt";

    private static readonly Lazy<IReadOnlyList<ToolFunction>> s_all = new(() =>
    {
        using Stream stream = typeof(FunctionLibrary).Assembly.GetManifestResourceStream(Resource) ?? throw new InvalidOperationException($"The assembly lacks the resource {Resource}.");
        using var reader = new StreamReader(stream);
        return Parse(reader.ReadToEnd());
    });

    /// <summary>All functions: each definition once for every value of its variable.</summary>
    public static IReadOnlyList<ToolFunction> All => s_all.Value;

    /// <summary>Reads definitions.</summary>
    /// <exception cref="FormatException">A line is malformed; the message gives its number.</exception>
    public static IReadOnlyList<ToolFunction> Parse(string text)
    {
        var banks = new Dictionary<string, string[]>();
        var functions = new List<ToolFunction>();
        var block = new List<(int Line, string Text)>();
        int number = 0;
        foreach (string raw in text.Split('\n'))
        {
            number++;
            string line = raw.Trim();
            if (line.Length == 0 || line[0] == '#')
                continue;
            if (line.StartsWith("fn ", StringComparison.Ordinal))
                Finish();
            if (line[0] == '@')
            {
                string[] parts = line[1..].Split('=', 2, StringSplitOptions.TrimEntries);
                banks[parts[0]] = parts.Length == 2 ? Values(parts[1]) : throw Malformed(number, line, "expected '@ name = values'");
            }
            else
            {
                block.Add((number, line));
            }
        }

        Finish();
        return functions;

        void Finish()
        {
            if (block.Count > 0)
                functions.AddRange(Functions(block, banks));
            block.Clear();
        }
    }

    private static IEnumerable<ToolFunction> Functions(List<(int Line, string Text)> block, Dictionary<string, string[]> banks)
    {
        (string name, string[] values) = ("", [""]);
        (int, string) let = block.Find(line => line.Text.StartsWith("let ", StringComparison.Ordinal));
        if (let.Item2 is not null)
        {
            string[] parts = let.Item2[4..].Split('=', 2, StringSplitOptions.TrimEntries);
            (name, values) = parts.Length == 2 ? (parts[0], Values(parts[1])) : throw Malformed(let.Item1, let.Item2, "expected 'let name = values'");
        }

        foreach (string value in values)
        {
            var parameters = new List<FunctionParameter>();
            List<string> names = [], descriptions = [], questions = [];
            ParameterValues? result = null;
            string answer = "";
            foreach ((int number, string line) in block)
            {
                int space = line.IndexOf(' ', StringComparison.Ordinal);
                string rest = line[(space + 1)..];
                switch (line[..Math.Max(space, 0)])
                {
                    case "fn":
                        // A name without the variable belongs to the first value alone, so that no two functions share it.
                        names.AddRange(Alternatives(rest).Where(alternative => value == values[0] || alternative.Contains($"<{name}>", StringComparison.Ordinal)).Select(alternative => With(alternative, value.Replace(' ', '_'))));
                        break;
                    case "let":
                        break;
                    case "do":
                        descriptions.AddRange(Alternatives(With(rest, value)).Select(Upper));
                        break;
                    case "q":
                        questions.Add(Upper(With(rest, value)));
                        break;
                    case "p" or "o":
                        parameters.Add(Parameter(number, With(rest, value), line[0] == 'o', banks));
                        break;
                    case "r":
                        string[] parts = rest.Split(" : ", 2, StringSplitOptions.TrimEntries);
                        (result, answer) = parts.Length == 2 ? (Range(number, parts[0], "integer", banks), With(parts[1], value)) : throw Malformed(number, line, "expected 'r values : answer'");
                        break;
                    default:
                        throw Malformed(number, line, "expected fn, let, do, p, o, q or r");
                }
            }

            if (names.Count == 0 || descriptions.Count == 0 || questions.Count == 0 || parameters.Count == 0 || result is null)
                throw Malformed(block[0].Line, block[0].Text, "the function lacks a description, a parameter, a question or a result");
            yield return new ToolFunction(names[0], names, descriptions, [.. parameters.OrderBy(parameter => parameter.IsOptional)], questions, result, answer);
        }

        string With(string text, string value) => name.Length == 0 ? text : text.Replace($"<{name}>", value, StringComparison.Ordinal);
    }

    private static FunctionParameter Parameter(int number, string text, bool isOptional, Dictionary<string, string[]> banks)
    {
        string[] parts = text.Split(" : ", StringSplitOptions.TrimEntries);
        Match head = Head().Match(parts[0]);
        // A flag is true when its phrase is said: it needs no values.
        bool isFlag = head.Groups[2].Value == "boolean";
        if (!head.Success || parts.Length != (isOptional && !isFlag ? 4 : 3))
            throw Malformed(number, text, "expected 'names type : description : values' and a phrase for an optional one");
        string itemType = head.Groups[3].Value;
        ParameterValues values = isFlag ? new ParameterValues(0, 0, 0, ["true"], 0, 0) : Range(number, parts[2], itemType.Length > 0 ? itemType : head.Groups[2].Value, banks);
        if (itemType.Length > 0 != values.MaxItems > 0)
            throw Malformed(number, text, "an array needs '*fewest-most' behind its values, and nothing else has it");
        return new FunctionParameter(head.Groups[1].Value.Split('|'), head.Groups[2].Value, itemType.Length > 0 ? itemType : null, parts[1], values, isOptional ? parts[^1] : null);
    }

    private static ParameterValues Range(int number, string text, string type, Dictionary<string, string[]> banks)
    {
        int fewest = 0, most = 0;
        Match count = Count().Match(text);
        if (count.Success)
            (fewest, most, text) = (int.Parse(count.Groups[1].Value, CultureInfo.InvariantCulture), int.Parse(count.Groups[2].Value, CultureInfo.InvariantCulture), text[..count.Index].Trim());
        Match range = Numbers().Match(text);
        if (type is "integer" or "float" != range.Success)
            throw Malformed(number, text, $"values of type {type} must be {(range.Success ? "texts" : "a range such as 1..9 or 0.5..9/1")}");
        if (range.Success)
        {
            return new ParameterValues(
                double.Parse(range.Groups[1].Value, CultureInfo.InvariantCulture), double.Parse(range.Groups[2].Value, CultureInfo.InvariantCulture),
                range.Groups[3].Success ? int.Parse(range.Groups[3].Value, CultureInfo.InvariantCulture) : 0, null, fewest, most);
        }

        string[]? texts = text[0] == '@' ? banks.GetValueOrDefault(text[1..]) : Values(text);
        return new ParameterValues(0, 0, 0, texts ?? throw Malformed(number, text, "there is no such bank"), fewest, most);
    }

    private static string[] Values(string text) => text.Split(';', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);

    private static string[] Alternatives(string text) => text.Split('|', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);

    private static string Upper(string text) => char.ToUpperInvariant(text[0]) + text[1..];

    private static FormatException Malformed(int number, string line, string reason) => new($"functions.txt, line {number}: {reason}: '{line}'.");

    [GeneratedRegex(@"^([a-z0-9_|A-Z]+) (integer|float|string|boolean|array)(?:<(integer|float|string)>)?$")]
    private static partial Regex Head();

    [GeneratedRegex(@"\*(\d+)-(\d+)$")]
    private static partial Regex Count();

    [GeneratedRegex(@"^(\d+(?:\.\d+)?)\.\.(\d+(?:\.\d+)?)(?:/(\d))?$")]
    private static partial Regex Numbers();
}
