using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace Glimmer.Data.Synthesis.Nano;

/// <summary>Checkable instructions: case, punctuation, beginnings and ends, wrapping, lists, lengths, words that must or must not occur.</summary>
/// <remarks>
/// Two kinds of records. A given text is to be rewritten, so that the right answer is computed. Or an ordinary prompt carries the instruction, and an answer that the model gave to the prompt
/// alone is changed until it obeys: the form is taught, the words stay its own. The wordings are ours.
/// </remarks>
public static partial class NanoInstructions
{
    private static readonly string[] s_endings =
        ["That is all I know.", "Have a nice day!", "Is there anything else?", "I hope this helps.", "The end.", "Thank you for asking.", "Let me know what you think.", "This is my final answer."];

    private static readonly string[] s_openings = ["Here is my answer:", "Dear reader,", "Let me see.", "Good question!", "In short,", "My answer follows."];
    private static readonly string[] s_keywords = ["river", "garden", "yesterday", "bridge", "window", "together", "silver", "journey", "morning", "simple", "friend", "castle", "music", "winter"];
    private static readonly string[] s_postscripts = ["P.S. Take care of yourself.", "P.S. Write to me again soon.", "P.S. I enjoyed this question.", "P.S. There is more to say about this."];
    private static readonly string[] s_titles = ["A Short Answer", "What I Know", "Some Thoughts", "A Closer Look", "In a Few Words", "Notes"];

    /// <summary>Draws an instruction for answers in prose.</summary>
    internal static CheckableInstruction Draw(Choices choices) => choices.Below(20) switch
    {
        0 => Upper(choices),
        1 => Lower(choices),
        2 or 3 => NoCommas(choices),
        4 => Ends(choices),
        5 => Begins(choices),
        6 => Quoted(choices),
        7 => Title(choices),
        8 => Postscript(choices),
        9 or 10 => Bullets(choices),
        11 => AtMostSentences(choices),
        12 => AtMostWords(choices),
        13 or 14 => Keyword(choices),
        15 => Without(choices),
        16 => Json(choices),
        17 => Sections(choices),
        18 => Highlighted(choices),
        _ => Placeholders(choices),
    };

    /// <summary>The instructions of a prompt: one, or two that go together.</summary>
    /// <param name="seed">Seed of the corpus.</param>
    /// <param name="index">Number of the prompt.</param>
    public static IReadOnlyList<CheckableInstruction> For(ulong seed, long index) => For(new Choices(seed, "nano/instructions", index, CorpusSplit.Train));

    /// <summary>A record of a prompt with instructions and the model's answer to the prompt alone, changed until it obeys.</summary>
    /// <param name="prompt">The prompt.</param>
    /// <param name="instructions">What <see cref="For(ulong, long)"/> gave.</param>
    /// <param name="answer">The model's answer to the prompt without instructions.</param>
    /// <returns>The record; null when the answer cannot be made to obey, such as an empty one.</returns>
    public static TrainingRecord? Record(string prompt, IReadOnlyList<CheckableInstruction> instructions, string answer)
    {
        ArgumentNullException.ThrowIfNull(instructions);
        ArgumentNullException.ThrowIfNull(answer);
        string text = answer.Trim();
        if (text.Length == 0)
            return null;
        foreach (CheckableInstruction instruction in instructions)
            text = instruction.Apply(text);
        if (!instructions.All(instruction => instruction.Holds(text)))
            return null;
        string asked = $"{prompt} {string.Join(" ", instructions.Select(instruction => instruction.Text))}";
        return new TrainingRecord($"instructions/{instructions[0].Kind}", CorpusKey.Of("instruction", asked), CorpusSplit.Train, [new RecordMessage("user", asked), new RecordMessage("assistant", text)]) { EnableThinking = false };
    }

    /// <summary>A record in which a given text is rewritten.</summary>
    internal static TrainingRecord Rewriting(Choices choices, IReadOnlyList<string> passages)
    {
        while (true)
        {
            string[] sentences = Sentences(choices.Pick(passages).Replace('\n', ' '));
            string text = string.Join(' ', sentences.Take(choices.Between(1, 4)));
            IReadOnlyList<CheckableInstruction> instructions = For(choices);
            string head = choices.Pick(["Repeat the text below.", "Copy this text.", "Write the following text again.", "Here is a text; give it back to me."]);
            TrainingRecord? record = Record(head, instructions, text);
            if (record is null || text.Length < 20)
                continue;
            string asked = $"{record.Messages[0].Content}\n\n{text}";
            return record with { Key = CorpusKey.Of("instruction", asked), Messages = [new RecordMessage("user", asked), record.Messages[1]], EntropyBits = choices.Bits, Split = choices.Split };
        }
    }

