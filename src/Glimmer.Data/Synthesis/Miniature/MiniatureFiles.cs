namespace Glimmer.Data.Synthesis.Miniature;

/// <summary>Writes the miniature's corpus as files, for people to look at and for other programs; training reads the generator itself.</summary>
public static class MiniatureFiles
{
    private const int QuestionsPerTask = 200;

    /// <summary>Writes <c>general.jsonl</c>, <c>reasoning.jsonl</c>, <c>middle.jsonl</c> and <c>validation.jsonl</c> (texts), <c>sft.jsonl</c> (records) and <c>questions.jsonl</c>.</summary>
    /// <param name="corpus">The corpus.</param>
    /// <param name="folder">The folder; created where it is missing.</param>
    /// <param name="bytesPerStage">Bytes of text of each stage; validation has a twentieth.</param>
    /// <param name="conversations">Records of fine-tuning.</param>
    /// <param name="progress">Told the name of each file that is begun.</param>
    /// <param name="cancellation">Ends the work; the file in work does not appear.</param>
    /// <returns>Lines of each file, by name.</returns>
    public static IReadOnlyList<(string Name, long Lines)> Write(
        MiniatureCorpus corpus, string folder, long bytesPerStage, int conversations, IProgress<string>? progress = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(corpus);
        Directory.CreateDirectory(folder);
        var written = new List<(string, long)>();
        foreach (MiniatureStage stage in Enum.GetValues<MiniatureStage>())
            Add($"{stage.ToString().ToLowerInvariant()}.jsonl", corpus.Stream(stage, bytesPerStage).Select(SyntheticJson.Of));
        Add("validation.jsonl", corpus.Stream(MiniatureStage.General, bytesPerStage / 20, CorpusSplit.Validation).Select(SyntheticJson.Of));
        Add("sft.jsonl", Enumerable.Range(0, conversations).Select(i => corpus.Conversation(i).ToJson()));
        Add("questions.jsonl", MiniatureCorpus.Tasks.SelectMany(task => corpus.Questions(task, QuestionsPerTask)).Select(SyntheticJson.Of));
        return written;

        void Add(string name, IEnumerable<string> lines)
        {
            progress?.Report(name);
            written.Add((name, JsonLinesFile.Write(Path.Combine(folder, name), lines, cancellation)));
        }
    }
}
