using System.Globalization;
using System.Numerics;

namespace Glimmer.Inference.Constraints;

/// <summary>A decimal number without rounding: sign, digits before the point without leading zeros ("0" at least), digits after it without trailing zeros.</summary>
internal readonly record struct ExactDecimal(bool Negative, string Whole, string Fraction)
{
    private const int MaxDigits = 400;

    public bool IsZero => Whole == "0" && Fraction.Length == 0;

    public bool IsInteger => Fraction.Length == 0;

    /// <summary>Reads a number of JSON.</summary>
    /// <exception cref="ConstraintException">It has more than 400 digits written out.</exception>
    public static ExactDecimal Parse(string text)
    {
        bool negative = text[0] == '-';
        int exponentAt = text.IndexOfAny(['e', 'E']);
        string mantissa = text[(negative ? 1 : 0)..(exponentAt < 0 ? text.Length : exponentAt)];
        BigInteger exponent = exponentAt < 0 ? 0 : BigInteger.Parse(text[(exponentAt + 1)..], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture);
        int point = mantissa.IndexOf('.');
        string whole = point < 0 ? mantissa : mantissa[..point];
        string digits = whole + (point < 0 ? "" : mantissa[(point + 1)..]);
        if (digits.Trim('0').Length == 0)
            return new ExactDecimal(negative, "0", "");
        if (BigInteger.Abs(exponent) + digits.Length > MaxDigits)
            throw new ConstraintException($"The number {text} has more than {MaxDigits} digits when written out.");
        int at = whole.Length + (int)exponent;
        if (at <= 0)
            (digits, at) = (new string('0', 1 - at) + digits, 1);
        if (at > digits.Length)
            digits = digits.PadRight(at, '0');
        string front = digits[..at].TrimStart('0');
        return new ExactDecimal(negative, front.Length == 0 ? "0" : front, digits[at..].TrimEnd('0'));
    }
}

/// <summary>
/// Sets of numbers as languages over their decimal forms <c>-?(0|[1-9][0-9]*)(\.[0-9]+)?</c>, in which every number of the set has all its forms: so
/// complements and intersections are exact. Forms with an exponent are left out of all of them but <see cref="Any"/>.
/// </summary>
internal sealed class NumberLanguages
{
    private const string Characters = "0123456789.-";
    private const int MaxDivisor = 10_000;
    private readonly LanguageArena _arena;

    public NumberLanguages(LanguageArena arena)
    {
        _arena = arena;
        Decimals = RegexLanguage.Whole(arena, @"-?(0|[1-9]\d*)(\.\d+)?");
        Integers = RegexLanguage.Whole(arena, @"-?(0|[1-9]\d*)(\.0+)?");
        Digits = RegexLanguage.Whole(arena, @"0|-?[1-9]\d*");
        NegativeZero = RegexLanguage.Whole(arena, @"-0(\.0+)?");
        Shortest = RegexLanguage.Whole(arena, @"-?(0|[1-9]\d*)(\.\d*[1-9])?");
        Any = RegexLanguage.Whole(arena, @"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?");
    }

    /// <summary>All numbers without an exponent.</summary>
    public Language Decimals { get; }

    /// <summary>All integers; <c>1.0</c> is one.</summary>
    public Language Integers { get; }

    /// <summary>Integers without a fraction, and zero without a sign.</summary>
    public Language Digits { get; }

    /// <summary>Zero with a sign.</summary>
    public Language NegativeZero { get; }

    /// <summary>Numbers without zeros at the end of the fraction.</summary>
    public Language Shortest { get; }

    /// <summary>All numbers of JSON.</summary>
    public Language Any { get; }

    /// <summary>The forms of one number.</summary>
    public Language Equal(ExactDecimal value)
    {
        Language fraction = value.Fraction.Length == 0
            ? _arena.Optional(_arena.Sequence(_arena.Literal("."), Zeros(1)))
            : _arena.Sequence(_arena.Literal("." + value.Fraction), Zeros(0));
        Language sign = value.IsZero ? _arena.Optional(_arena.Literal("-")) : value.Negative ? _arena.Literal("-") : _arena.Epsilon;
        return _arena.Sequence(sign, _arena.Sequence(_arena.Literal(value.Whole), fraction));
    }