    private static IReadOnlyList<CheckableInstruction> For(Choices choices)
    {
        CheckableInstruction first = Draw(choices);
        if (!choices.Chance(0.3))
            return [first];
        // Changes of single characters come last, so that what others added follows them too; of two that wrap the whole answer only one is possible.
        CheckableInstruction second = Draw(choices);
        bool fit = first.Kind != second.Kind && !(Wraps(first.Kind) && (Wraps(second.Kind) || second.Kind is "upper-case" or "lower-case" or "no-commas")) && !(Wraps(second.Kind) && first.Kind is "upper-case" or "lower-case" or "no-commas");
        return fit ? [.. new[] { first, second }.OrderBy(instruction => Rank(instruction.Kind))] : [first];
    }

    private static bool Wraps(string kind) => kind is "quoted" or "json" or "bullets" or "sections" or "title" or "postscript" or "ends" or "begins" or "at-most-words" or "at-most-sentences";

    private static int Rank(string kind) => kind switch { "without" => 0, "keyword" or "highlighted" or "placeholders" => 1, "upper-case" or "lower-case" or "no-commas" => 3, _ => 2 };

    private static CheckableInstruction Upper(Choices choices) => new("upper-case", choices.Pick(["Write in capital letters only.", "Use only capital letters.", "Your whole answer must be in upper case."]),
        text => text.ToUpperInvariant(), text => !text.Any(char.IsLower));

    private static CheckableInstruction Lower(Choices choices) => new("lower-case", choices.Pick(["Write in small letters only.", "Do not use any capital letter.", "Everything must be in lower case."]),
        text => text.ToLowerInvariant(), text => !text.Any(char.IsUpper));

    private static CheckableInstruction NoCommas(Choices choices) => new("no-commas", choices.Pick(["Do not use commas.", "Leave out all commas.", "There must be no comma in your answer."]),
        text => text.Replace(",", "", StringComparison.Ordinal), text => !text.Contains(',', StringComparison.Ordinal));

    private static CheckableInstruction Ends(Choices choices)
    {
        string ending = choices.Pick(s_endings);
        return new("ends", choices.Pick([$"End with the sentence \"{ending}\"", $"The last words must be \"{ending}\" and nothing after it."]), text => $"{text.TrimEnd()} {ending}", text => text.EndsWith(ending, StringComparison.Ordinal));
    }

    private static CheckableInstruction Begins(Choices choices)
    {
        string opening = choices.Pick(s_openings);
        return new("begins", choices.Pick([$"Begin with \"{opening}\"", $"Start your answer with the words \"{opening}\""]), text => $"{opening} {text}", text => text.StartsWith(opening, StringComparison.Ordinal));
    }

