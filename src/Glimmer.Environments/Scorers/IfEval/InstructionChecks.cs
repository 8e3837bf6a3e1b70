using System.Text.RegularExpressions;
using Glimmer.Chat;
using Glimmer.Environments.Text;

namespace Glimmer.Environments.Scorers.IfEval;

/// <summary>The checks of the 25 instruction types of IFEval.</summary>
/// <remarks>Zhou et al. 2023, as lm-eval 0.4.13 (<c>tasks/ifeval</c>) runs them. Texts that the data give are patterns where the reference uses them as patterns.</remarks>
internal static partial class InstructionChecks
{
    /// <summary>Whether a response follows an instruction.</summary>
    /// <exception cref="ModelFormatException">The instruction's type is unknown or lacks an argument.</exception>
    public static bool Follows(IfEvalInstruction instruction, string response) => instruction.Id switch
    {
        "keywords:existence" => instruction.Texts("keywords").All(word => Pattern(word).IsMatch(response)),
        "keywords:frequency" => instruction.Holds(Pattern(Trim(instruction.Text("keyword"))).Count(response), "relation", "frequency"),
        "keywords:forbidden_words" => !instruction.Texts("forbidden_words").Any(word => Pattern(PythonCharacters.WordBoundary + word + PythonCharacters.WordBoundary).IsMatch(response)),
        "keywords:letter_frequency" => Letters(instruction, response),
        "language:response_language" => LanguageDetector.Detect(response) is not { } language || language == instruction.Text("language"),
        "length_constraints:number_sentences" => instruction.Holds(SentenceSplitter.Split(response).Count, "relation", "num_sentences"),
        "length_constraints:number_paragraphs" => Paragraphs(instruction, response),
        "length_constraints:number_words" => instruction.Holds(PythonCharacters.CountWords(response), "relation", "num_words"),
        "length_constraints:nth_paragraph_first_word" => FirstWord(instruction, response),
        "detectable_content:number_placeholders" => Placeholder().Count(response) >= instruction.Number("num_placeholders"),
        "detectable_content:postscript" => Postscript(instruction, response),
        "detectable_format:number_bullet_lists" => StarBullet().Count(response) + DashBullet().Count(response) == instruction.Number("num_bullets"),
        "detectable_format:constrained_response" => ((string[])["My answer is yes.", "My answer is no.", "My answer is maybe."]).Any(answer => response.Contains(answer, StringComparison.Ordinal)),
        "detectable_format:number_highlighted_sections" => Highlights(response) >= instruction.Number("num_highlights"),
        "detectable_format:multiple_sections" => new Regex($@"\s?{Trim(instruction.Text("section_spliter"))}\s?\d+\s?").Count(response) >= instruction.Number("num_sections"),
        "detectable_format:json_format" => IsJson(response),
        "detectable_format:title" => Title().Matches(response).Any(title => !PythonText.IsSpace(title.Value.TrimStart('<').TrimEnd('>'))),
        "combination:two_responses" => TwoResponses(response),
        "combination:repeat_prompt" => Lower(Trim(response)).StartsWith(Lower(Trim(instruction.Text("prompt_to_repeat"))), StringComparison.Ordinal),
        "startend:end_checker" => Lower(Trim(response).Trim('"')).EndsWith(Lower(Trim(instruction.Text("end_phrase"))), StringComparison.Ordinal),
        "startend:quotation" => Trim(response) is ['"', .., '"'],
        "change_case:capital_word_frequency" => instruction.Holds(WordTokenizer.Tokenize(response).Count(PythonCharacters.IsUpper), "capital_relation", "capital_frequency"),
        "change_case:english_capital" => PythonCharacters.IsUpper(response) && LanguageDetector.Detect(response) is null or "en",
        "change_case:english_lowercase" => PythonCharacters.IsLower(response) && LanguageDetector.Detect(response) is null or "en",
        "punctuation:no_comma" => !response.Contains(',', StringComparison.Ordinal),
        _ => throw new ModelFormatException($"The IFEval instruction '{instruction.Id}' is not known; expected one of the 25 types of the published data."),
    };

    private static bool Letters(IfEvalInstruction instruction, string response)
    {
        string letter = Lower(Trim(instruction.Text("letter")));
        return instruction.Holds(Lower(response).Split(letter).Length - 1, "let_relation", "let_frequency");
    }

