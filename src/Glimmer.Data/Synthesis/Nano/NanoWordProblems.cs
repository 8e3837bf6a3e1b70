using System.Text.Json;
using System.Text.RegularExpressions;
using Glimmer.Data.Readers;

namespace Glimmer.Data.Synthesis.Nano;

/// <summary>The training problems of GSM8K as records: the steps become the thought.</summary>
internal static partial class NanoWordProblems
{
    // A recorded perplexity is measured on the first three rows.
    private const int RecordedRows = 3;

    /// <summary>Reads the rows behind those of the recorded perplexity.</summary>
    /// <param name="path"><c>train.jsonl</c> of GSM8K, rows with <c>question</c> and <c>answer</c>.</param>
    /// <exception cref="ModelFormatException">A row is malformed.</exception>
    public static IReadOnlyList<TrainingRecord> Read(string path)
    {
        var records = new List<TrainingRecord>();
        var reader = new JsonLinesReader();
        foreach (JsonLine line in reader.Read(path).Skip(RecordedRows))
        {
            string? question = Text(line, "question"), answer = Text(line, "answer");
            string[] parts = answer?.Split("\n#### ") ?? [];
            if (question is null || parts.Length != 2)
            {
                reader.Report(new BadLine(line.Position, "expected 'question' and an 'answer' that ends in '#### number'"));
                continue;
            }

            string steps = Calculator().Replace(parts[0], "");
            records.Add(new TrainingRecord("gsm8k", CorpusKey.Of("gsm8k", question), CorpusSplit.Train,
                [new RecordMessage("user", question), new RecordMessage("assistant", $"The answer is {parts[1].Trim()}.") { ReasoningContent = steps }])
            { EnableThinking = true });
        }

        return records;
    }

    private static string? Text(JsonLine line, string field) => line.Value.TryGetProperty(field, out JsonElement value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    [GeneratedRegex("<<[^>]*>>")]
    private static partial Regex Calculator();
}
