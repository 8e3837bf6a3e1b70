namespace Glimmer.Inference.Constraints;

/// <summary>
/// The language of an ECMAScript expression. Compiles from the right: the language of a node is made from the language of what follows, which
/// depends on the last character before it only for anchors and word boundaries; a look-ahead intersects what follows.
/// </summary>
internal sealed class RegexLanguage
{
    private readonly LanguageArena _arena;
    private readonly Language _endsInWord;
    private readonly Language _endsInOther;
    private readonly Language _startsWithWord;

    private RegexLanguage(LanguageArena arena)
    {
        _arena = arena;
        _endsInWord = arena.Sequence(arena.AnyText, arena.Class(RegexClasses.Word));
        _endsInOther = arena.Sequence(arena.AnyText, arena.Class(RegexClasses.Word.Complement()));
        _startsWithWord = arena.Sequence(arena.Class(RegexClasses.Word), arena.AnyText);
    }

    /// <summary>What stands before a position.</summary>
    private enum Before
    {
        Nothing,
        Word,
        Other,
    }

    /// <summary>The texts that the expression matches from beginning to end.</summary>
    public static Language Whole(LanguageArena arena, string pattern)
    {
        var compiler = new RegexLanguage(arena);
        return compiler.Compile(RegexParser.Parse(pattern), Before.Nothing, _ => arena.Epsilon);
    }

    /// <summary>The texts in which the expression matches somewhere: <c>pattern</c> of JSON Schema.</summary>
    public static Language Search(LanguageArena arena, string pattern)
    {
        var compiler = new RegexLanguage(arena);
        RegexNode node = RegexParser.Parse(pattern);
        return compiler.Then(arena.AnyText, Before.Nothing, before => compiler.Compile(node, before, _ => arena.AnyText));
    }

    private Language Compile(RegexNode node, Before before, Func<Before, Language> rest)
    {
        switch (node)
        {
            case RegexNode.Anchor { Kind: '^' }:
                return before == Before.Nothing ? rest(before) : _arena.Nothing;
            case RegexNode.Anchor { Kind: '$' }:
                return _arena.Intersection(_arena.Epsilon, rest(before));
            case RegexNode.Anchor anchor:
                bool boundary = anchor.Kind == 'b';
                bool wordFollows = (before == Before.Word) != boundary;
                return _arena.Intersection(rest(before), wordFollows ? _startsWithWord : _arena.Complement(_startsWithWord));
            case RegexNode.LookAhead ahead:
                Language seen = Compile(ahead.Body, before, _ => _arena.AnyText);
                return _arena.Intersection(rest(before), ahead.Negative ? _arena.Complement(seen) : seen);
            case { Asserts: false }:
                return Then(Plain(node), before, rest);
            case RegexNode.Alternatives alternatives:
                return _arena.Union(alternatives.Choices.Select(c => Compile(c, before, rest)));
            case RegexNode.Chain chain:
                return Chain(chain.Items, 0, before, rest);
            case RegexNode.Loop loop when loop.Max is >= 0 and <= 64:
                return Loop(loop.Body, loop.Min, loop.Max, before, rest);
            default:
                throw ConstraintException.Unsupported("(?=", "an assertion inside a repetition without a small bound is not supported");
        }
    }

    private Language Chain(IReadOnlyList<RegexNode> items, int from, Before before, Func<Before, Language> rest)
    {
        if (from == items.Count)
            return rest(before);
        return Compile(items[from], before, Once(b => Chain(items, from + 1, b, rest)));
    }

    private Language Loop(RegexNode body, int min, int max, Before before, Func<Before, Language> rest)
    {
        if (max == 0)
            return rest(before);
        Language more = Compile(body, before, Once(b => Loop(body, Math.Max(0, min - 1), max - 1, b, rest)));
        return min > 0 ? more : _arena.Union(more, rest(before));
    }

    /// <summary>A language followed by the rest, split by its last character where the rest depends on it.</summary>
    private Language Then(Language first, Before before, Func<Before, Language> rest)
    {
        Language afterWord = rest(Before.Word);
        Language afterOther = rest(Before.Other);
        Language afterNothing = first.Nullable ? rest(before) : afterWord;
        if (afterWord == afterOther && afterWord == afterNothing)
            return _arena.Sequence(first, afterWord);
        Language nonEmpty = afterWord == afterOther
            ? _arena.Sequence(_arena.Intersection(first, _arena.SomeText), afterWord)
            : _arena.Union(
                _arena.Sequence(_arena.Intersection(first, _endsInWord), afterWord),
                _arena.Sequence(_arena.Intersection(first, _endsInOther), afterOther));
        return first.Nullable ? _arena.Union(nonEmpty, afterNothing) : nonEmpty;
    }

    private Language Plain(RegexNode node)
    {
        switch (node)
        {
            case RegexNode.Characters characters:
                return _arena.Class(characters.Set);
            case RegexNode.Alternatives alternatives:
                return _arena.Union(alternatives.Choices.Select(Plain));
            case RegexNode.Loop loop:
                return _arena.Repeat(Plain(loop.Body), loop.Min, loop.Max);
            default:
                Language result = _arena.Epsilon;
                foreach (RegexNode item in ((RegexNode.Chain)node).Items.Reverse())
                    result = _arena.Sequence(Plain(item), result);
                return result;
        }
    }

    private static Func<Before, Language> Once(Func<Before, Language> rest)
    {
        var known = new Language?[3];
        return before => known[(int)before] ??= rest(before);
    }
}
