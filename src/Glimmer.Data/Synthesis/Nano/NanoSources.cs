using Glimmer.Data.Readers;

namespace Glimmer.Data.Synthesis.Nano;

/// <summary>What Nano's data needs beside the generator: a folder with <c>gsm8k_train.jsonl</c> and <c>passages.jsonl</c>, as in <c>recipes/nano/data</c>.</summary>
/// <param name="Passages">Passages of books.</param>
/// <param name="Problems">Problems of GSM8K without the rows of the recorded perplexity.</param>
public sealed record NanoSources(IReadOnlyList<string> Passages, IReadOnlyList<TrainingRecord> Problems)
{
    /// <summary>Reads the folder.</summary>
    /// <exception cref="ModelFormatException">A file is missing or malformed.</exception>
    public static NanoSources Read(string folder)
    {
        string[] passages = [.. new DocumentReader().Read([Path.Combine(folder, "passages.jsonl")]).Select(document => document.Text)];
        if (passages.Length == 0)
            throw new ModelFormatException($"'{Path.Combine(folder, "passages.jsonl")}' holds no passage.");
        return new NanoSources(passages, NanoWordProblems.Read(Path.Combine(folder, "gsm8k_train.jsonl")));
    }
}
