using Glimmer.Training.Batching;
using Glimmer.Training.Sft;

namespace Glimmer.Tests.Training.Sft;

public class SftDataTests
{
    [Fact]
    public void Tables_lists_and_lines_hold_the_same_records()
    {
        using var temporary = new TemporaryFolder();
        File.WriteAllText(temporary["a.csv"], "query,response\n\"one, \"\"two\"\"\",\"three\nfour\"\r\nfive,six\n");
        File.WriteAllText(temporary["a.json"], """[{"query": "one, \"two\"", "response": "three\nfour"}, {"query": "five", "response": "six"}]""");
        File.WriteAllText(temporary["a.jsonl"], """
            {"query": "one, \"two\"", "response": "three\nfour"}

            {"query": "five", "response": "six"}
            """);
        foreach (string name in (string[])["a.csv", "a.json", "a.jsonl"])
        {
            SftDataset data = SftDataset.Read([temporary[name]]);
            Assert.Empty(data.Bad);
            Assert.Equal(["one, \"two\"|three\nfour", "five|six"], data.Records.Select(record => $"{record.Messages[0].Message.Content!.AsString}|{record.Messages[1].Message.Content!.AsString}"));
        }

        Assert.Equal(3, SftDataset.Read([temporary["a.jsonl"]]).Records[1].Place.Line);
        Assert.Equal(4, SftDataset.Read([temporary["a.csv"]]).Records[1].Place.Line);
    }

    [Fact]
    public void A_number_behind_a_path_takes_a_sample_of_so_many_records()
    {
        using var temporary = new TemporaryFolder();
        string[] all = [.. Enumerable.Range(0, 30).Select(i => $"text {i:00}")];
        File.WriteAllLines(temporary["a.txt"], all);
        string[] few = Texts("#10", 1), more = Texts("#40", 1);
        Assert.Equal(10, few.Distinct().Count());
        Assert.Equal(few.Order(StringComparer.Ordinal), few); // in the order of the file
        Assert.NotEqual(all[..10], few);
        Assert.Equal(few, Texts("#10", 1));
        Assert.NotEqual(few, Texts("#10", 2));
        Assert.Equal([.. all, .. few], more);
        Assert.Contains("a whole number", Assert.Throws<FormatException>(() => SftDataset.Read([temporary["a.txt"] + "#few"])).Message, StringComparison.Ordinal);
        Assert.Throws<FileNotFoundException>(() => SftDataset.Read([temporary["b.jsonl"]]));

        string[] Texts(string count, ulong seed) => [.. SftDataset.Read([temporary["a.txt"] + count], seed).Records.Select(record => record.Text!)];
    }