    private static CheckableInstruction Quoted(Choices choices) => new("quoted", choices.Pick(["Put your whole answer in double quotation marks.", "Wrap everything in double quotes."]),
        text => $"\"{text.Replace('"', '\'')}\"", text => text.Length > 1 && text[0] == '"' && text[^1] == '"');

    private static CheckableInstruction Title(Choices choices)
    {
        string title = choices.Pick(s_titles);
        return new("title", choices.Pick(["Give it a title in double angle brackets, such as <<a title>>.", "Add a title wrapped like this: <<title>>."]), text => $"<<{title}>>\n\n{text}", text => Titled().IsMatch(text));
    }

    private static CheckableInstruction Postscript(Choices choices)
    {
        string postscript = choices.Pick(s_postscripts);
        return new("postscript", choices.Pick(["At the end add a postscript that starts with P.S.", "Finish with a postscript beginning with P.S."]), text => $"{text}\n\n{postscript}", text => text.Contains("P.S. ", StringComparison.Ordinal));
    }

    private static CheckableInstruction Bullets(Choices choices)
    {
        int count = choices.Between(2, 5);
        return new("bullets", choices.Pick([$"Answer with exactly {count} bullet points, each beginning with \"* \".", $"Use exactly {count} bullets (lines that start with * )."]),
            text =>
            {
                string[] sentences = Sentences(Plain(text));
                return sentences.Length < count ? text : string.Join('\n', sentences.Take(count).Select(sentence => "* " + sentence));
            },
            text => text.Split('\n').Count(line => line.StartsWith("* ", StringComparison.Ordinal)) == count);
    }

    private static CheckableInstruction AtMostSentences(Choices choices)
    {
        int count = choices.Between(1, 4);
        string unit = count == 1 ? "one sentence" : $"{count} sentences";
        return new("at-most-sentences", choices.Pick([$"Use at most {unit}.", $"Do not write more than {unit}."]), text => string.Join(' ', Sentences(Plain(text)).Take(count)), text => Sentences(text).Length <= count);
    }

    private static CheckableInstruction AtMostWords(Choices choices)
    {
        int count = choices.Between(3, 10) * 10;
        return new("at-most-words", choices.Pick([$"Use fewer than {count} words.", $"Keep it below {count} words."]),
            text =>
            {
                var kept = new List<string>();
                int words = 0;
                foreach (string sentence in Sentences(Plain(text)))
                {
                    words += Words(sentence);
                    if (words >= count)
                        break;
                    kept.Add(sentence);
                }

                return string.Join(' ', kept);
            },
            text => text.Length > 0 && Words(text) < count);
    }

    private static CheckableInstruction Keyword(Choices choices)
    {
        string[] words = choices.Some(s_keywords, choices.Between(1, 2));
        string list = string.Join(" and ", words.Select(word => $"\"{word}\""));
        return new("keyword", choices.Pick([$"Use the {(words.Length == 1 ? "word" : "words")} {list}.", $"Include {list} in your answer."]),
            text => $"{text} {string.Join(' ', words.Select(word => $"I also think of the word {word}."))}", text => words.All(word => text.Contains(word, StringComparison.OrdinalIgnoreCase)));
    }

    private static CheckableInstruction Without(Choices choices)
    {
        string word = choices.Pick(["very", "the", "really", "good", "important", "can", "also", "many"]);
        var pattern = new Regex($@"\b{word}\b ?", RegexOptions.IgnoreCase | RegexOptions.CultureInvariant);
        return new("without", choices.Pick([$"Do not use the word \"{word}\".", $"The word \"{word}\" must not occur."]), text => pattern.Replace(text, ""), text => !pattern.IsMatch(text));
    }

    private static CheckableInstruction Json(Choices choices)
    {
        string key = choices.Pick(["answer", "text", "result", "reply"]);
        return new("json", choices.Pick([$"Give the answer as a JSON object with the key \"{key}\".", $"Put everything into JSON: one object with \"{key}\"."]),
            text => $"{{\"{key}\": \"{JsonEncodedText.Encode(text, System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping)}\"}}",
            text =>
            {
                try
                {
                    using JsonDocument json = JsonDocument.Parse(text);
                    return json.RootElement.ValueKind == JsonValueKind.Object && json.RootElement.TryGetProperty(key, out _);
                }
                catch (JsonException)
                {
                    return false;
                }
            });
    }

    private static CheckableInstruction Sections(Choices choices)
    {
        int count = choices.Between(2, 3);
        string word = choices.Pick(["Part", "Section", "Paragraph"]);
        return new("sections", choices.Pick([$"Divide the answer into {count} parts, headed {word} 1, {word} 2 and so on.", $"Write {count} parts; mark the beginning of each with {word} and its number."]),
            text =>
            {
                string[] sentences = Sentences(Plain(text));
                int each = sentences.Length / count;
                return each == 0 ? text : string.Join("\n\n", Enumerable.Range(0, count).Select(i => string.Create(CultureInfo.InvariantCulture, $"{word} {i + 1}\n{string.Join(' ', sentences.Skip(i * each).Take(i == count - 1 ? sentences.Length : each))}")));
            },
            text => Enumerable.Range(1, count).All(i => text.Contains(string.Create(CultureInfo.InvariantCulture, $"{word} {i}\n"), StringComparison.Ordinal)));
    }

    private static CheckableInstruction Highlighted(Choices choices)
    {
        int count = choices.Between(1, 3);
        return new("highlighted", choices.Pick([$"Highlight at least {count} {(count == 1 ? "word" : "words")} with stars, like *this*.", $"Put stars around {count} or more words: *word*."]),
            text =>
            {
                int left = count;
                return LongWord().Replace(text, match => left-- > 0 ? $"*{match.Value}*" : match.Value);
            },
            text => Starred().Count(text) >= count);
    }

    private static CheckableInstruction Placeholders(Choices choices)
    {
        string[] names = choices.Some(["name", "address", "date", "place", "number", "time"], choices.Between(1, 2));
        return new("placeholders", choices.Pick([$"Use at least {names.Length} placeholder(s) in square brackets, such as [name].", $"The answer needs {names.Length} or more placeholders in square brackets, for example [date]."]),
            text => $"{text} Please fill in {string.Join(" and ", names.Select(name => $"[{name}]"))}.", text => Bracketed().Count(text) >= names.Length);
    }

    private static string Plain(string text) => Gaps().Replace(text, " ").Trim();

    private static int Words(string text) => text.Split(' ', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).Length;

    private static string[] Sentences(string text) => [.. SentenceEnd().Split(text).Select(sentence => sentence.Trim()).Where(sentence => sentence.Length > 0)];

    [GeneratedRegex(@"(?<=[.!?])\s+")]
    private static partial Regex SentenceEnd();

    [GeneratedRegex(@"\s+")]
    private static partial Regex Gaps();

    [GeneratedRegex(@"<<[^\n<>]+>>")]
    private static partial Regex Titled();

    [GeneratedRegex(@"\b[A-Za-z]{5,}\b")]
    private static partial Regex LongWord();

    [GeneratedRegex(@"\*[^*\n]+\*")]
    private static partial Regex Starred();

    [GeneratedRegex(@"\[[a-z]+\]")]
    private static partial Regex Bracketed();
}
