using System.Text;
using Glimmer.Tokenization;

namespace Glimmer.Tests.Tokenization;

public class TrainingTextTests
{
    [Fact]
    public void Long_files_come_in_parts_that_are_cut_between_pieces()
    {
        using var folder = new TemporaryFolder();
        var text = new StringBuilder();
        for (int i = 0; text.Length < 3_000_000; i++)
            text.Append("Line ").Append(i).Append(i % 3 == 0 ? "!\n\n  indented\n" : ", ünd so on\n");
        File.WriteAllText(folder["long.txt"], text.ToString());
        string[] parts = [.. TrainingText.Read([folder["long.txt"]])];
        Assert.InRange(parts.Length, 3, 4);
        Assert.Equal(text.ToString(), string.Concat(parts));
        foreach (string part in parts[..^1])
            Assert.EndsWith("\n", part, StringComparison.Ordinal);
        foreach (string part in parts[1..])
            Assert.True(char.IsAsciiLetterOrDigit(part[0]));

        // The vocabulary is that of the whole text.
        foreach (PreTokenizer kind in Enum.GetValues<PreTokenizer>())
        {
            var options = new BpeTrainerOptions { VocabularySize = 300, PreTokenizer = kind, Threads = 2 };
            Assert.Equal(BpeTrainer.Train([text.ToString()], options).Merges, BpeTrainer.Train(parts, options).Merges);
        }
    }

    [Fact]
    public void Lines_of_json_are_documents_of_their_own()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["a.jsonl"], "{\"text\": \"a\\nb\"}\n\n{\"id\": 1, \"text\": \"\"}\n");
        File.WriteAllText(folder["b.txt"], "plain");
        Assert.Equal(["a\nb", "", "plain"], TrainingText.Read([folder["a.jsonl"], folder["b.txt"]]));
        File.AppendAllText(folder["a.jsonl"], "{\"text\": 1}\n");
        Assert.Contains("line 4", Assert.Throws<FormatException>(() => TrainingText.Read([folder["a.jsonl"]]).Count()).Message, StringComparison.Ordinal);
    }
}
