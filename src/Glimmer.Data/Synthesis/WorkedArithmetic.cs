using System.Globalization;
using System.Text;

namespace Glimmer.Data.Synthesis;

/// <summary>Calculations written out step by step, as they are taught: from the last digit to the first, with what is carried.</summary>
/// <remarks>
/// Every step needs one fact of the one-digit tables or copies something: no step adds three numbers, so that a small model needs only facts that it can learn by heart. The order from the
/// last digit makes addition a local rule (arXiv 2307.03381).
/// </remarks>
internal static class WorkedArithmetic
{
    /// <summary>Addition: <c>7 + 8 = 15, write 5, carry 1; 4 + 3 = 7, 7 + 1 = 8; so 85</c>.</summary>
    public static string Add(long a, long b)
    {
        var steps = new List<string>();
        int carry = 0, places = Math.Max(Digits(a).Length, Digits(b).Length);
        for (int place = 0; place < places; place++)
        {
            int x = Digit(a, place), y = Digit(b, place), sum = x + y;
            var step = new StringBuilder($"{x} + {y} = {sum}");
            if (carry > 0)
                step.Append(CultureInfo.InvariantCulture, $", {sum} + 1 = {++sum}");
            carry = sum / 10;
            if (place < places - 1 && carry > 0)
                step.Append(CultureInfo.InvariantCulture, $", write {sum % 10}, carry 1");
            steps.Add(step.ToString());
        }

        return $"{string.Join("; ", steps)}; so {a + b}";
    }

    /// <summary>Subtraction of a number that is not larger: <c>2 &lt; 8, 12 - 8 = 4, borrow 1; 6 - 1 = 5, 5 - 3 = 2; so 24</c>.</summary>
    public static string Subtract(long a, long b)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(b, a);
        var steps = new List<string>();
        int borrow = 0, places = Digits(a).Length;
        for (int place = 0; place < places; place++)
        {
            int x = Digit(a, place), y = Digit(b, place);
            var step = new StringBuilder();
            if (borrow > 0 && x > 0)
            {
                step.Append(CultureInfo.InvariantCulture, $"{x} - 1 = {x - 1}, ");
                (x, borrow) = (x - 1, 0);
            }
            else if (borrow > 0)
            {
                // A zero that lent already: it becomes 9 and borrows itself.
                step.Append("10 - 1 = 9, ");
                x = 9;
            }

            if (x < y)
            {
                step.Append(CultureInfo.InvariantCulture, $"{x} < {y}, {x + 10} - {y} = {x + 10 - y}");
                borrow = 1;
            }
            else
            {
                step.Append(CultureInfo.InvariantCulture, $"{x} - {y} = {x - y}");
            }

            steps.Add(step.Append(borrow > 0 ? ", borrow 1" : "").ToString());
        }

        return $"{string.Join("; ", steps)}; so {a - b}";
    }

    /// <summary>Multiplication: by one digit place by place, by two digits as a sum of two such products.</summary>
    public static string Multiply(long a, long b)
    {
        if (b < 10)
            return $"{ByDigit(a, b)}; so {a * b}";
        long ones = b % 10, tens = b / 10;
        if (tens > 9)
            throw new ArgumentOutOfRangeException(nameof(b), b, "Only products with numbers up to 99 are written out.");
        return $"{a} x {ones}: {ByDigit(a, ones)}; so {a * ones}. {a} x {tens}: {ByDigit(a, tens)}; so {a * tens}, times 10 is {a * tens * 10}. {a * ones} + {a * tens * 10}: {Add(a * ones, a * tens * 10)}";
    }

    /// <summary>Division by one digit from the first digit on: <c>7 / 6 = 1 rest 1; 18 / 6 = 3 rest 0; so 13 rest 0</c>.</summary>
    public static string Divide(long a, long b)
    {
        if (b is < 1 or > 9)
            throw new ArgumentOutOfRangeException(nameof(b), b, "Only divisions by one digit are written out.");
        var steps = new List<string>();
        long rest = 0;
        foreach (char digit in Digits(a))
        {
            long part = rest * 10 + (digit - '0');
            rest = part % b;
            steps.Add($"{part} / {b} = {part / b} rest {rest}");
        }

        return $"{string.Join("; ", steps)}; so {a / b} rest {rest}";
    }

    /// <summary>Comparison: by length, then by the first digit that differs.</summary>
    public static string Compare(long a, long b)
    {
        string x = Digits(a), y = Digits(b), relation = a > b ? ">" : a < b ? "<" : "=";
        if (x.Length != y.Length)
            return $"{x.Length} digits {(x.Length > y.Length ? ">" : "<")} {y.Length} digits; so {a} {relation} {b}";
        var steps = new List<string>();
        for (int i = 0; i < x.Length; i++)
        {
            steps.Add($"{x[i]} {(x[i] > y[i] ? ">" : x[i] < y[i] ? "<" : "=")} {y[i]}");
            if (x[i] != y[i])
                break;
        }

        return $"{string.Join("; ", steps)}; so {a} {relation} {b}";
    }

    private static string ByDigit(long a, long b)
    {
        var steps = new List<string>();
        long carry = 0;
        string digits = Digits(a);
        for (int place = 0; place < digits.Length; place++)
        {
            long product = Digit(a, place) * b;
            var step = new StringBuilder($"{Digit(a, place)} x {b} = {product}");
            if (carry > 0)
                step.Append(CultureInfo.InvariantCulture, $", {product} + {carry} = {product += carry}");
            carry = product / 10;
            if (place < digits.Length - 1 && carry > 0)
                step.Append(CultureInfo.InvariantCulture, $", write {product % 10}, carry {carry}");
            steps.Add(step.ToString());
        }

        return string.Join("; ", steps);
    }

    private static string Digits(long value) => value.ToString(CultureInfo.InvariantCulture);

    private static int Digit(long value, int place)
    {
        for (int i = 0; i < place; i++)
            value /= 10;
        return (int)(value % 10);
    }
}
