using System.Text.Json;
using CsCheck;
using Glimmer.Training.Batching;
using Xunit.Abstractions;

namespace Glimmer.Tests.Training.Batching;

public class PackingTests(ITestOutputHelper output)
{
    public static TheoryData<string> BestFitFiles => Files("data/packing/best_fit.json");

    public static TheoryData<string> FillFiles => Files("training2/distributed/packing.json");

    public static TheoryData<string> SwiftFiles => Files("swift/packing.json");

    [SkippableTheory]
    [MemberData(nameof(BestFitFiles))]
    [Trait("Category", "Golden")]
    public void Rows_are_the_recorded_ones(string name)
    {
        Fixtures.SkipIfAbsent(name);
        using JsonDocument document = JsonDocument.Parse(File.ReadAllText(Path.Combine(Fixtures.Root!, name)));
        foreach (JsonElement json in document.RootElement.GetProperty("cases").EnumerateArray())
        {
            int[] lengths = Integers(json.GetProperty("lengths"));
            int context = json.GetProperty("context").GetInt32();
            IReadOnlyList<IReadOnlyList<PackedPiece>> rows = json.GetProperty("strategy").GetString() switch
            {
                "best_fit_split" => Packing.BestFit(lengths, context, LongDocuments.Split),
                "best_fit_truncate" => Packing.BestFit(lengths, context, LongDocuments.Truncate),
                "concatenate_and_cut" => Packing.ConcatenateAndCut(lengths, context),
                string strategy => throw new NotSupportedException($"The recording has the strategy {strategy}."),
                null => throw new NotSupportedException("The recording has no strategy."),
            };
            Assert.Equal(json.GetProperty("n_bins").GetInt32(), rows.Count);
            int kept = rows.Sum(row => row.Sum(piece => piece.Length));
            Assert.Equal(json.GetProperty("tokens_kept").GetInt32(), kept);
            Assert.Equal(Integers(json.GetProperty("sorted_free_space")), rows.Select(row => context - row.Sum(piece => piece.Length)).Order());
            Assert.Equal(json.GetProperty("padding_ratio").GetDouble(), rows.Count == 0 ? 0 : 1 - (kept / ((double)rows.Count * context)), 1e-12);
            int cut = rows.SelectMany(row => row).GroupBy(piece => piece.Document).Count(pieces => pieces.Count() > 1);
            Assert.Equal(json.GetProperty("cut_documents").GetInt32(), cut);

            // Large cases are recorded without their rows.
            if (!json.TryGetProperty("bins", out JsonElement bins))
                continue;
            Assert.Equal(
                bins.EnumerateArray().Select(bin => string.Join(' ', bin.EnumerateArray().Select(p => $"{p[0]}+{p[1]}+{p[2]}"))),
                rows.Select(row => string.Join(' ', row.Select(p => $"{p.Document}+{p.Start}+{p.Length}"))));
        }
    }

    [SkippableTheory]
    [MemberData(nameof(FillFiles))]
    [Trait("Category", "Golden")]
    public void Rows_are_as_full_as_those_of_other_packers(string name)
    {
        Fixtures.SkipIfAbsent(name);
        using JsonDocument document = JsonDocument.Parse(File.ReadAllText(Path.Combine(Fixtures.Root!, name)));
        foreach (JsonElement json in document.RootElement.GetProperty("sets").EnumerateArray())
        {
            int packs = Check(json.GetProperty("name").GetString()!, Integers(json.GetProperty("lengths")), json.GetProperty("capacity").GetInt32());
            foreach (JsonProperty packer in json.GetProperty("packers").EnumerateObject())
                Assert.True(packs <= packer.Value.GetProperty("bins").GetInt32(), $"{packs} rows, {packer.Name} needs {packer.Value.GetProperty("bins")}");
        }
    }

    [SkippableTheory]
    [MemberData(nameof(SwiftFiles))]
    [Trait("Category", "Golden")]
    public void Rows_are_no_more_than_those_of_ms_swift(string name)
    {
        Fixtures.SkipIfAbsent(name);
        using JsonDocument document = JsonDocument.Parse(File.ReadAllText(Path.Combine(Fixtures.Root!, name)));
        foreach (JsonElement json in document.RootElement.GetProperty("cases").EnumerateArray())
        {
            int packs = Check(json.GetProperty("name").GetString()!, Integers(json.GetProperty("lengths")), json.GetProperty("max_length").GetInt32());
            Assert.True(packs <= json.GetProperty("binpack").GetProperty("packs").GetInt32());
        }
    }

    [Fact]
    public void Every_token_is_in_one_row() =>
        Gen.Select(Gen.Int[0, 50].Array[0, 40], Gen.Int[1, 30]).Sample((lengths, capacity) =>
        {
            foreach (IReadOnlyList<IReadOnlyList<PackedPiece>> rows in new[] { Packing.BestFit(lengths, capacity, LongDocuments.Split), Packing.ConcatenateAndCut(lengths, capacity) })
            {
                Assert.All(rows, row => Assert.InRange(row.Sum(piece => piece.Length), 1, capacity));
                Assert.Equal(
                    lengths.SelectMany((length, document) => Enumerable.Range(0, length).Select(token => (document, token))),
                    rows.SelectMany(row => row).SelectMany(p => Enumerable.Range(p.Start, p.Length).Select(token => (p.Document, token))).Order());
            }
        });

    [Fact]
    public void Packed_documents_keep_their_targets()
    {
        TrainingDocument[] documents = [TrainingDocument.NextToken([1, 2, 3, 4, 5]), TrainingDocument.NextToken([6, 7], [true, false])];
        IReadOnlyList<IReadOnlyList<TrainingDocument>> rows = Packing.Rows(documents, Packing.BestFit([5, 2], 4, LongDocuments.Split));
        Assert.Equal([[2, 3, 4, 5], [-1, -1], [-1]], rows.SelectMany(row => row).Select(d => d.Targets));
    }

    private int Check(string name, int[] lengths, int capacity)
    {
        IReadOnlyList<IReadOnlyList<PackedPiece>> rows = Packing.BestFit(lengths, capacity, LongDocuments.Drop);
        Assert.All(rows, row => Assert.InRange(row.Sum(piece => piece.Length), 1, capacity));
        Assert.Equal(Enumerable.Range(0, lengths.Length).Where(i => lengths[i] <= capacity && lengths[i] > 0), rows.SelectMany(row => row).Select(piece => piece.Document).Order());
        output.WriteLine($"{name}: {rows.Count} rows, {rows.Sum(row => (double)row.Sum(p => p.Length)) / rows.Count / capacity:p2} full");
        return rows.Count;
    }

    private static int[] Integers(JsonElement list) => [.. list.EnumerateArray().Select(n => n.GetInt32())];

    private static TheoryData<string> Files(string name) => Fixtures.Rows(Fixtures.Root is not null && File.Exists(Path.Combine(Fixtures.Root, name)) ? [name] : null);
}
