namespace Glimmer.Data.Synthesis.Miniature;

/// <summary>The arithmetic family: problems bare, worked, in a sentence.</summary>
internal static class MiniatureArithmetic
{
    /// <summary>Most digits of numbers that are added, subtracted and compared; one more is the test of longer numbers.</summary>
    public const int MaxDigits = 5;

    private static readonly string[] s_names = ["Anna", "Ben", "Clara", "David", "Emma", "Felix", "Grace", "Hugo", "Ida", "Jonas", "Lena", "Max"];
    private static readonly string[] s_things = ["apples", "stones", "shells", "coins", "cards", "books", "nuts", "stamps", "eggs", "beads", "pens", "leaves"];

    /// <summary>A problem of the split.</summary>
    public static ArithmeticProblem Problem(Choices choices) => choices.Draw(Any, SplitOf);

    /// <summary>A problem of one kind and length of the split.</summary>
    public static ArithmeticProblem Problem(Choices choices, ArithmeticOperation operation, int digitsA, int digitsB) =>
        choices.Draw(c => Ordered(operation, c.Digits(digitsA), operation == ArithmeticOperation.Divide ? c.Between(2, 9) : c.Digits(digitsB)), SplitOf);

    /// <summary>The split of a problem. Small numbers make few problems, of which more are held out, so that report cards have enough of them.</summary>
    public static CorpusSplit SplitOf(ArithmeticProblem problem) => Math.Max(problem.A, problem.B) < 1000 && Math.Min(problem.A, problem.B) < 100 ? CorpusKey.SplitOf(problem.Key, validation: 2, test: 8) : CorpusKey.SplitOf(problem.Key);

    /// <summary>A document: some problems of one rendering, one a line.</summary>
    public static (string Task, ulong Key, string Text) Document(Choices choices)
    {
        string rendering = choices.Weighted<string>((0.4, "bare"), (0.35, "worked"), (0.25, "sentence"));
        int count = rendering == "bare" ? choices.Between(2, 6) : choices.Between(1, 3);
        var lines = new string[count];
        ArithmeticProblem first = default;
        for (int i = 0; i < count; i++)
        {
            ArithmeticProblem problem = Problem(choices);
            if (i == 0)
                first = problem;
            lines[i] = rendering switch { "bare" => Bare(problem), "worked" => Worked(problem), _ => Sentence(choices, problem) };
        }

        return ($"arithmetic/{rendering}", first.Key, string.Join('\n', lines));
    }

    /// <summary><c>12 + 30 = 42</c>.</summary>
    public static string Bare(ArithmeticProblem problem) =>
        problem.Operation == ArithmeticOperation.Compare ? $"{problem.A} {problem.Answer} {problem.B}" : $"{problem.Expression} = {problem.Answer}";

    /// <summary>The problem, the steps as a thought, the answer.</summary>
    public static string Worked(ArithmeticProblem problem) => $"{problem.Expression} = <think>{problem.Worked}</think>{problem.Answer}";

    /// <summary>A question about the problem.</summary>
    public static string Question(Choices choices, ArithmeticProblem problem)
    {
        (string a, string b) = ($"{problem.A}", $"{problem.B}");
        return problem.Operation switch
        {
            ArithmeticOperation.Add => choices.Pick([$"What is {a} + {b}?", $"{a} + {b} = ?", $"Add {a} and {b}.", $"How much is {a} plus {b}?", $"{a} 加 {b} 是多少？"]),
            ArithmeticOperation.Subtract => choices.Pick([$"What is {a} - {b}?", $"{a} - {b} = ?", $"Subtract {b} from {a}.", $"How much is {a} minus {b}?", $"{a} 减 {b} 是多少？"]),
            ArithmeticOperation.Multiply => choices.Pick([$"What is {a} x {b}?", $"{a} x {b} = ?", $"Multiply {a} by {b}.", $"How much is {a} times {b}?", $"{a} 乘 {b} 是多少？"]),
            ArithmeticOperation.Divide => choices.Pick([$"What is {a} / {b}?", $"{a} / {b} = ?", $"Divide {a} by {b}.", $"How often does {b} go into {a}?", $"{a} 除以 {b} 是多少？"]),
            _ => choices.Pick([$"Compare {a} and {b}.", $"{a} ? {b}", $"Which sign belongs between {a} and {b}: <, = or >?", $"比较 {a} 和 {b}。"]),
        };
    }

    private static string Sentence(Choices choices, ArithmeticProblem problem)
    {
        string name = choices.Pick(s_names), thing = choices.Pick(s_things);
        (long a, long b) = (problem.A, problem.B);
        switch (problem.Operation)
        {
            case ArithmeticOperation.Add:
                return choices.Pick([$"{name} has {a} {thing} and finds {b} more. Now {name} has {problem.Answer} {thing}.", $"There are {a} {thing} in one box and {b} in another: {problem.Answer} {thing} in all."]);
            case ArithmeticOperation.Subtract:
                return choices.Pick([$"{name} has {a} {thing} and gives away {b}. {problem.Answer} {thing} are left.", $"Of {a} {thing} {name} sells {b}; {problem.Answer} remain."]);
            case ArithmeticOperation.Multiply:
                return choices.Pick([$"{name} fills {b} boxes with {a} {thing} each: {problem.Answer} {thing}.", $"{b} times {a} {thing} are {problem.Answer} {thing}."]);
            case ArithmeticOperation.Divide:
                return choices.Pick([$"{name} shares {a} {thing} among {b} friends. Each gets {a / b}, and {a % b} are left over.", $"{a} {thing} in groups of {b} make {a / b} groups, {a % b} left over."]);
            default:
                return $"{name} has {a} {thing}, a friend has {b}. {(a > b ? $"{name} has more" : a < b ? "The friend has more" : "Both have the same")}.";
        }
    }

    private static ArithmeticProblem Any(Choices choices)
    {
        ArithmeticOperation operation = choices.Weighted(
            (0.32, ArithmeticOperation.Add), (0.26, ArithmeticOperation.Subtract), (0.2, ArithmeticOperation.Multiply), (0.13, ArithmeticOperation.Divide), (0.09, ArithmeticOperation.Compare));
        switch (operation)
        {
            case ArithmeticOperation.Multiply:
                (int a, int b) = choices.Weighted((1.0, (1, 1)), (1.0, (2, 1)), (1.0, (3, 1)), (2.0, (2, 2)));
                return Ordered(operation, choices.Digits(a), choices.Digits(b));
            case ArithmeticOperation.Divide:
                return Ordered(operation, choices.Digits(choices.Between(1, 4)), choices.Between(2, 9));
            default:
                int digits = choices.Weighted((1.0, 1), (2.0, 2), (3.0, 3), (2.0, 4), (2.0, MaxDigits));
                int other = choices.Chance(0.7) ? digits : choices.Between(1, digits);
                return choices.Chance(0.5) ? Ordered(operation, choices.Digits(digits), choices.Digits(other)) : Ordered(operation, choices.Digits(other), choices.Digits(digits));
        }
    }

    // Differences are not negative, and the second factor is the one whose digits are worked through.
    private static ArithmeticProblem Ordered(ArithmeticOperation operation, long a, long b) =>
        operation is ArithmeticOperation.Subtract && a < b || (operation is ArithmeticOperation.Multiply && b > 99) ? new(operation, b, a) : new(operation, a, b);
}
