using System.Text.Encodings.Web;
using System.Text.Json;

namespace Glimmer.Data.Synthesis.Nano;

/// <summary>Writes Nano's data as files, for people to look at and for evaluations.</summary>
public static class NanoFiles
{
    private const int QuestionsPerTask = 200;
    private const string ToolRows = "BFCL_simple_generated.jsonl";

    /// <summary>
    /// Writes <c>records.jsonl</c> (families that need no model, in their shares), <c>prompts.jsonl</c> (what the trunk answers), <c>questions.jsonl</c> (arithmetic of the test) and
    /// <c>BFCL_simple_generated.jsonl</c> with <c>possible_answer/</c>, which <c>glimmer eval bfcl</c> runs.
    /// </summary>
    /// <param name="corpus">The corpus.</param>
    /// <param name="folder">The folder; created where it is missing.</param>
    /// <param name="records">How many records.</param>
    /// <param name="cancellation">Ends the work; the file in work does not appear.</param>
    /// <returns>Lines of each file, by name.</returns>
    public static IReadOnlyList<(string Name, long Lines)> Write(NanoCorpus corpus, string folder, int records, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(corpus);
        Directory.CreateDirectory(Path.Combine(folder, "possible_answer"));
        IReadOnlyList<(string Row, string Answer)> tools = corpus.ToolEvaluation(QuestionsPerTask);
        (string Name, IEnumerable<string> Lines)[] files =
        [
            ("records.jsonl", Records(corpus, records).Select(record => record.ToJson())),
            ("prompts.jsonl", corpus.Prompts.All.Select(prompt => $"{{\"prompt\": \"{JsonEncodedText.Encode(prompt, JavaScriptEncoder.UnsafeRelaxedJsonEscaping)}\"}}")),
            ("questions.jsonl", NanoCorpus.ArithmeticTasks.SelectMany(task => corpus.ArithmeticEvaluation(task, QuestionsPerTask)).Select(SyntheticJson.Of)),
            (ToolRows, tools.Select(row => row.Row)),
            (Path.Combine("possible_answer", ToolRows), tools.Select(row => row.Answer)),
        ];
        return [.. files.Select(file => (file.Name, JsonLinesFile.Write(Path.Combine(folder, file.Name), file.Lines, cancellation)))];
    }

    private static IEnumerable<TrainingRecord> Records(NanoCorpus corpus, int count)
    {
        (NanoFamily Family, double Share)[] shares = [.. NanoCorpus.Shares.Where(share => share.Family is not (NanoFamily.OwnAnswers or NanoFamily.Texts))];
        var taken = new int[shares.Length];
        for (int i = 0; i < count; i++)
        {
            int behind = Enumerable.Range(0, shares.Length).MaxBy(family => shares[family].Share * (i + 1) - taken[family] * shares.Sum(share => share.Share));
            yield return corpus.Record(shares[behind].Family, taken[behind]++);
        }
    }
}
