using System.Numerics;

namespace Glimmer.Inference.Constraints;

/// <summary>A set of ASCII characters, a bit each.</summary>
internal readonly record struct AsciiSet(ulong Low, ulong High)
{
    /// <summary>What a JSON string holds unescaped.</summary>
    public static AsciiSet InJsonStrings { get; } = new(~0UL << 32 & ~(1UL << '"'), ~(1UL << ('\\' - 64)));

    /// <summary>Number of characters.</summary>
    public int Count => BitOperations.PopCount(Low) + BitOperations.PopCount(High);

    /// <summary>The set with one more character.</summary>
    public AsciiSet With(byte value) => value < 64 ? this with { Low = Low | (1UL << value) } : this with { High = High | (1UL << (value - 64)) };

    /// <summary>Characters of either set.</summary>
    public AsciiSet Or(AsciiSet other) => new(Low | other.Low, High | other.High);

    /// <summary>Characters that are not in the other set.</summary>
    public AsciiSet Without(AsciiSet other) => new(Low & ~other.Low, High & ~other.High);

    /// <summary>Whether a character below 128 is in the set.</summary>
    public bool Contains(byte value) => ((value < 64 ? Low >> value : High >> (value - 64)) & 1) != 0;

    /// <summary>Whether every character is in another set.</summary>
    public bool IsWithin(AsciiSet other) => (Low & ~other.Low) == 0 && (High & ~other.High) == 0;
}
