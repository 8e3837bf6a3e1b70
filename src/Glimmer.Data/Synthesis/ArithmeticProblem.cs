using System.Globalization;

namespace Glimmer.Data.Synthesis;

/// <summary>An operation of the arithmetic tasks.</summary>
internal enum ArithmeticOperation
{
    Add,
    Subtract,
    Multiply,
    Divide,
    Compare,
}

/// <summary>A calculation.</summary>
internal readonly record struct ArithmeticProblem(ArithmeticOperation Operation, long A, long B)
{
    /// <summary>Key with the operands in order, so that both orders of operands are one problem, whatever the operation.</summary>
    public ulong Key => CorpusKey.Of(Operation.ToString(), Text(Math.Min(A, B)), Text(Math.Max(A, B)));

    /// <summary>The sign between the operands.</summary>
    public string Sign => Operation switch
    {
        ArithmeticOperation.Add => "+",
        ArithmeticOperation.Subtract => "-",
        ArithmeticOperation.Multiply => "x",
        ArithmeticOperation.Divide => "/",
        _ => "?",
    };

    /// <summary>The problem without its answer.</summary>
    public string Expression => $"{A} {Sign} {B}";

    /// <summary>The answer: a number, <c>130 rest 4</c>, or the sign of a comparison.</summary>
    public string Answer => Operation switch
    {
        ArithmeticOperation.Add => Text(A + B),
        ArithmeticOperation.Subtract => Text(A - B),
        ArithmeticOperation.Multiply => Text(A * B),
        ArithmeticOperation.Divide => A % B == 0 ? Text(A / B) : $"{A / B} rest {A % B}",
        _ => A > B ? ">" : A < B ? "<" : "=",
    };

    /// <summary>The calculation written out.</summary>
    public string Worked => Operation switch
    {
        ArithmeticOperation.Add => WorkedArithmetic.Add(A, B),
        ArithmeticOperation.Subtract => WorkedArithmetic.Subtract(A, B),
        ArithmeticOperation.Multiply => WorkedArithmetic.Multiply(A, B),
        ArithmeticOperation.Divide => WorkedArithmetic.Divide(A, B),
        _ => WorkedArithmetic.Compare(A, B),
    };

    private static string Text(long value) => value.ToString(CultureInfo.InvariantCulture);
}