    private static bool Paragraphs(IfEvalInstruction instruction, string response)
    {
        string[] paragraphs = Divider().Split(response);
        int count = paragraphs.Length;
        for (int i = 0; i < paragraphs.Length; i++)
        {
            if (!PythonText.IsSpace(paragraphs[i]))
                continue;
            if (i != 0 && i != paragraphs.Length - 1)
                return false;
            count--;
        }

        return count == instruction.Number("num_paragraphs");
    }

    private static bool FirstWord(IfEvalInstruction instruction, string response)
    {
        int expected = instruction.Number("num_paragraphs"), nth = instruction.Number("nth_paragraph");
        string[] paragraphs = response.Split("\n\n");
        int count = paragraphs.Count(paragraph => !PythonText.IsSpace(paragraph));
        if (nth > count)
            return false;
        string paragraph = Trim(paragraphs[nth - 1]);
        if (paragraph.Length == 0)
            return false;
        string word = FirstToken().Match(paragraph).Value.TrimStart('\'').TrimStart('"');
        int end = word.AsSpan().IndexOfAny(".,?!'\"");
        return count == expected && Lower(end < 0 ? word : word[..end]) == Lower(instruction.Text("first_word"));
    }

    private static bool Postscript(IfEvalInstruction instruction, string response)
    {
        string marker = Trim(instruction.Text("postscript_marker"));
        string pattern = marker switch
        {
            "P.P.S" => @"\s*p\.\s?p\.\s?s.*$",
            "P.S." => @"\s*p\.\s?s\..*$",
            _ => $@"\s*{Lower(marker)}.*$",
        };
        return Regex.IsMatch(Lower(response), pattern, RegexOptions.Multiline);
    }

    private static int Highlights(string response) =>
        Highlight().Matches(response).Count(match => !PythonText.IsSpace(match.Value.Trim('*')))
        + DoubleHighlight().Matches(response).Count(match => !PythonText.IsSpace(match.ValueSpan[2..^2]));

    private static bool TwoResponses(string response)
    {
        string[] parts = response.Split("******");
        var valid = new List<string>();
        for (int i = 0; i < parts.Length; i++)
        {
            if (!PythonText.IsSpace(parts[i]))
                valid.Add(Trim(parts[i]));
            else if (i != 0 && i != parts.Length - 1)
                return false;
        }

        return valid.Count == 2 && valid[0] != valid[1];
    }

    // Python's json also reads NaN and Infinity.
    private static bool IsJson(string response)
    {
        string text = Trim(response);
        foreach (string fence in (ReadOnlySpan<string>)["```json", "```Json", "```JSON", "```"])
        {
            if (text.StartsWith(fence, StringComparison.Ordinal))
                text = text[fence.Length..];
        }

        if (text.EndsWith("```", StringComparison.Ordinal))
            text = text[..^3];
        text = Trim(text);
        return DataValue.TryParse(text, out _) || (NotFinite().IsMatch(text) && DataValue.TryParse(NotFinite().Replace(text, match => match.Groups[1].Success ? match.Value : "0"), out _));
    }

    private static Regex Pattern(string pattern)
    {
        try
        {
            return new Regex(pattern, RegexOptions.IgnoreCase | RegexOptions.CultureInvariant);
        }
        catch (ArgumentException error)
        {
            throw new ModelFormatException($"'{pattern}' of an IFEval instruction is no pattern: {error.Message}", error);
        }
    }

    private static string Trim(string text) => PythonText.Trim(text).ToString();

    private static string Lower(string text) => text.ToLowerInvariant();

    [GeneratedRegex(@"\[.*?\]")]
    private static partial Regex Placeholder();

    [GeneratedRegex(@"^\s*\*[^\*].*$", RegexOptions.Multiline)]
    private static partial Regex StarBullet();

    [GeneratedRegex(@"^\s*-.*$", RegexOptions.Multiline)]
    private static partial Regex DashBullet();

    [GeneratedRegex(@"\*[^\n\*]*\*")]
    private static partial Regex Highlight();

    [GeneratedRegex(@"\*\*[^\n\*]*\*\*")]
    private static partial Regex DoubleHighlight();

    [GeneratedRegex(@"<<[^\n]+>>")]
    private static partial Regex Title();

    [GeneratedRegex(@"\s?\*\*\*\s?")]
    private static partial Regex Divider();

    [GeneratedRegex(@"^[^\s\u001c-\u001f]+")]
    private static partial Regex FirstToken();

    [GeneratedRegex("(\"(?:[^\"\\\\]|\\\\.)*\")|-?Infinity|NaN")]
    private static partial Regex NotFinite();
}
