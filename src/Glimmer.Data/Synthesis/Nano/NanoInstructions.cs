using System.Globalization;

namespace Glimmer.Data.Synthesis.Nano;

/// <summary>Instructions whose observance can be checked: a prompt and an answer become a prompt with a demand and an answer that meets it.</summary>
/// <remarks>The demands are of the kinds that Zhou et al. 2023 (arXiv 2311.07911) call verifiable; words, texts and numbers are our own.</remarks>
public static class NanoInstructions
{
    private static readonly string[] s_endings = ["Is there anything else I can do for you?", "That is all for now.", "I hope this was useful.", "Have a pleasant day!", "Thank you for reading.", "Let me know what you think."];
    private static readonly string[] s_keywords = ["river", "practice", "morning", "balance", "light", "garden", "journey", "simple", "friend", "window", "future", "careful"];

    /// <summary>Adds a demand.</summary>
    /// <param name="prompt">What was asked.</param>
    /// <param name="answer">What was answered: a few sentences of plain text.</param>
    /// <param name="seed">Seed.</param>
    /// <param name="index">Number of the record.</param>
    public static NanoRecord Record(string prompt, string answer, ulong seed, long index)
    {
        ArgumentNullException.ThrowIfNull(prompt);
        ArgumentNullException.ThrowIfNull(answer);
        var draws = new Draws(seed, "instructions", index);
        string text = answer.Trim();
        (string demand, string meets) = Demand(draws, prompt, text);
        if (draws.Chance(15))
        {
            string ending = draws.Of(s_endings);
            if (!meets.EndsWith('"') && !meets.EndsWith('}') && meets == text)
                (demand, meets) = ($"{demand} End with exactly this phrase: {ending} Nothing may follow it.", $"{meets}\n\n{ending}");
        }

        string question = draws.Chance(80) ? $"{prompt.Trim()} {demand}" : $"{demand} {prompt.Trim()}";
        return NanoRecord.Of("instructions", prompt, question, null, meets);
    }

    private static (string Demand, string Answer) Demand(Draws draws, string prompt, string text)
    {
        string[] sentences = SentencesOf(text);
        string[] words = text.Split([' ', '\n'], StringSplitOptions.RemoveEmptyEntries);
        switch (draws.Int(0, 17))
        {
            case 0:
                return (draws.Of("Your entire response should be in lowercase letters.", "Write everything in lowercase; no capital letters are allowed."), text.ToLowerInvariant());
            case 1:
                return (draws.Of("Your entire response should be in capital letters.", "Answer in all capital letters, in English."), text.ToUpperInvariant());
            case 2:
                return (draws.Of("Do not use any commas.", "Your answer must not contain a comma.", "Refrain from using commas."), text.Replace(",", "", StringComparison.Ordinal));
            case 3:
                return (draws.Of("Wrap your entire response in double quotation marks.", "Put double quotation marks around the whole answer."), $"\"{text.Replace('"', '\'')}\"");
            case 4:
                string ending = draws.Of(s_endings);
                return ($"Finish your response with this exact phrase: \"{ending}\" No other words should follow it.", $"{text}\n\n{ending}");
            case 5:
                return (draws.Of("Give your answer a title, wrapped in double angular brackets such as <<a title>>.", "Your answer must contain a title in double angular brackets, i.e. <<title>>."), $"<<{Title(words)}>>\n\n{text}");
            case 6:
                int bullets = Math.Clamp(draws.Int(2, 5), 1, sentences.Length);
                return ($"Your answer must contain exactly {bullets} bullet point{(bullets == 1 ? "" : "s")}. Use markdown bullets such as:\n* This is a point.", string.Join('\n', sentences[..bullets].Select(sentence => "* " + sentence)));
            case 7:
                return ("At the end of your response add a postscript that starts with P.S.", $"{text}\n\nP.S. {draws.Of(s_endings)}");
            case 8:
                string keyword = draws.Of(s_keywords), second = draws.Of(s_keywords);
                string with = keyword == second ? $"'{keyword}'" : $"'{keyword}' and '{second}'";
                return ($"Include the keyword{(keyword == second ? "" : "s")} {with} in the response.", $"{text} Think of the word {keyword}{(keyword == second ? "" : $" and the word {second}")}.");
            case 9:
                return ("First repeat the request word for word without change, then give your answer. Do not say anything before the repeated request.", $"{prompt.Trim()}\n\n{text}");
            case 10:
                int most = Math.Max(1, sentences.Length);
                return ($"Use at most {most + 1} sentences.", string.Join(' ', sentences));
            case 11:
                int fewer = (words.Length / 10 * 10) + 20;
                return ($"Answer with less than {fewer} words.", text);
            case 12:
                return ("Give two different responses. Separate them with 6 asterisk symbols: ******.", $"{text}\n\n******\n\n{sentences[0]} {draws.Of("In short, that is the main point.", "This says it in fewer words.")}");
            case 13:
                return ("Format your entire output as JSON.", $$"""
                    {"answer": "{{text.Replace("\\", "", StringComparison.Ordinal).Replace("\"", "'", StringComparison.Ordinal).Replace("\n", " ", StringComparison.Ordinal)}}"}
                    """);
            case 14:
                int paragraphs = Math.Clamp(draws.Int(2, 3), 1, sentences.Length);
                return ($"There should be {paragraphs} paragraphs. Separate paragraphs with the markdown divider: ***", string.Join("\n\n***\n\n", Parts(sentences, paragraphs)));
            case 15:
                int placeholders = draws.Int(1, 3);
                string[] names = ["[name]", "[address]", "[date]"];
                return ($"The response must contain at least {placeholders} placeholder{(placeholders == 1 ? "" : "s")} represented by square brackets, such as [address].", $"{text} Contact: {string.Join(", ", names[..placeholders])}.");
            case 16:
                int sections = Math.Clamp(draws.Int(2, 3), 1, sentences.Length);
                return ($"Your response must have {sections} sections. Mark the beginning of each section with SECTION X, such as:\nSECTION 1\n[content of section 1]", string.Join("\n\n", Parts(sentences, sections).Select((part, i) => $"SECTION {i + 1}\n{part}")));
            default:
                return (draws.Of("Highlight at least one part of your answer with markdown, i.e. *highlighted part*.", "Highlight one section in your answer with markdown, like *this section*."), $"*{sentences[0].TrimEnd('.')}*. {string.Join(' ', sentences[1..])}".Trim());
        }
    }

    private static string[] SentencesOf(string text)
    {
        var sentences = new List<string>();
        int start = 0;
        for (int i = 0; i < text.Length; i++)
        {
            bool ends = text[i] is '.' or '!' or '?' && (i + 1 == text.Length || char.IsWhiteSpace(text[i + 1]));
            if (!ends && i + 1 < text.Length)
                continue;
            string sentence = text[start..(i + 1)].Replace('\n', ' ').Trim();
            if (sentence.Length > 0)
                sentences.Add(sentence);
            start = i + 1;
        }

        return sentences.Count > 0 ? [.. sentences] : [text];
    }

    private static IEnumerable<string> Parts(string[] sentences, int count)
    {
        for (int i = 0; i < count; i++)
            yield return string.Join(' ', sentences[(i * sentences.Length / count)..((i + 1) * sentences.Length / count)]);
    }

    private static string Title(string[] words) => CultureInfo.InvariantCulture.TextInfo.ToTitleCase(string.Join(' ', words.Take(4)).Trim('.', ',', '!', '?', ':', '"').ToLowerInvariant());
}
