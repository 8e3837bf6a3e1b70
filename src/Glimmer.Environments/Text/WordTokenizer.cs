using System.Text.RegularExpressions;

namespace Glimmer.Environments.Text;

/// <summary>Splits English text into words and punctuation in the way of the Penn Treebank: a chain of replacements that put blanks around tokens.</summary>
/// <remarks>nltk 3.10 <c>word_tokenize</c>: sentences by <see cref="SentenceSplitter"/>, then <c>NLTKWordTokenizer</c>. Double quotes become <c>``</c> and <c>''</c>.</remarks>
internal static partial class WordTokenizer
{
    /// <summary>The tokens of a text.</summary>
    public static List<string> Tokenize(string text)
    {
        var tokens = new List<string>();
        foreach (Range sentence in SentenceSplitter.Split(text))
            tokens.AddRange(Words().Matches(Spaced(text[sentence])).Select(match => match.Value));
        return tokens;
    }

    private static string Spaced(string text)
    {
        text = OpeningQuotes().Replace(text, " $1 ");
        text = LeadingQuote().Replace(text, "``");
        text = text.Replace("``", " `` ", StringComparison.Ordinal);
        text = QuoteAfterOpening().Replace(text, "$1 `` ");
        text = SingleQuoteBeforeWord().Replace(text, "$1 $2");

        text = FinalDotAndClosing().Replace(text, "$1 $2 $3 ");
        text = ColonOrComma().Replace(text, " $1 $2");
        text = FinalColonOrComma().Replace(text, " $1 ");
        text = Dots().Replace(text, " $0 ");
        text = Symbols().Replace(text, " $0 ");
        text = FinalDot().Replace(text, "$1 $2$3 ");
        text = QuestionOrExclamation().Replace(text, " $0 ");
        text = LooseApostrophe().Replace(text, "$1 ' ");
        text = text.Replace("*", " * ", StringComparison.Ordinal);

        text = Brackets().Replace(text, " $0 ");
        text = text.Replace("--", " -- ", StringComparison.Ordinal);
        text = " " + text + " ";

        text = ClosingQuotes().Replace(text, " $1 ");
        text = text.Replace("''", " '' ", StringComparison.Ordinal).Replace("\"", " '' ", StringComparison.Ordinal);
        text = ShortClitics().Replace(text, "$1 $2 ");
        text = LongClitics().Replace(text, "$1 $2 ");
        text = Contractions().Replace(text, " $1 $2 ");
        return OldContractions().Replace(text, " $1 $2 ");
    }

    [GeneratedRegex(@"[^\s\u001c-\u001f]+")]
    private static partial Regex Words();

    [GeneratedRegex("([«“‘„]|[`]+)")]
    private static partial Regex OpeningQuotes();

    [GeneratedRegex("^\"")]
    private static partial Regex LeadingQuote();

    [GeneratedRegex("([ (\\[{<])(?:\"|'{2})")]
    private static partial Regex QuoteAfterOpening();

    [GeneratedRegex($@"(')(?!re|ve|ll|m|t|s|d|n)({PythonCharacters.Word})(?!{PythonCharacters.Word})", RegexOptions.IgnoreCase | RegexOptions.CultureInvariant)]
    private static partial Regex SingleQuoteBeforeWord();

    [GeneratedRegex(@"([^.])(\.)([\])}>""'»”’ ]*)\s*$")]
    private static partial Regex FinalDotAndClosing();

    [GeneratedRegex(@"([:,])([^\d])")]
    private static partial Regex ColonOrComma();

    [GeneratedRegex("([:,])$")]
    private static partial Regex FinalColonOrComma();

    [GeneratedRegex(@"\.{2,}")]
    private static partial Regex Dots();

    [GeneratedRegex("[;@#$%&—]")]
    private static partial Regex Symbols();

    [GeneratedRegex(@"([^.])(\.)([\])}>""']*)\s*$")]
    private static partial Regex FinalDot();

    [GeneratedRegex("[?!]")]
    private static partial Regex QuestionOrExclamation();

    [GeneratedRegex("([^'])' ")]
    private static partial Regex LooseApostrophe();

    [GeneratedRegex(@"[\][(){}<>]")]
    private static partial Regex Brackets();

    [GeneratedRegex("([»”’])")]
    private static partial Regex ClosingQuotes();

    [GeneratedRegex("([^' ])('[sS]|'[mM]|'[dD]|') ")]
    private static partial Regex ShortClitics();

    [GeneratedRegex("([^' ])('ll|'LL|'re|'RE|'ve|'VE|n't|N'T) ")]
    private static partial Regex LongClitics();


    [GeneratedRegex(" ('t)(is|was)\\b", RegexOptions.IgnoreCase | RegexOptions.CultureInvariant)]
    private static partial Regex OldContractions();

    // One pair of groups whichever word it is.
    [GeneratedRegex(@"\b(?:(can(?=not\b)|d(?='ye\b)|gim(?=me\b)|gon(?=na\b)|got(?=ta\b)|lem(?=me\b)|more(?='n\b)|wan(?=na\s))('?[a-z]+))", RegexOptions.IgnoreCase | RegexOptions.CultureInvariant)]
    private static partial Regex Contractions();
}
