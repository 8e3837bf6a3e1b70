using System.Text.RegularExpressions;
using Glimmer.Chat;

namespace Glimmer.Environments.Text;

/// <summary>Splits English text into sentences: the Punkt algorithm with its distributed parameters.</summary>
/// <remarks>
/// Kiss and Strunk 2006, "Unsupervised Multilingual Sentence Boundary Detection", as nltk 3.10 applies it (<c>PunktTokenizer</c>): each <c>.</c>, <c>?</c> or <c>!</c> before white
/// space or closing punctuation is judged with the word before and after it; then closing brackets and quotes go to the sentence they close.
/// </remarks>
internal static partial class SentenceSplitter
{
    // Characters that cannot stand inside a word, and punctuation of several characters.
    private const string NonWord = @"(?:[)"";}\]*:@'({[?!”’])";
    private const string MultiPunctuation = @"(?:-{2,}|\.{2,}|(?:\.\s){2,}\.)";

    /// <summary>The sentences of a text, as ranges of UTF-16 units, without the white space between them.</summary>
    public static List<Range> Split(string text)
    {
        List<(int Start, int End)> slices = Slices(text);
        var sentences = new List<Range>();
        int moved = 0;
        for (int i = 0; i < slices.Count; i++)
        {
            int start = slices[i].Start + moved, end = slices[i].End;
            if (i + 1 < slices.Count)
            {
                // Closing punctuation at the beginning of the next slice belongs to this one.
                (int nextStart, int nextEnd) = slices[i + 1];
                Match closing = Closing().Match(text[nextStart..Math.Max(nextStart, nextEnd)]);
                moved = closing.Success ? closing.Length : 0;
                if (closing.Success)
                {
                    sentences.Add(start..(nextStart + PythonText.TrimEnd(closing.ValueSpan).Length));
                    continue;
                }
            }

            if (start < end)
                sentences.Add(start..end);
        }

        return sentences;
    }

    private static List<(int Start, int End)> Slices(string text)
    {
        var slices = new List<(int, int)>();
        int last = 0;
        foreach ((Match match, string context) in Candidates(text))
        {
            if (!HasBreak(context))
                continue;
            slices.Add((last, match.Index + match.Length));
            last = match.Groups["next"].Success ? match.Groups["next"].Index : match.Index + match.Length;
        }

        slices.Add((last, PythonText.TrimEnd(text).Length));
        return slices;
    }

    /// <summary>Possible ends of sentences with the word before and what follows. Of several in one word only the last counts.</summary>
    private static IEnumerable<(Match Match, string Context)> Candidates(string text)
    {
        int wordStart = 0, wordEnd = 0;
        Match? previous = null;
        for (Match match = Candidate().Match(text); match.Success; match = match.NextMatch())
        {
            int space = text.AsSpan(wordEnd, match.Index - wordEnd).LastIndexOfAny(" \t\n\r\v\f");
            int start = space > 0 ? wordEnd + space + 1 : wordStart;
            if (previous is not null && wordEnd <= start)
                yield return (previous, Context(previous));
            (previous, wordStart, wordEnd) = (match, start, match.Index);
        }

        if (previous is not null)
            yield return (previous, Context(previous));

        string Context(Match match) => string.Concat(text.AsSpan(wordStart, wordEnd - wordStart), match.ValueSpan, match.Groups["after"].ValueSpan);
    }

    /// <summary>Whether a token before the last one ends a sentence.</summary>
    private static bool HasBreak(string context)
    {
        var tokens = new List<PunktToken>();
        foreach (string line in context.Split('\n'))
        {
            if (!PythonText.IsSpace(line))
                tokens.AddRange(Token().Matches(line).Select(match => new PunktToken(match.Value)));
        }

        foreach (PunktToken token in tokens)
            JudgeAlone(token);
        for (int i = 0; i + 1 < tokens.Count; i++)
        {
            JudgeWithNext(tokens[i], tokens[i + 1]);
            if (tokens[i].EndsSentence)
                return true;
        }

        return false;
    }

    private static void JudgeAlone(PunktToken token)
    {
        string text = token.Text;
        if (text is "." or "?" or "!")
            token.EndsSentence = true;
        else if (Ellipsis().IsMatch(text))
            token.IsEllipsis = true;
        else if (text[^1] == '.' && !text.EndsWith("..", StringComparison.Ordinal))
        {
            string word = text[..^1].ToLowerInvariant();
            HashSet<string> abbreviations = PunktParameters.English.Abbreviations;
            if (abbreviations.Contains(word) || abbreviations.Contains(word[(word.LastIndexOf('-') + 1)..]))
                token.IsAbbreviation = true;
            else
                token.EndsSentence = true;
        }
    }

    private static void JudgeWithNext(PunktToken token, PunktToken next)
    {
        if (token.Text[^1] != '.')
            return;
        PunktParameters english = PunktParameters.English;
        string type = token.TypeWithoutDot, nextType = next.TypeWithoutSentenceDot;
        bool isInitial = token.IsInitial;
        if (english.Collocations.Contains((type, nextType)))
        {
            (token.EndsSentence, token.IsAbbreviation) = (false, true);
            return;
        }

        bool? starts = StartsSentence(next);
        if ((token.IsAbbreviation || token.IsEllipsis) && !isInitial && (starts == true || (next.IsFirstUpper && english.SentenceStarters.Contains(nextType))))
        {
            token.EndsSentence = true;
            return;
        }

        if (!isInitial && type != "##number##")
            return;
        // "J. Bach": an initial before a name that is never written small.
        bool isName = starts is null && isInitial && next.IsFirstUpper && (english.ContextOf(nextType) & OrthographicContext.Lower) == 0;
        if (starts == false || isName)
            (token.EndsSentence, token.IsAbbreviation) = (false, true);
    }

    /// <summary>Whether the case of a word says that it begins a sentence; null when it says nothing.</summary>
    private static bool? StartsSentence(PunktToken token)
    {
        if (token.Text is ";" or ":" or "," or "." or "!" or "?")
            return false;
        OrthographicContext context = PunktParameters.English.ContextOf(token.TypeWithoutSentenceDot);
        if (token.IsFirstUpper && (context & OrthographicContext.Lower) != 0 && (context & OrthographicContext.InsideUpper) == 0)
            return true;
        return token.IsFirstLower && ((context & OrthographicContext.Upper) != 0 || (context & OrthographicContext.FirstLower) == 0) ? false : null;
    }

    [GeneratedRegex($@"[.?!](?=(?<after>{NonWord}|\s+(?<next>\S+)))")]
    private static partial Regex Candidate();

    [GeneratedRegex($@"{MultiPunctuation}|(?=[^(""`{{\[:;&#*@)}}\]\-,])\S+?(?=\s|$|{NonWord}|{MultiPunctuation}|,(?=$|\s|{NonWord}|{MultiPunctuation}))|\S")]
    private static partial Regex Token();

    [GeneratedRegex(@"^[""')\]}”’]+?(?:\s+|(?=--)|(?=\n)|\z)")]
    private static partial Regex Closing();

    [GeneratedRegex(@"^\.\.+$")]
    private static partial Regex Ellipsis();
}
