namespace Glimmer.Data.Synthesis.Nano;

/// <summary>Arithmetic of Nano: one-digit facts learned by heart, two- and three-digit sums and differences worked in the thought, word problems.</summary>
/// <remarks>
/// One-digit facts (also sums and differences up to 18) are too few to hold some out: all are trained, and report cards say so. From two digits on the key, with operands in order, decides the
/// split, so that a test problem is trained in neither order.
/// </remarks>
internal static class NanoArithmetic
{
    private static readonly string[] s_names = ["Anna", "Ben", "Clara", "David", "Emma", "Felix", "Grace", "Hugo", "Ida", "Jonas", "Lena", "Max", "Nora", "Omar", "Paula", "Tom"];
    private static readonly string[] s_things = ["apples", "books", "coins", "cards", "eggs", "marbles", "pencils", "stamps", "cookies", "shells", "tickets", "balloons"];

    /// <summary>A record.</summary>
    public static TrainingRecord Record(Choices choices)
    {
        (string task, ulong key, RecordMessage[] messages, bool thinks) = choices.Weighted<string>((0.2, "drill"), (0.24, "fact"), (0.37, "two-digit"), (0.03, "three-digit"), (0.16, "words")) switch
        {
            "drill" => Drill(choices),
            "fact" => Single(choices, Fact(choices), "fact", choices.Chance(0.8)),
            "two-digit" => Single(choices, Problem(choices, 2), "two-digit", choices.Chance(0.9)),
            "three-digit" => Single(choices, Problem(choices, 3), "three-digit", thinks: true),
            _ => Words(choices),
        };
        return new TrainingRecord($"arithmetic/{task}", key, choices.Split, messages) { EnableThinking = thinks, EntropyBits = choices.Bits };
    }

    /// <summary>A fact of the tables: sums and products of digits, differences of numbers up to 18 that give a digit.</summary>
    public static ArithmeticProblem Fact(Choices choices)
    {
        int a = choices.Below(10), b = choices.Below(10);
        return choices.Below(3) switch
        {
            0 => new ArithmeticProblem(ArithmeticOperation.Add, a, b),
            1 => new ArithmeticProblem(ArithmeticOperation.Subtract, a + b, b),
            _ => new ArithmeticProblem(ArithmeticOperation.Multiply, a, b),
        };
    }

    /// <summary>A sum or difference of the split, of numbers with so many digits.</summary>
    public static ArithmeticProblem Problem(Choices choices, int digits) => choices.Draw(
        c =>
        {
            int a = c.Digits(digits), b = c.Digits(digits);
            return c.Chance(0.5) ? new ArithmeticProblem(ArithmeticOperation.Add, a, b) : new ArithmeticProblem(ArithmeticOperation.Subtract, Math.Max(a, b), Math.Min(a, b));
        },
        problem => NanoSplit.Of(problem.Key));

    /// <summary>The question as report cards ask it.</summary>
    public static string PlainQuestion(ArithmeticProblem problem) => $"What is {problem.Expression}?";

