namespace Glimmer.Inference.Constraints;

/// <summary>An immutable set of Unicode code points: ascending, disjoint, non-adjacent inclusive ranges. Surrogates are never members of <see cref="All"/>.</summary>
internal sealed class CodePointSet : IEquatable<CodePointSet>
{
    private readonly int[] _bounds; // lo0, hi0, lo1, hi1, ...

    private CodePointSet(int[] bounds) => _bounds = bounds;

    /// <summary>No code point.</summary>
    public static CodePointSet None { get; } = new([]);

    /// <summary>Every Unicode scalar value.</summary>
    public static CodePointSet All { get; } = new([0, 0xD7FF, 0xE000, 0x10FFFF]);

    public bool IsEmpty => _bounds.Length == 0;

    public int RangeCount => _bounds.Length / 2;

    public (int Low, int High) Range(int index) => (_bounds[2 * index], _bounds[(2 * index) + 1]);

    public static CodePointSet Of(int low, int high) => FromRanges([(low, high)]);

    public static CodePointSet Of(int codePoint) => Of(codePoint, codePoint);

    public static CodePointSet OfCharacters(string characters) => FromRanges([.. characters.Select(c => ((int)c, (int)c))]);

    /// <summary>The union of ranges in any order.</summary>
    public static CodePointSet FromRanges(List<(int Low, int High)> ranges)
    {
        ranges.Sort();
        var bounds = new List<int>(2 * ranges.Count);
        foreach ((int low, int high) in ranges)
        {
            if (bounds.Count > 0 && low <= bounds[^1] + 1)
            {
                bounds[^1] = Math.Max(bounds[^1], high);
                continue;
            }

            bounds.Add(low);
            bounds.Add(high);
        }

        return new CodePointSet([.. bounds]);
    }

    public bool Contains(int codePoint)
    {
        for (int i = 0; i < _bounds.Length; i += 2)
        {
            if (codePoint <= _bounds[i + 1])
                return codePoint >= _bounds[i];
        }

        return false;
    }

    public CodePointSet Union(CodePointSet other)
    {
        var ranges = new List<(int, int)>(RangeCount + other.RangeCount);
        for (int i = 0; i < RangeCount; i++)
            ranges.Add(Range(i));
        for (int i = 0; i < other.RangeCount; i++)
            ranges.Add(other.Range(i));
        return FromRanges(ranges);
    }

    public CodePointSet Intersect(CodePointSet other)
    {
        var ranges = new List<(int, int)>();
        for (int i = 0, j = 0; i < RangeCount && j < other.RangeCount;)
        {
            (int low, int high) = Range(i);
            (int otherLow, int otherHigh) = other.Range(j);
            int from = Math.Max(low, otherLow);
            int to = Math.Min(high, otherHigh);
            if (from <= to)
                ranges.Add((from, to));
            if (high < otherHigh)
                i++;
            else
                j++;
        }

        return FromRanges(ranges);
    }

    /// <summary>The Unicode scalar values outside of this set.</summary>
    public CodePointSet Complement()
    {
        var ranges = new List<(int, int)>();
        int next = 0;
        for (int i = 0; i < RangeCount; i++)
        {
            (int low, int high) = Range(i);
            if (next < low)
                ranges.Add((next, low - 1));
            next = high + 1;
        }

        if (next <= 0x10FFFF)
            ranges.Add((next, 0x10FFFF));
        var outside = FromRanges(ranges);
        return ReferenceEquals(this, All) ? None : outside.Intersect(All);
    }

    public bool Equals(CodePointSet? other) => other is not null && _bounds.AsSpan().SequenceEqual(other._bounds);

    public override bool Equals(object? obj) => Equals(obj as CodePointSet);

    public override int GetHashCode()
    {
        var hash = new HashCode();
        foreach (int bound in _bounds)
            hash.Add(bound);
        return hash.ToHashCode();
    }
}
