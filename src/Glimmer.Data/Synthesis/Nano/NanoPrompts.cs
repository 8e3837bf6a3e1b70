using System.Text.RegularExpressions;

namespace Glimmer.Data.Synthesis.Nano;

/// <summary>Prompts over many topics and passages of books. The model that is trained answers them itself before training, so that it keeps how it speaks.</summary>
/// <remarks>The number of the prompt is its place in the list, so the answers of a model can be kept by number.</remarks>
public sealed partial class NanoPrompts
{
    private const string Resource = "nano-topics.txt";
    private const int PassageChars = 700;

    private static readonly string[] s_passageTasks =
    [
        "Summarize this passage in one or two sentences:\n\n<p>", "What is this passage about?\n\n<p>", "Who or what is mentioned in this text?\n\n<p>", "Rewrite this passage in simple modern English:\n\n<p>",
        "<p>\n\nWhat is the mood of this passage?", "<p>\n\nWrite one question about this passage and answer it.", "Give this passage a title:\n\n<p>",
    ];

    private static readonly string[] s_thoughts = ["I can answer this at once.", "There is nothing to calculate here.", "I answer in plain words."];

    private readonly string[] _prompts;

    private NanoPrompts(string[] prompts) => _prompts = prompts;

    /// <summary>The prompts, all different.</summary>
    public IReadOnlyList<string> All => _prompts;

    /// <summary>The prompts about topics, and about passages where there are some.</summary>
    /// <param name="passages">Passages of books, see <see cref="Passages"/>; may be empty.</param>
    /// <param name="seed">Seed of their order.</param>
    public static NanoPrompts Create(IReadOnlyList<string> passages, ulong seed)
    {
        ArgumentNullException.ThrowIfNull(passages);
        List<string> prompts = [.. Topics()];
        for (int i = 0; i < passages.Count; i++)
        {
            var choices = new Choices(seed, "nano/passages", i, CorpusSplit.Train);
            foreach (string task in choices.Some(s_passageTasks, 2))
                prompts.Add(task.Replace("<p>", passages[i], StringComparison.Ordinal));
        }

        string[] different = [.. prompts.Distinct()];
        var order = new Mixing.ShuffledOrder(different.Length, seed);
        return new NanoPrompts([.. different.Select((_, i) => different[order.At(0, i)])]);
    }

    /// <summary>Cuts a book into passages of a few sentences: paragraphs joined until they are long enough, longer ones left out.</summary>
    /// <param name="text">The book.</param>
    /// <param name="skipChars">Characters at its beginning to leave out: what a recorded perplexity is measured on.</param>
    public static IReadOnlyList<string> Passages(string text, int skipChars)
    {
        ArgumentNullException.ThrowIfNull(text);
        var passages = new List<string>();
        string open = "";
        foreach (string paragraph in BlankLines().Split(text[Math.Min(skipChars, text.Length)..]).Skip(1))
        {
            string line = paragraph.Trim();
            if (line.Length is 0 or > PassageChars)
            {
                open = "";
                continue;
            }

            open = open.Length == 0 ? line : open + "\n\n" + line;
            if (open.Length > PassageChars)
                open = line;
            if (open.Length < PassageChars / 2)
                continue;
            passages.Add(open);
            open = "";
        }

        return passages;
    }

    /// <summary>A record of a prompt and the answer of a model.</summary>
    /// <param name="prompt">The prompt.</param>
    /// <param name="answer">What the model said.</param>
    /// <param name="thinks">Whether the thinking switch is on: a short thought then says that there is nothing to work out.</param>
    public static TrainingRecord Record(string prompt, string answer, bool thinks = false)
    {
        ulong key = CorpusKey.Of("prompt", prompt);
        string? thought = thinks ? s_thoughts[(int)(key % (ulong)s_thoughts.Length)] : null;
        return new TrainingRecord("own-answers", key, CorpusSplit.Train, [new RecordMessage("user", prompt), new RecordMessage("assistant", answer.Trim()) { ReasoningContent = thought }]) { EnableThinking = thinks };
    }

    private static IEnumerable<string> Topics()
    {
        using Stream stream = typeof(NanoPrompts).Assembly.GetManifestResourceStream(Resource) ?? throw new InvalidOperationException($"The assembly lacks the resource {Resource}.");
        using var reader = new StreamReader(stream);
        string[] topics = [];
        bool isPrompts = false;
        while (reader.ReadLine() is string line)
        {
            if (line.Length == 0 || line[0] is '#')
                continue;
            if (line[0] == '[')
                (topics, isPrompts) = ([], false);
            else if (line == "---")
                isPrompts = true;
            else if (!isPrompts)
                topics = [.. topics, .. line.Split(';', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)];
            else
                foreach (string topic in topics)
                    yield return line.Replace("<t>", topic, StringComparison.Ordinal);
        }
    }

    [GeneratedRegex(@"\n\s*\n")]
    private static partial Regex BlankLines();
}
