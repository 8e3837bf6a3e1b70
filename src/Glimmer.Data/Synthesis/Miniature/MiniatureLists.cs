namespace Glimmer.Data.Synthesis.Miniature;

/// <summary>A problem about a list or a word.</summary>
/// <param name="Operation">What is asked.</param>
/// <param name="Code">The expression as Python writes it.</param>
/// <param name="Value">Its value as Python writes it.</param>
/// <param name="Prose">The question in words.</param>
/// <param name="Answer">The answer in words.</param>
/// <param name="Steps">How to get there.</param>
internal sealed record ListProblem(string Operation, string Code, string Value, string Prose, string Answer, string Steps)
{
    public ulong Key => CorpusKey.Of("list", Code);
}

/// <summary>The family of strings and lists: reverse, sort, largest, smallest, count, index, unique, join, replace.</summary>
internal static class MiniatureLists
{
    private static readonly string[] s_operations = ["reverse", "sort", "max", "min", "count", "index", "unique", "join", "replace"];
    private static readonly string[] s_words =
        ["ant", "bee", "cup", "dot", "egg", "fan", "gem", "hat", "ice", "jar", "key", "log", "map", "net", "oak", "pin", "rug", "sun", "tea", "urn", "van", "web", "yak", "zip"];

    /// <summary>Items of a list in training and test; documents of long lists have up to twice as many.</summary>
    public const int MaxItems = 8;

    /// <summary>A problem of the split.</summary>
    public static ListProblem Problem(Choices choices, int maxItems = MaxItems) => choices.Draw(c => Any(c, maxItems), problem => CorpusKey.SplitOf(problem.Key));

    /// <summary>A document: some problems as Python or in words.</summary>
    public static (string Task, ulong Key, string Text) Document(Choices choices, int maxItems = MaxItems)
    {
        string form = choices.Weighted<string>((0.4, "python"), (0.35, "prose"), (0.25, "worked"));
        int count = choices.Between(1, 4);
        var lines = new string[count];
        ulong key = 0;
        for (int i = 0; i < count; i++)
        {
            ListProblem problem = Problem(choices, maxItems);
            key = i == 0 ? problem.Key : key;
            lines[i] = form switch
            {
                "python" => $">>> {problem.Code}\n{problem.Value}",
                "prose" => $"{problem.Prose} {problem.Answer}",
                _ => $"{problem.Prose} <think>{problem.Steps}</think>{problem.Answer}",
            };
        }

        return ($"lists/{form}", key, string.Join('\n', lines));
    }

    private static ListProblem Any(Choices choices, int maxItems)
    {
        string operation = choices.Pick(s_operations);
        int count = choices.Between(2, maxItems);
        bool isNumbers = operation is "max" or "min" || (operation is not "join" and not "replace" && choices.Chance(0.5));
        string[] items = new string[count];
        for (int i = 0; i < count; i++)
            items[i] = isNumbers ? $"{choices.Between(0, 99)}" : choices.Pick(s_words);
        string list = "[" + string.Join(", ", items.Select(Literal)) + "]", words = string.Join(", ", items);
        switch (operation)
        {
            case "reverse":
                string[] reversed = [.. items.Reverse()];
                return New($"{list}[::-1]", List(reversed), $"Reverse {words}.", string.Join(", ", reversed), "from the end: " + string.Join(", then ", reversed));
            case "sort":
                string[] sorted = Sorted();
                return New($"sorted({list})", List(sorted), $"Sort {words}.", string.Join(", ", sorted), $"smallest first: {string.Join(", then ", sorted)}");
            case "max" or "min":
                bool isMax = operation == "max";
                int[] numbers = [.. items.Select(int.Parse)];
                var steps = new List<string>();
                int best = numbers[0];
                foreach (int number in numbers.Skip(1))
                {
                    steps.Add($"{best}, {number}: {(isMax ? Math.Max(best, number) : Math.Min(best, number))}");
                    best = isMax ? Math.Max(best, number) : Math.Min(best, number);
                }

                return New($"{operation}({list})", $"{best}", $"Which is the {(isMax ? "largest" : "smallest")} of {words}?", $"{best}", string.Join("; ", steps));
            case "count":
                string counted = choices.Pick(items);
                int times = items.Count(item => item == counted);
                return New($"{list}.count({Literal(counted)})", $"{times}", $"How often does {counted} occur in {words}?", $"{times}", string.Join(", ", items.Select(item => item == counted ? "yes" : "no")));
            case "index":
                string sought = choices.Pick(items);
                int at = Array.IndexOf(items, sought);
                return New($"{list}.index({Literal(sought)})", $"{at}", $"Counting from 0, where does {sought} first stand in {words}?", $"{at}", string.Join(", ", items.Take(at + 1).Select((item, i) => $"{i} {item}")));
            case "unique":
                string[] unique = [.. items.Distinct()];
                return New($"list(dict.fromkeys({list}))", List(unique), $"Leave out repetitions in {words}.", string.Join(", ", unique), string.Join(", ", items.Select((item, i) => Array.IndexOf(items, item) == i ? item : $"{item} again")));
            case "join":
                string separator = choices.Pick(["-", "+", "/", "_"]);
                string joined = string.Join(separator, items);
                return New($"\"{separator}\".join({list})", Literal(joined), $"Join {words} with {separator}.", joined, string.Join(" ", items.Select((item, i) => i == 0 ? item : separator + item)));
            default:
                string old = choices.Pick(items), replacement = choices.Pick(s_words);
                string[] replaced = [.. items.Select(item => item == old ? replacement : item)];
                return New($"[{Literal(replacement)} if x == {Literal(old)} else x for x in {list}]", List(replaced), $"Replace {old} by {replacement} in {words}.", string.Join(", ", replaced), string.Join(", ", items.Select(item => item == old ? $"{item} becomes {replacement}" : $"{item} stays")));
        }

        ListProblem New(string code, string value, string prose, string answer, string steps) => new(operation, code, value, prose, answer, steps);

        string[] Sorted() => isNumbers ? [.. items.OrderBy(int.Parse)] : [.. items.Order(StringComparer.Ordinal)];

        string List(IEnumerable<string> values) => "[" + string.Join(", ", values.Select(Literal)) + "]";

        string Literal(string value) => isNumbers ? value : $"'{value}'";
    }
}
