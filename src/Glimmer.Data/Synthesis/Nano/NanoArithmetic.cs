namespace Glimmer.Data.Synthesis.Nano;

/// <summary>An arithmetic problem.</summary>
/// <param name="Left">First operand.</param>
/// <param name="Operator"><c>+</c>, <c>-</c> or <c>x</c>.</param>
/// <param name="Right">Second operand; not larger than the first for <c>-</c>.</param>
public readonly record struct NanoProblem(int Left, char Operator, int Right)
{
    /// <summary>The result.</summary>
    public int Result => Operator switch { '+' => Left + Right, '-' => Left - Right, _ => Left * Right };

    /// <summary>The same for both orders of the operands: a problem and its mirror image are in one part of the data.</summary>
    public string Key => $"{Math.Max(Left, Right)}{Operator}{Math.Min(Left, Right)}";

    /// <summary>Whether the problem is one of those to measure on: 15 of 100 with an operand of two digits. There are too few with single digits to hold out.</summary>
    public bool IsTest => Math.Max(Left, Right) > 9 && Draws.Bucket("arithmetic " + Key) < 15;
}

/// <summary>Arithmetic and word problems, worked step by step in the thinking: digits from the ones upwards, with every carry and borrow written down.</summary>
/// <remarks>Scratchpads turn addition into a local rule (Nye et al. 2021, arXiv 2112.00114; Lee et al. 2023, arXiv 2307.03381).</remarks>
public static class NanoArithmetic
{
    private static readonly string[] s_names = ["Ann", "Ben", "Clara", "David", "Elif", "Farid", "Grace", "Hugo", "Iris", "Jonas", "Kofi", "Lena", "Marta", "Nils", "Olga", "Pavel", "Rosa", "Sam", "Tara", "Yuki"];
    private static readonly string[] s_things = ["apples", "books", "coins", "stamps", "marbles", "shells", "cards", "pencils", "stickers", "buttons", "eggs", "flowers", "tickets", "photos", "stones", "cups"];

    /// <summary>A record of the training part.</summary>
    /// <param name="seed">Seed.</param>
    /// <param name="index">Number of the record.</param>
    public static NanoRecord Record(ulong seed, long index)
    {
        for (int attempt = 0; ; attempt++)
        {
            var draws = new Draws(seed, "arithmetic", (index << 8) + attempt);
            if (draws.Chance(25))
            {
                if (WordProblem(draws) is { } record)
                    return record;
                continue;
            }

            NanoProblem problem = Problem(draws);
            // A product is worked with a sum, which may be one that is measured on.
            if (!problem.IsTest && !(problem is { Operator: 'x', Left: > 9 } && new NanoProblem(problem.Left / 10 * 10 * problem.Right, '+', problem.Left % 10 * problem.Right).IsTest))
                return NanoRecord.Of("arithmetic", problem.Key, Question(draws, problem), Worked(problem), Draws.Text(problem.Result));
        }
    }

    /// <summary>The problems to measure on, as questions "What is A op B?".</summary>
    /// <param name="digits">1: all problems of single digits, which the training part has too; 2: held-out + and - of two digits, in both orders where there are two.</param>
    public static IReadOnlyList<(string Question, int Result)> Questions(int digits)
    {
        var questions = new List<(string, int)>();
        (int low, int high) = digits == 1 ? (0, 9) : (10, 99);
        foreach (char op in digits == 1 ? "+-x" : "+-")
        {
            for (int a = low; a <= high; a++)
            {
                for (int b = low; b <= high; b++)
                {
                    var problem = new NanoProblem(a, op, b);
                    if ((op != '-' || a >= b) && (digits == 1 || problem.IsTest))
                        questions.Add(($"What is {a} {op} {b}?", problem.Result));
                }
            }
        }

        return questions;
    }

    /// <summary>The steps of a problem: its digits from the ones upwards, or the products by digit.</summary>
    public static string Worked(NanoProblem problem) => problem.Operator switch
    {
        '+' => Sum(problem.Left, problem.Right),
        '-' => Difference(problem.Left, problem.Right),
        _ => Product(problem.Left, problem.Right),
    };

    private static NanoProblem Problem(Draws draws)
    {
        int kind = draws.Int(1, 100);
        if (kind <= 30)
            return Ordered(draws.Int(0, 9), draws.Of('+', '-', 'x'), draws.Int(0, 9));
        if (kind <= 85)
            return Ordered(draws.Int(10, 99), draws.Of('+', '-'), draws.Chance(80) ? draws.Int(10, 99) : draws.Int(1, 9));
        return kind <= 93 ? Ordered(draws.Int(100, 999), draws.Of('+', '-'), draws.Int(10, 999)) : new NanoProblem(draws.Int(11, 99), 'x', draws.Int(2, 9));

        static NanoProblem Ordered(int a, char op, int b) => op == '-' && b > a ? new NanoProblem(b, op, a) : new NanoProblem(a, op, b);
    }

