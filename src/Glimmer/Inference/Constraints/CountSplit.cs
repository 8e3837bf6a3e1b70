namespace Glimmer.Inference.Constraints;

/// <summary>
/// What one more element or member does to the counts of a condition: for every way in which its value satisfies or fails the counted conditions, the
/// condition on the value and the condition on the rest.
/// </summary>
internal static class CountSplit
{
    private const int MaxConditions = 10;

    /// <summary>The ways, each with a value condition that is not plainly false.</summary>
    /// <param name="formulas">Terms.</param>
    /// <param name="state">Counts under And and Or.</param>
    /// <param name="concerns">Whether a count is about the element or member at hand.</param>
    public static List<(Formula Value, Formula Left)> Split(FormulaArena formulas, Formula state, Func<Formula, bool> concerns)
    {
        // A count that must stay at none, whatever else holds, leaves no choice.
        Formula[] must = [.. (state.Kind == FormulaKind.And ? state.Parts : [state]).Where(c => IsCount(c) && c.Max == 0 && concerns(c))];
        var forbidden = must.Select(c => c.Of!).ToHashSet();
        Formula value = formulas.And(must.Select(c => formulas.Not(c.Of!)));
        var open = new List<Formula>();
        foreach (Formula count in FormulaArena.Counts(state).Where(concerns))
        {
            Formula plain = count.Of!.Kind == FormulaKind.Not ? count.Of.Parts[0] : count.Of;
            if (plain.Kind == FormulaKind.Kinds && plain.Kinds is ValueKinds.All or ValueKinds.None)
                continue;
            if (!forbidden.Contains(count.Of) && !open.Contains(plain))
                open.Add(plain);
        }

        if (open.Count > MaxConditions)
            throw new ConstraintException($"The alternatives of the schema put more than {MaxConditions} different conditions on one value. Tell them apart by fewer properties.");
        var ways = new List<(Formula, Formula)>();
        var truth = new Dictionary<Formula, bool>();
        foreach (Formula never in forbidden)
            Know(never, false);
        Choose(0, value);
        return ways;

        void Know(Formula condition, bool holds)
        {
            truth[condition] = holds;
            truth[formulas.Not(condition)] = !holds;
        }

        void Choose(int at, Formula soFar)
        {
            if (soFar == formulas.False)
                return;
            if (at == open.Count)
            {
                Formula rest = formulas.Map(state, c => concerns(c) && Holds(c.Of!) ? formulas.WithBounds(c, c.Min - 1, c.Max == Formula.Unbounded ? c.Max : c.Max - 1) : c);
                ways.Add((soFar, rest));
                return;
            }

            bool known = truth.TryGetValue(open[at], out bool fixedTo);
            foreach (bool holds in (ReadOnlySpan<bool>)[true, false])
            {
                if (known && holds != fixedTo)
                    continue;
                if (!known)
                    Know(open[at], holds);
                Choose(at + 1, known ? soFar : formulas.And(soFar, holds ? open[at] : formulas.Not(open[at])));
            }

            if (!known)
            {
                truth.Remove(open[at]);
                truth.Remove(formulas.Not(open[at]));
            }
        }

        bool Holds(Formula condition) => condition.Kind == FormulaKind.Kinds && condition.Kinds is ValueKinds.All or ValueKinds.None
            ? condition == formulas.True
            : truth[condition];
    }

    /// <summary>Replaces counts that are decided when at most <paramref name="places"/> elements or members that they are about can still come.</summary>
    public static Formula Settle(FormulaArena formulas, Formula state, Func<Formula, int> places) => formulas.Map(state, count =>
    {
        int left = count.Of == formulas.False ? 0 : places(count);
        if (left < count.Min)
            return formulas.False;
        return count.Min == 0 && (count.Max == Formula.Unbounded || count.Max >= left) ? formulas.True : count;
    });

    /// <summary>Whether a condition holds when nothing more comes.</summary>
    public static bool Holds(FormulaArena formulas, Formula state) => Settle(formulas, state, _ => 0) == formulas.True;

    private static bool IsCount(Formula formula) => formula.Kind is FormulaKind.Elements or FormulaKind.Members;
}
