using Glimmer.Data.Mixing;

namespace Glimmer.Data.Synthesis.Nano;

/// <summary>Prompts over many topics, for the model's own answers: what it knows before training stays what it knows.</summary>
public static class NanoPrompts
{
    private static readonly string[] s_topics =
    [
        "photosynthesis", "the water cycle", "gravity", "volcanoes", "the solar system", "vaccines", "the human heart", "sleep", "bees", "coral reefs", "dinosaurs", "magnets", "rainbows", "the moon", "tides",
        "bread", "cheese", "coffee", "tea", "chocolate", "spices", "gardening", "composting", "houseplants", "birdwatching", "hiking", "camping", "swimming", "running", "yoga", "cycling", "football", "chess",
        "learning a language", "public speaking", "time management", "writing a letter", "a job interview", "saving money", "budgeting", "teamwork", "studying for an exam", "taking notes", "reading more books",
        "the Roman Empire", "ancient Egypt", "the Renaissance", "the industrial revolution", "the printing press", "the Silk Road", "castles", "explorers", "lighthouses", "bridges", "railways", "airplanes",
        "computers", "the internet", "programming", "databases", "algorithms", "encryption", "robots", "solar energy", "wind power", "batteries", "recycling", "climate", "forests", "deserts", "oceans", "rivers",
        "mountains", "weather", "snow", "music", "the piano", "the guitar", "painting", "photography", "poetry", "theater", "movies", "dance", "architecture", "fashion", "friendship", "kindness", "patience",
        "honesty", "courage", "curiosity", "travel", "maps", "calendars", "clocks", "money", "trade", "democracy", "laws", "schools", "libraries", "museums", "cats", "dogs", "horses", "elephants", "owls", "whales",
    ];

    private static readonly string[] s_forms =
    [
        "What is {0}?", "Explain {0} in simple words.", "Tell me something interesting about {0}.", "Why is {0} important?", "Write a short paragraph about {0}.", "Give me three facts about {0}.",
        "How would you describe {0} to a child?", "Write a short poem about {0}.", "What should a beginner know about {0}?", "Write two sentences about {0}.", "What are common mistakes with {0}?",
        "Write a short story that has to do with {0}.", "Give some advice on {0}.", "What questions could I ask an expert on {0}?", "Summarize what you know about {0}.", "Write an email to a friend about {0}.",
        "Name an advantage and a disadvantage of {0}.", "What do people like about {0}?", "How has {0} changed over time?", "Write a slogan about {0}.",
    ];

    private static readonly string[] s_passageForms =
    [
        "Summarize this passage in one or two sentences:\n\n{0}", "What is this passage about?\n\n{0}", "Rewrite this in plain modern English:\n\n{0}", "Who or what is mentioned in this text?\n\n{0}",
        "What is the mood of this passage?\n\n{0}", "Give this passage a title:\n\n{0}",
    ];

    /// <summary>Number of different prompts that need no passage.</summary>
    public static int TopicCount => s_topics.Length * s_forms.Length;

    /// <summary>A prompt.</summary>
    /// <param name="passages">Passages of a text; a quarter of the prompts are about one of them when there are any.</param>
    /// <param name="seed">Seed.</param>
    /// <param name="index">Number of the prompt; prompts repeat only when all have been given.</param>
    public static string Prompt(IReadOnlyList<string> passages, ulong seed, long index)
    {
        ArgumentNullException.ThrowIfNull(passages);
        var draws = new Draws(seed, "prompts", index);
        if (passages.Count > 0 && index % 4 == 3)
            return string.Format(System.Globalization.CultureInfo.InvariantCulture, draws.Of(s_passageForms), passages[(int)(index / 4 % passages.Count)]);
        int place = (int)new ShuffledOrder(TopicCount, seed).At(index / TopicCount, (int)(index % TopicCount));
        return string.Format(System.Globalization.CultureInfo.InvariantCulture, s_forms[place % s_forms.Length], s_topics[place / s_forms.Length]);
    }

    /// <summary>Passages of a book: paragraphs of 40 to 90 words on one line each.</summary>
    /// <param name="text">The book; paragraphs are parted by empty lines.</param>
    /// <param name="exclude">Texts that no passage may share a line with: those that are measured on.</param>
    public static IReadOnlyList<string> Passages(string text, IReadOnlyList<string> exclude)
    {
        ArgumentNullException.ThrowIfNull(text);
        ArgumentNullException.ThrowIfNull(exclude);
        string[] measured = [.. exclude.Select(Flat)];
        return [.. text.Replace("\r\n", "\n", StringComparison.Ordinal).Split("\n\n").Select(Flat).Where(passage =>
            passage.Count(c => c == ' ') is >= 39 and < 90 && !measured.Any(other => other.Contains(passage, StringComparison.Ordinal) || passage.Contains(other, StringComparison.Ordinal)
                || other.Contains(passage[..Math.Min(60, passage.Length)], StringComparison.Ordinal) || other.Contains(passage[^Math.Min(60, passage.Length)..], StringComparison.Ordinal)))];

        static string Flat(string value) => string.Join(' ', value.Split([' ', '\n', '\t'], StringSplitOptions.RemoveEmptyEntries));
    }
}