    private static string Question(Draws draws, NanoProblem p)
    {
        string word = p.Operator switch { '+' => "plus", '-' => "minus", _ => "times" };
        string op = p.Operator == 'x' ? draws.Of("x", "x", "*") : p.Operator.ToString();
        string spaced = $"{p.Left} {op} {p.Right}", tight = $"{p.Left}{op}{p.Right}";
        return draws.Int(0, 9) switch
        {
            0 => $"Calculate {spaced}.",
            1 => $"{spaced} =",
            2 => $"What is {p.Left} {word} {p.Right}?",
            3 => $"How much is {spaced}?",
            4 => $"What is {tight}?",
            5 => $"Please compute {spaced}.",
            _ => $"What is {spaced}?",
        };
    }

    private static NanoRecord? WordProblem(Draws draws)
    {
        string name = draws.Of(s_names), things = draws.Of(s_things), other = draws.Of(s_names);
        if (other == name)
            return null;
        int a = draws.Int(3, 95), b = draws.Int(2, 60), c = draws.Int(2, 9);
        var first = new NanoProblem(a, '+', b);
        if (draws.Chance(50) && a > b)
            first = new NanoProblem(a, '-', b);
        string move = first.Operator == '+'
            ? draws.Of($"{other} gives {name} {b} more", $"{name} finds {b} more", $"{name} buys {b} more")
            : draws.Of($"{name} gives {b} of them to {other}", $"{name} loses {b} of them", $"{name} sells {b} of them");
        string question = $"{name} has {a} {things}. {move}.";
        string thinking = $"{name} starts with {a} {things}. {(first.Operator == '+' ? "More means add" : "Less means subtract")}. {Worked(first)}";
        NanoProblem last = first;
        if (draws.Chance(35) && first.Result is > 0 and < 90)
        {
            last = new NanoProblem(first.Result, '+', c);
            question += $" Then {name} gets another {c}.";
            thinking += $" Then add {c}. {Worked(last)}";
        }

        question += draws.Of($" How many {things} does {name} have now?", $" How many {things} are there in the end?", $" How many {things} does {name} have in the end?");
        return first.IsTest || last.IsTest ? null
            : NanoRecord.Of("arithmetic", $"words {first.Key} {last.Key}", question, thinking, draws.Chance(50) ? Draws.Text(last.Result) : $"{name} has {last.Result} {things}.");
    }

    private static string Sum(int a, int b)
    {
        if (a < 10 && b < 10)
            return $"{a} + {b} = {a + b}.";
        var text = new System.Text.StringBuilder();
        int carry = 0, place = 0;
        for (int x = a, y = b; x > 0 || y > 0; x /= 10, y /= 10, place++)
        {
            int sum = (x % 10) + (y % 10) + carry;
            string adds = carry > 0 ? $"{x % 10} + {y % 10} + 1 = {sum}" : $"{x % 10} + {y % 10} = {sum}";
            text.Append(System.Globalization.CultureInfo.InvariantCulture, $"{Place(place)}: {adds}, write {sum % 10}, carry {sum / 10}. ");
            carry = sum / 10;
        }

        return text.Append(System.Globalization.CultureInfo.InvariantCulture, $"So {a + b}.").ToString();
    }

    private static string Difference(int a, int b)
    {
        if (a < 10 && b < 10)
            return $"{a} - {b} = {a - b}.";
        var text = new System.Text.StringBuilder();
        int borrow = 0, place = 0;
        for (int x = a, y = b; x > 0 || y > 0; x /= 10, y /= 10, place++)
        {
            int top = (x % 10) - borrow, bottom = y % 10, next = top < bottom ? 1 : 0;
            string from = borrow > 0 ? $"{x % 10} - 1 = {top}, " : "";
            string takes = next > 0 ? $"{top} is less than {bottom}, {top + 10} - {bottom} = {top + 10 - bottom}" : $"{top} - {bottom} = {top - bottom}";
            text.Append(System.Globalization.CultureInfo.InvariantCulture, $"{Place(place)}: {from}{takes}, borrow {next}. ");
            borrow = next;
        }

        return text.Append(System.Globalization.CultureInfo.InvariantCulture, $"So {a - b}.").ToString();
    }

    private static string Product(int a, int b)
    {
        if (a < 10 && b < 10)
            return $"{a} x {b} = {a * b}.";
        int tens = a / 10 * 10, ones = a % 10;
        return $"{tens} x {b} = {tens * b}. {ones} x {b} = {ones * b}. {tens * b} + {ones * b} = {a * b}. So {a * b}.";
    }

    private static string Place(int place) => place switch { 0 => "ones", 1 => "tens", 2 => "hundreds", _ => "thousands" };
}