    /// <summary>A word problem of the split: one or two steps.</summary>
    public static (ulong Key, string Question, string Thought, string Answer) WordProblem(Choices choices)
    {
        ArithmeticProblem first = Problem(choices, 2);
        string[] names = choices.Some(s_names, 2);
        (string name, string friend) = (names[0], names[1]);
        string thing = choices.Pick(s_things);
        (long a, long b) = (first.A, first.B);
        string question = first.Operation == ArithmeticOperation.Add
            ? choices.Pick(
            [
                $"{name} has {a} {thing}. {friend} gives {name} {b} more. How many {thing} does {name} have now?", $"There are {a} {thing} in one box and {b} {thing} in another. How many {thing} are there in all?",
                $"{name} collected {a} {thing} on Monday and {b} on Tuesday. How many {thing} did {name} collect altogether?",
            ])
            : choices.Pick(
            [
                $"{name} has {a} {thing} and gives {b} of them to {friend}. How many {thing} are left?", $"{name} has {a} {thing}, {friend} has {b}. How many more {thing} does {name} have?",
                $"A shop had {a} {thing} and sold {b}. How many {thing} remain?",
            ]);
        string thought = $"{first.Expression}: {first.Worked}.";
        long result = first.Operation == ArithmeticOperation.Add ? a + b : a - b;
        if (!choices.Chance(0.35))
            return (first.Key, question, thought, $"{result}");

        // A second step with a digit, whose facts everybody knows.
        int digit = choices.Between(2, 9);
        bool isMore = result <= digit || choices.Chance(0.5);
        var second = new ArithmeticProblem(isMore ? ArithmeticOperation.Add : ArithmeticOperation.Subtract, result, digit);
        // The question is the last sentence: the second event goes before it.
        int end = question.LastIndexOf(". ", StringComparison.Ordinal) + 2;
        string before = question[..end], last = question[end..];
        string asked = last.Contains("how many more", StringComparison.OrdinalIgnoreCase) ? $"How many {thing} does {name} have more, if {friend} {(isMore ? "loses" : "finds")} {digit}?"
            : $"Then {digit} {thing} {(isMore ? "are added" : "are lost")}. How many {thing} are there in the end?";
        return (first.Key, before + asked, $"{thought} Then {second.Expression}: {second.Worked}.", second.Answer);
    }

    private static (string, ulong, RecordMessage[], bool) Drill(Choices choices)
    {
        int count = choices.Between(4, 8);
        var messages = new List<RecordMessage>();
        ulong key = 0;
        for (int i = 0; i < count; i++)
        {
            ArithmeticProblem fact = Fact(choices);
            key = i == 0 ? fact.Key : key;
            messages.Add(new RecordMessage("user", i == 0 ? Question(choices, fact) : choices.Pick([fact.Expression + "?", $"And {fact.Expression}?", PlainQuestion(fact)])));
            messages.Add(new RecordMessage("assistant", fact.Answer));
        }

        return ("drill", key, [.. messages], false);
    }

    private static (string, ulong, RecordMessage[], bool) Single(Choices choices, ArithmeticProblem problem, string task, bool thinks)
    {
        string thought = problem.A < 10 || problem.B < 10 ? $"{problem.Expression} = {problem.Answer}" : problem.Worked;
        return (task, problem.Key, [new RecordMessage("user", Question(choices, problem)), new RecordMessage("assistant", problem.Answer) { ReasoningContent = thinks ? thought : null }], thinks);
    }

    private static (string, ulong, RecordMessage[], bool) Words(Choices choices)
    {
        (ulong key, string question, string thought, string answer) = WordProblem(choices);
        return ("words", key, [new RecordMessage("user", question), new RecordMessage("assistant", $"The answer is {answer}.") { ReasoningContent = thought }], true);
    }

    private static string Question(Choices choices, ArithmeticProblem problem)
    {
        (string a, string b) = ($"{problem.A}", $"{problem.B}");
        string other = problem.Operation switch
        {
            ArithmeticOperation.Add => choices.Pick([$"{a}+{b}", $"Add {a} and {b}.", $"What is {a} plus {b}?", $"What is the sum of {a} and {b}?", $"{a} + {b} = ?"]),
            ArithmeticOperation.Subtract => choices.Pick([$"{a}-{b}", $"Subtract {b} from {a}.", $"What is {a} minus {b}?", $"What is the difference between {a} and {b}?", $"{a} - {b} = ?"]),
            _ => choices.Pick([$"{a}*{b}", $"Multiply {a} by {b}.", $"What is {a} times {b}?", $"What is the product of {a} and {b}?", $"{a} x {b} = ?"]),
        };
        return choices.Weighted<string>((0.5, PlainQuestion(problem)), (0.5, other));
    }
}
