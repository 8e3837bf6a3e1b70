using System.Collections.Concurrent;
using System.Numerics;
using System.Runtime.InteropServices;
using Glimmer.Tokenization;

namespace Glimmer.Inference.Constraints;

/// <summary>The ordinary tokens of a vocabulary by their bytes. Made once a tokenizer and shared by all constraints; thread-safe.</summary>
/// <remarks>
/// Where a state takes nearly all characters and stays (inside of a JSON string), the tokens of these characters are one mask that is made once, and only the others are walked.
/// </remarks>
public sealed class TokenTrie
{
    // Fewer characters leave so many other tokens that a walk over all is as quick.
    private const int LeastCharacters = 64;
    private const int MostElsewhere = 16;
    private const int MostSets = 64;

    private readonly int[] _order;
    private readonly TokenNodes _all;
    private readonly ConcurrentDictionary<(AsciiSet Ascii, bool Others), CharacterTokens> _ofCharacters = [];

    /// <summary>Builds the trie of a tokenizer.</summary>
    /// <param name="tokenizer">The vocabulary; added tokens have no bytes in a constraint, only constraints that name them allow them.</param>
    /// <param name="endTokens">Tokens that end a text, as <see cref="LoadedModel.StopTokens"/>; null for those that the tokenizer knows.</param>
    public TokenTrie(Tokenizer tokenizer, IReadOnlyCollection<int>? endTokens = null)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        (Tokenizer, EndTokens) = (tokenizer, endTokens ?? tokenizer.EndIds);
        var order = new List<int>();
        for (int id = 0; id < tokenizer.VocabularySize; id++)
        {
            if (tokenizer.HasToken(id) && !tokenizer.IsAdded(id) && !tokenizer.IsSpecial(id) && !tokenizer.TokenBytes(id).IsEmpty)
                order.Add(id);
        }

        order.Sort((a, b) => tokenizer.TokenBytes(a).SequenceCompareTo(tokenizer.TokenBytes(b)) is var c && c != 0 ? c : a.CompareTo(b));
        _order = [.. order];
        _all = new TokenNodes(tokenizer, _order);
        // Nearly every schema has strings.
        _ofCharacters[(AsciiSet.InJsonStrings, true)] = CharacterTokens.Of(tokenizer, _order, AsciiSet.InJsonStrings, true);
    }

    /// <summary>The tokenizer the trie was made of.</summary>
    public Tokenizer Tokenizer { get; }

    /// <summary>Tokens that end a text.</summary>
    public IReadOnlyCollection<int> EndTokens { get; }

    /// <summary>Words of 64 bits that a mask over the vocabulary takes.</summary>
    public int MaskLength => (Tokenizer.VocabularySize + 63) / 64;

    /// <summary>Sets the bits of all tokens whose bytes an automaton takes from a state.</summary>
    internal void Walk(GrammarAutomaton automaton, GrammarState state, Span<ulong> mask)
    {
        var path = new GrammarState[_all.Depth + 1];
        path[0] = state;
        if (!TryWalkRest(automaton, path, mask))
            _all.Walk(automaton, path, mask);
    }

    // Takes the tokens of the usual characters as they are and walks the others only; false when there is no usual move, or too much beside it.
    private bool TryWalkRest(GrammarAutomaton automaton, GrammarState[] path, Span<ulong> mask)
    {
        CharacterRun run = automaton.RunOf(path[0]);
        if (run.Next == GrammarState.Dead)
            return false;
        // Some characters may lead elsewhere at first, as where a name begins that is declared: the tokens that begin with them are walked.
        CharacterRun after = automaton.RunOf(run.Next);
        bool widens = after.Next != GrammarState.Dead && run.Ascii != after.Ascii && run.Ascii.IsWithin(after.Ascii) && run.TakesOthers == after.TakesOthers;
        CharacterRun steady = widens ? after : run;
        AsciiSet elsewhere = steady.Ascii.Without(run.Ascii);
        if (steady.Ascii.Count < LeastCharacters || elsewhere.Count > MostElsewhere || OfCharacters(automaton, steady) is not { } tokens)
            return false;
        ulong[] known = tokens.Mask;
        if (!steady.Reaches(automaton, tokens.Longest))
        {
            if (widens || !steady.StopsThere(automaton))
                return false;
            known = tokens.MaskOf(steady.Reach);
        }

        Or(known, mask);
        for (int b = 0; b < 128 && elsewhere.Count > 0; b++)
        {
            if (elsewhere.Contains((byte)b))
                _all.WalkOnly((byte)b, automaton, path, mask);
        }

        tokens.Rest.Walk(automaton, path, mask);
        return true;
    }

    private CharacterTokens? OfCharacters(GrammarAutomaton automaton, CharacterRun run)
    {
        if (_ofCharacters.TryGetValue((run.Ascii, run.TakesOthers), out CharacterTokens? known))
            return known;
        // Made for characters that come again and again, which few sets are.
        CharacterRun next = automaton.RunOf(run.Next);
        return next.Ascii != run.Ascii || next.TakesOthers != run.TakesOthers || _ofCharacters.Count >= MostSets ? null
            : _ofCharacters.GetOrAdd((run.Ascii, run.TakesOthers), CharacterTokens.Of(Tokenizer, _order, run.Ascii, run.TakesOthers));
    }

    private static void Or(ReadOnlySpan<ulong> more, Span<ulong> mask)
    {
        mask = mask[..more.Length];
        Span<Vector<ulong>> wide = MemoryMarshal.Cast<ulong, Vector<ulong>>(mask);
        ReadOnlySpan<Vector<ulong>> wideMore = MemoryMarshal.Cast<ulong, Vector<ulong>>(more);
        for (int i = 0; i < wide.Length; i++)
            wide[i] |= wideMore[i];
        for (int i = wide.Length * Vector<ulong>.Count; i < mask.Length; i++)
            mask[i] |= more[i];
    }
}
