using System.Globalization;
using System.Numerics;

namespace Glimmer.Chat;

/// <summary>JSON null, Python's None.</summary>
internal sealed class NullValue : DataValue
{
    public static readonly NullValue Instance = new();

    internal override string TypeName => "NoneType";

    internal override bool IsTrue => false;
}

/// <summary>A boolean; one instance each, so identity is equality.</summary>
internal sealed class BooleanValue : DataValue
{
    public static readonly BooleanValue True = new(true);
    public static readonly BooleanValue False = new(false);

    private BooleanValue(bool value) => Value = value;

    public bool Value { get; }

    internal override string TypeName => "bool";

    internal override bool IsTrue => Value;
}

/// <summary>An integer of any size. One beyond 64 bits is kept as its digits, which is all that printing needs.</summary>
internal sealed class IntegerValue : DataValue
{
    private static readonly IntegerValue[] s_small = [.. Enumerable.Range(-1, 258).Select(i => new IntegerValue(i, null))];
    private readonly string? _digits;

    private IntegerValue(long small, string? digits)
    {
        Small = small;
        _digits = digits;
    }

    /// <summary>The value, when <see cref="IsBig"/> is false.</summary>
    public long Small { get; }

    public bool IsBig => _digits is not null;

    internal override string TypeName => "int";

    internal override bool IsTrue => IsBig || Small != 0;

    public static IntegerValue Of(long value) => value is >= -1 and <= 256 ? s_small[value + 1] : new IntegerValue(value, null);

    public static IntegerValue Of(BigInteger value) =>
        value >= long.MinValue && value <= long.MaxValue ? Of((long)value) : new IntegerValue(0, value.ToString(CultureInfo.InvariantCulture));

    /// <summary>From a JSON integer: an optional minus and digits without leading zeros.</summary>
    public static IntegerValue FromDigits(ReadOnlySpan<char> digits) =>
        long.TryParse(digits, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long value) ? Of(value) : new IntegerValue(0, digits.ToString());

    public BigInteger ToBigInteger() => _digits is null ? Small : BigInteger.Parse(_digits, CultureInfo.InvariantCulture);

    public double ToDouble() => _digits is null ? Small : double.Parse(_digits, CultureInfo.InvariantCulture);

    public string ToDigits() => _digits ?? Small.ToString(CultureInfo.InvariantCulture);
}

/// <summary>A float. A JSON number outside the range of a double keeps its text, so that writing it again stays JSON.</summary>
internal sealed class FloatValue(double value, string? lexeme = null) : DataValue
{
    public double Value { get; } = value;

    internal override string TypeName => "float";

    internal override bool IsTrue => Value != 0;

    /// <summary>Reads a JSON number that has a fraction or an exponent.</summary>
    public static FloatValue FromLexeme(ReadOnlySpan<char> lexeme)
    {
        double value = double.Parse(lexeme, NumberStyles.Float, CultureInfo.InvariantCulture);
        return new FloatValue(value, double.IsFinite(value) ? null : lexeme.ToString());
    }

    public string ToJsonText() => lexeme ?? (double.IsNaN(Value) ? "NaN" : double.IsInfinity(Value) ? (Value > 0 ? "Infinity" : "-Infinity") : PythonText.FloatRepr(Value));
}
