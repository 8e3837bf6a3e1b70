using System.Numerics;
using System.Text;

namespace Glimmer.Environments.Scorers.Bfcl;

/// <summary>Computes expressions of literals, such as <c>3 * 60 + 0.5</c>: models write them as arguments.</summary>
/// <remarks>Numbers, and + and * of strings and lists. Names and calls are refused, where Python would look its built-in functions up.</remarks>
internal static class PythonArithmetic
{
    private const int MaxBits = 1 << 16;

    /// <summary>The value of an expression.</summary>
    /// <exception cref="FormatException">The expression cannot be computed.</exception>
    public static PythonValue Compute(PythonNode node)
    {
        switch (node)
        {
            case ConstantNode constant:
                return constant.Value;
            case UnaryNode { Operator: "not" }:
                throw new FormatException("'not' is no arithmetic");
            case UnaryNode unary:
                return Sign(unary.Operator, Compute(unary.Operand));
            case BinaryNode { IsArithmetic: true } binary:
                return Operate(binary.Operator, Compute(binary.Left), Compute(binary.Right));
            case DisplayNode { Kind: not DisplayKind.Set } display:
                PythonValue[] items = [.. display.Items.Select(Compute)];
                return display.Kind == DisplayKind.List ? PythonValue.List(items) : PythonValue.Tuple(items);
            default:
                throw new FormatException($"'{PythonSource.Of(node)}' cannot be computed");
        }
    }

    /// <summary><c>-value</c></summary>
    /// <exception cref="FormatException">The value is no number.</exception>
    public static PythonValue Negate(PythonValue value) => Sign("-", value);

    private static PythonValue Sign(string sign, PythonValue value) => (sign, value.Type) switch
    {
        ("-", PythonType.Float) => PythonValue.Of(-value.Float),
        ("+", PythonType.Float) => value,
        ("-", PythonType.Integer or PythonType.Boolean) => PythonValue.Of(-Whole(value)),
        ("+", PythonType.Integer or PythonType.Boolean) => PythonValue.Of(Whole(value)),
        ("~", PythonType.Integer or PythonType.Boolean) => PythonValue.Of(-Whole(value) - 1),
        _ => throw new FormatException($"{sign}{value} cannot be computed"),
    };

    private static PythonValue Operate(string symbol, PythonValue a, PythonValue b)
    {
        bool areWhole = IsWhole(a) && IsWhole(b), areNumbers = IsNumber(a) && IsNumber(b);
        if (areWhole && symbol != "/")
            return Integers(symbol, Whole(a), Whole(b));
        if (areNumbers)
            return PythonValue.Of(Floats(symbol, a.ToDouble(), b.ToDouble()));
        if (symbol == "+" && a.Type == b.Type && a.Type == PythonType.String)
            return PythonValue.Of(a.Text + b.Text);
        if (symbol == "+" && a.Type == b.Type && a.Type == PythonType.List)
            return PythonValue.List([.. a.Items, .. b.Items]);
        if (symbol == "*" && (IsWhole(a) || IsWhole(b)))
            return IsWhole(a) ? Repeat(b, Whole(a)) : Repeat(a, Whole(b));
        throw new FormatException($"{a} {symbol} {b} cannot be computed");
    }

    private static PythonValue Integers(string symbol, BigInteger a, BigInteger b)
    {
        switch (symbol)
        {
            case "+":
                return PythonValue.Of(a + b);
            case "-":
                return PythonValue.Of(a - b);
            case "*":
                return PythonValue.Of(a * b);
            case "&":
                return PythonValue.Of(a & b);
            case "|":
                return PythonValue.Of(a | b);
            case "^":
                return PythonValue.Of(a ^ b);
            case "//" or "%" when !b.IsZero:
                BigInteger quotient = BigInteger.DivRem(a, b, out BigInteger rest);
                if (!rest.IsZero && rest.Sign != b.Sign)
                    (quotient, rest) = (quotient - 1, rest + b);
                return PythonValue.Of(symbol == "//" ? quotient : rest);
            case "<<" or ">>" when b >= 0 && b <= MaxBits:
                return PythonValue.Of(symbol == "<<" ? a << (int)b : a >> (int)b);
            case "**" when b < 0 && !a.IsZero:
                return PythonValue.Of(Math.Pow((double)a, (double)b));
            case "**" when b >= 0 && b * Math.Max(1, a.GetBitLength()) <= MaxBits:
                return PythonValue.Of(BigInteger.Pow(a, (int)b));
            default:
                throw new FormatException($"{a} {symbol} {b} cannot be computed");
        }
    }

    private static double Floats(string symbol, double a, double b) => symbol switch
    {
        "+" => a + b,
        "-" => a - b,
        "*" => a * b,
        "/" when b != 0 => a / b,
        "//" when b != 0 => Math.Floor((a - Modulo(a, b)) / b),
        "%" when b != 0 => Modulo(a, b),
        "**" when !(a < 0 && b != Math.Floor(b)) && !(a == 0 && b < 0) => Math.Pow(a, b),
        _ => throw new FormatException($"{a} {symbol} {b} cannot be computed"),
    };

    // The remainder has the sign of the divisor.
    private static double Modulo(double a, double b)
    {
        double rest = a % b;
        return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
    }

    private static PythonValue Repeat(PythonValue value, BigInteger count)
    {
        int times = count <= 0 ? 0 : count <= 10_000 ? (int)count : throw new FormatException($"{count} repetitions are too many");
        return value.Type switch
        {
            PythonType.String => PythonValue.Of(new StringBuilder().Insert(0, value.Text, times).ToString()),
            PythonType.List => PythonValue.List([.. Enumerable.Repeat(value.Items, times).SelectMany(items => items)]),
            _ => throw new FormatException($"{value} * {count} cannot be computed"),
        };
    }

    private static bool IsWhole(PythonValue value) => value.Type is PythonType.Integer or PythonType.Boolean;

    private static bool IsNumber(PythonValue value) => IsWhole(value) || value.Type == PythonType.Float;

    private static BigInteger Whole(PythonValue value) => value.Type == PythonType.Boolean ? (value.Boolean ? 1 : 0) : value.Integer;
}