    /// <summary>Numbers whose comparison with a bound (-1 below, 0 equal, 1 above) is accepted.</summary>
    public Language Compare(ExactDecimal bound, Func<int, bool> accepts)
    {
        bool minus = bound.Negative && !bound.IsZero;
        string whole = bound.Whole;
        string fraction = bound.Fraction;
        return Table(new Comparison('^', false, 0, 0), Move, s => s.Phase != '^' && s.Phase != '-' && s.Phase != '.' && accepts(Result(s)));

        Comparison? Move(Comparison s, char c)
        {
            if (c == '-')
                return s.Phase == '^' ? s with { Phase = '-', Negative = true } : null;
            if (c == '.')
            {
                if (s.Phase is not ('0' or '1'))
                    return null;
                int order = s.Count != whole.Length ? (s.Count < whole.Length ? -1 : 1) : s.Order;
                return new Comparison('.', s.Negative, 0, order);
            }

            int digit = c - '0';
            switch (s.Phase)
            {
                case '^' or '-':
                    return new Comparison(digit == 0 ? '0' : '1', s.Negative, 1, Math.Sign(c - whole[0]));
                case '1':
                    int seen = s.Order != 0 || s.Count >= whole.Length ? s.Order : Math.Sign(c - whole[s.Count]);
                    return s with { Count = Math.Min(s.Count + 1, whole.Length + 1), Order = seen };
                case '.' or 'f':
                    int place = s.Order != 0 ? s.Order : Math.Sign(c - (s.Count < fraction.Length ? fraction[s.Count] : '0'));
                    return new Comparison('f', s.Negative, Math.Min(s.Count + 1, fraction.Length), place);
                default:
                    return null;
            }
        }

        int Result(Comparison s)
        {
            int size = s.Order;
            if (s.Phase != 'f' && s.Count != whole.Length)
                size = s.Count < whole.Length ? -1 : 1;
            if (size == 0 && (s.Phase == 'f' ? s.Count : 0) < fraction.Length)
                size = -1;
            if (minus)
                return s.Negative ? -size : 1;
            return s.Negative ? (bound.IsZero ? -size : -1) : size;
        }
    }

    /// <summary>Multiples of a positive number.</summary>
    /// <exception cref="ConstraintException">Its digits make a number above 10,000.</exception>
    public Language MultipleOf(ExactDecimal step)
    {
        int places = step.Fraction.Length;
        var digits = BigInteger.Parse((step.Whole + step.Fraction).TrimStart('0'), CultureInfo.InvariantCulture);
        if (digits > MaxDivisor)
            throw ConstraintException.Unsupported("multipleOf", $"the digits of the divisor make a number above {MaxDivisor}");
        int divisor = (int)digits;
        return Table(new Division('^', 0, 0), Move, s => s.Phase is '0' or '1' or 'f' && Final(s));

        Division? Move(Division s, char c)
        {
            if (c == '-')
                return s.Phase == '^' ? s with { Phase = '-' } : null;
            if (c == '.')
                return s.Phase is '0' or '1' ? s with { Phase = '.' } : null;
            int digit = c - '0';
            switch (s.Phase)
            {
                case '^' or '-':
                    return new Division(digit == 0 ? '0' : '1', digit % divisor, 0);
                case '1':
                    return s with { Remainder = ((s.Remainder * 10) + digit) % divisor };
                case '.' or 'f' when s.Places < places:
                    return new Division('f', ((s.Remainder * 10) + digit) % divisor, s.Places + 1);
                case '.' or 'f':
                    return digit == 0 ? s with { Phase = 'f' } : null;
                default:
                    return null;
            }
        }

        bool Final(Division s)
        {
            int remainder = s.Remainder;
            for (int i = s.Places; i < places; i++)
                remainder = remainder * 10 % divisor;
            return remainder == 0;
        }
    }

    private Language Zeros(int min) => _arena.Repeat(_arena.Class(CodePointSet.Of('0')), min, -1);

    private Language Table<T>(T start, Func<T, char, T?> move, Func<T, bool> accepts)
        where T : struct
    {
        var numbers = new Dictionary<T, int> { [start] = 0 };
        var states = new List<T> { start };
        var next = new List<int[]>();
        for (int s = 0; s < states.Count; s++)
        {
            var row = new int[Characters.Length];
            for (int c = 0; c < row.Length; c++)
            {
                if (move(states[s], Characters[c]) is not { } to)
                {
                    row[c] = -1;
                }
                else if (!numbers.TryGetValue(to, out row[c]))
                {
                    numbers.Add(to, row[c] = states.Count);
                    states.Add(to);
                }
            }

            next.Add(row);
        }

        return _arena.AtTable(new CharacterTable(Characters, [.. next], [.. states.Select(accepts)]), 0);
    }

    /// <summary>Phases: ^ start, - after the sign, 0 a lone zero, 1 in the whole part, . after the point, f in the fraction.</summary>
    private readonly record struct Comparison(char Phase, bool Negative, int Count, int Order);

    private readonly record struct Division(char Phase, int Remainder, int Places);
}
