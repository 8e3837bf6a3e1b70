namespace Glimmer.Inference.Constraints;

/// <summary>
/// The usual move of a grammar state: the characters that all lead to the same state. Inside of a string, for example, almost every character leads back to
/// where it started. A walk takes whole subtrees of a vocabulary at once where such moves cover all of their characters.
/// </summary>
internal sealed class CharacterRun
{
    // With fewer characters than this a walk gains nothing.
    private const int Least = 8;

    private GrammarState _front;
    private bool? _stops;

    private CharacterRun(GrammarState next, AsciiSet ascii, bool takesOthers) => (Next, Ascii, TakesOthers, _front) = (next, ascii, takesOthers, next);

    /// <summary>A state without a usual move.</summary>
    public static CharacterRun None { get; } = new(GrammarState.Dead, default, false);

    /// <summary>Where the characters lead; <see cref="GrammarState.Dead"/> when no move is usual.</summary>
    public GrammarState Next { get; }

    /// <summary>The ASCII characters that lead there.</summary>
    public AsciiSet Ascii { get; }

    /// <summary>Whether every character outside of ASCII leads there too, byte by byte in UTF-8.</summary>
    public bool TakesOthers { get; }

    /// <summary>Finds the usual move of a state.</summary>
    public static CharacterRun Of(GrammarAutomaton automaton, GrammarState state)
    {
        Span<int> votes = stackalloc int[128]; // by the first character that leads to a state
        int best = 0;
        for (int b = 0; b < 128;)
        {
            GrammarState next = automaton.Step(state, (byte)b);
            int end = b + 1;
            while (end < 128 && state.Next![end] == next)
                end++;
            if (next != GrammarState.Dead)
            {
                int first = 0;
                while (state.Next![first] != next)
                    first++;
                votes[first] += end - b;
                if (votes[first] > votes[best])
                    best = first;
            }

            b = end;
        }

        if (votes[best] < Least)
            return None;
        GrammarState target = state.Next![best]!;
        var ascii = default(AsciiSet);
        for (int b = 0; b < 128; b++)
        {
            if (state.Next[b] == target)
                ascii = ascii.With((byte)b);
        }

        return new CharacterRun(target, ascii, automaton.StepOthers(state) is { } others ? others == target : TakesAllOthers(automaton, state, target));
    }

    /// <summary>Characters that are known to be taken one after another.</summary>
    public int Reach { get; private set; } = 1;

    /// <summary>Whether every text of some characters of the move is taken: each of its states has a usual move that takes at least these characters.</summary>
    /// <param name="automaton">The grammar.</param>
    /// <param name="length">Number of characters.</param>
    public bool Reaches(GrammarAutomaton automaton, int length)
    {
        while (Reach < length)
        {
            CharacterRun run = automaton.RunOf(_front);
            if (run.Next == GrammarState.Dead || !Ascii.IsWithin(run.Ascii) || (TakesOthers && !run.TakesOthers))
                return false;
            Reach = run.Next == _front ? int.MaxValue : Reach + 1;
            _front = run.Next;
        }

        return true;
    }

    /// <summary>Whether no character of the move comes after <see cref="Reach"/> of them, when <see cref="Reaches"/> has said that no more are taken for sure.</summary>
    public bool StopsThere(GrammarAutomaton automaton) => _stops ??= Stops(automaton);

    private bool Stops(GrammarAutomaton automaton)
    {
        if (TakesOthers && automaton.StepOthers(_front) != GrammarState.Dead)
            return false;
        for (int b = 0; b < 128; b++)
        {
            if (Ascii.Contains((byte)b) && automaton.Step(_front, (byte)b) != GrammarState.Dead)
                return false;
        }

        return true;
    }

    // Table 3-7 of the Unicode standard: the well-formed byte sequences.
    private static bool TakesAllOthers(GrammarAutomaton automaton, GrammarState state, GrammarState target) =>
        Takes(automaton, state, 0xC2, 0xDF, target, (0x80, 0xBF))
        && Takes(automaton, state, 0xE0, 0xE0, target, (0xA0, 0xBF), (0x80, 0xBF))
        && Takes(automaton, state, 0xE1, 0xEC, target, (0x80, 0xBF), (0x80, 0xBF))
        && Takes(automaton, state, 0xED, 0xED, target, (0x80, 0x9F), (0x80, 0xBF))
        && Takes(automaton, state, 0xEE, 0xEF, target, (0x80, 0xBF), (0x80, 0xBF))
        && Takes(automaton, state, 0xF0, 0xF0, target, (0x90, 0xBF), (0x80, 0xBF), (0x80, 0xBF))
        && Takes(automaton, state, 0xF1, 0xF3, target, (0x80, 0xBF), (0x80, 0xBF), (0x80, 0xBF))
        && Takes(automaton, state, 0xF4, 0xF4, target, (0x80, 0x8F), (0x80, 0xBF), (0x80, 0xBF));

    private static bool Takes(GrammarAutomaton automaton, GrammarState state, int low, int high, GrammarState target, params ReadOnlySpan<(int Low, int High)> rest)
    {
        GrammarState? last = null;
        for (int b = low; b <= high; b++)
        {
            GrammarState next = automaton.Step(state, (byte)b);
            if (next == last)
                continue; // Neighbours mostly lead to the same state.
            if (rest.IsEmpty ? next != target : next == GrammarState.Dead || !Takes(automaton, next, rest[0].Low, rest[0].High, target, rest[1..]))
                return false;
            last = next;
        }

        return true;
    }
}