    [Fact]
    public void Text_that_is_no_text_is_a_bad_record_with_its_place()
    {
        using var temporary = new TemporaryFolder();
        File.WriteAllText(temporary["half.jsonl"], "{\"text\": \"good\"}\n{\"text\": \"\\ud83d\"}\n{\"text\": \"\\ufffd is text where the bytes are UTF-8\"}\n"
            + "{\"messages\": [{\"role\": \"user\", \"content\": \"?\"}, {\"role\": \"assistant\", \"content\": \"\", \"tool_calls\": [{\"function\": {\"name\": \"f\", \"arguments\": {\"city\": \"\\ud83d\"}}}]}]}\n");
        SftDataset half = SftDataset.Read([temporary["half.jsonl"]]);
        Assert.Equal(2, half.Records.Count);
        Assert.Equal([2, 4], half.Bad.Select(record => record.Place.Line));
        Assert.All(half.Bad, record => Assert.Contains("surrogate pair", record.Reason, StringComparison.Ordinal));

        File.WriteAllBytes(temporary["latin.txt"], [.. "one \uFFFD\ntw"u8, 0xE9, .. "\nthree\n"u8]);
        SftDataset latin = SftDataset.Read([temporary["latin.txt"]]);
        Assert.Equal(["one \uFFFD", "three"], latin.Records.Select(record => record.Text));
        Assert.Equal((2, "the bytes are no UTF-8"), (Assert.Single(latin.Bad).Place.Line, latin.Bad[0].Reason));
        File.Copy(temporary["latin.txt"], temporary["latin.csv"]);
        Assert.Contains("latin.csv': the bytes are no UTF-8", Assert.Throws<FormatException>(() => SftDataset.Read([temporary["latin.csv"]])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_record_stays_held_out_when_the_file_grows()
    {
        using var temporary = new TemporaryFolder();
        File.WriteAllLines(temporary["a.txt"], Enumerable.Range(0, 1000).Select(i => $"text {i}"));
        HashSet<string> before = HeldOut(temporary["a.txt"]);
        File.WriteAllLines(temporary["a.txt"], Enumerable.Range(0, 2000).Reverse().Select(i => $"text {i}"));
        HashSet<string> after = HeldOut(temporary["a.txt"]);
        Assert.InRange(before.Count, 60, 140);
        Assert.Subset(after, before);
        Assert.All(after.Except(before), text => Assert.InRange(int.Parse(text[5..], System.Globalization.CultureInfo.InvariantCulture), 1000, 1999));
    }

    [Theory]
    [InlineData(TruncationStrategy.Left, "5 6 7 8 9")]
    [InlineData(TruncationStrategy.Right, "0 1 2 3 4")]
    [InlineData(TruncationStrategy.Split, "0 1 2 3 4|5 6 7 8 9")]
    [InlineData(TruncationStrategy.Delete, "")]
    public void Samples_that_are_too_long_are_cut_as_asked(TruncationStrategy strategy, string expected)
    {
        SftSample sample = Sample(10);
        Assert.Equal(expected, string.Join('|', SftSamples.Cut(sample, 5, strategy).Select(piece => string.Join(' ', piece.Tokens))));
        Assert.All(SftSamples.Cut(sample, 5, strategy), piece => Assert.Equal(0, piece.Weights[0]));
    }

    [Fact]
    public void Every_row_comes_once_an_epoch_and_a_position_is_all_that_is_stored()
    {
        SftSample[] samples = [.. Enumerable.Range(2, 30).Select(Sample)];
        foreach (bool group in (bool[])[false, true])
        {
            var options = new SftRowOptions { MicroBatchSize = 2, GlobalBatchSize = 6, Epochs = 2, GroupByLength = group, Seed = 7 };
            var rows = new SftRows(samples, options);
            var again = new SftRows(samples, options);
            var seen = new List<int>();
            Assert.Equal(10, rows.Steps);
            while (true)
            {
                again.State = rows.State;
                IReadOnlyList<MicroBatch>? batch = rows.Next(0);
                int[] lengths = Lengths(batch);
                Assert.Equal(lengths, Lengths(again.Next(0)));
                if (batch is null)
                    break;
                seen.AddRange(lengths);
            }

            Assert.Equal(Enumerable.Range(2, 30), seen.Take(30).Order());
            Assert.Equal(Enumerable.Range(2, 30), seen.Skip(30).Order());
            Assert.NotEqual(seen.Take(30), group ? Enumerable.Range(2, 30) : seen.Skip(30));
            if (group)
                Assert.Equal(Enumerable.Range(2, 30).Reverse(), seen.Take(30));
        }
    }

    [Fact]
    public void A_state_of_other_data_is_refused()
    {
        var rows = new SftRows([Sample(4), Sample(5)], new SftRowOptions());
        Assert.Contains("3 rows", Assert.Throws<ModelFormatException>(() => rows.State = """{"row": 1, "rows": 3}""").Message, StringComparison.Ordinal);
    }

    private static int[] Lengths(IReadOnlyList<MicroBatch>? batch) => [.. (batch ?? []).SelectMany(micro => micro.Rows).Select(row => row.Sum(document => document.Tokens.Length))];

    private static HashSet<string> HeldOut(string path) => [.. SftDataset.Read([path]).Split(0.1, 1).HeldOut.Select(record => record.Text!)];

    private static SftSample Sample(int length) => new() { Tokens = [.. Enumerable.Range(0, length)], Weights = [.. Enumerable.Range(0, length).Select(i => i == 0 ? 0f : 1f)] };
}
