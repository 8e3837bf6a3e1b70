using CsCheck;
using Glimmer.Data.Mixing;
using Glimmer.Training.Batching;

namespace Glimmer.Tests.Training.Batching;

public class RowSourceTests
{
    [Fact]
    public void Every_pair_of_neighbours_is_learned_once_an_epoch()
    {
        int[][] documents = [[1, 2, 3, 4, 5, 6, 7], [10], [20, 21], [30, 31, 32]];
        var rows = new CutRows(new Mixture<int[]>([new MixtureSource<int[]>("documents", documents, 1)], 4, d => d.Length), 3);
        var seen = new List<(int, int)>();
        while (seen.Count < 9)
        {
            IReadOnlyList<TrainingDocument> row = rows.Next()!;
            Assert.Equal(3, row.Sum(d => d.Tokens.Length));
            seen.AddRange(row.SelectMany(d => d.Tokens.Zip(d.Targets)));
        }

        Assert.Equal(documents.SelectMany(d => d.Zip(d.Skip(1))).Order(), seen.Order());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Rows_of_a_mixture_go_on_from_their_state(bool bestFit) =>
        Gen.Int[0, 40].Sample(stop =>
        {
            IRowSource whole = Mixed(bestFit, endless: true), rest = Mixed(bestFit, endless: true);
            for (int i = 0; i < stop; i++)
                whole.Next();
            rest.State = whole.State;
            for (int i = 0; i < 5; i++)
                Assert.Equal(Text(whole.Next()!), Text(rest.Next()!));
            Assert.Equal(whole.State, rest.State);
        });

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Sources_that_are_used_up_end_the_rows(bool bestFit)
    {
        IRowSource rows = Mixed(bestFit, endless: false);
        var tokens = 0;
        while (rows.Next() is { } row)
        {
            Assert.InRange(row.Sum(d => d.Tokens.Length), 1, 11);
            tokens += row.Sum(d => d.Tokens.Length);
        }

        // Five and nine documents of 2 to 8 tokens, of which all but the first are predicted.
        Assert.Equal(Documents(1, 5).Concat(Documents(20, 9)).Sum(d => d.Length - 1), tokens);
    }

    [Fact]
    public void Best_fit_cuts_no_document_that_fits()
    {
        IRowSource rows = Mixed(bestFit: true, endless: false);
        HashSet<string> documents = [.. Documents(1, 5).Concat(Documents(20, 9)).Select(d => string.Join(' ', d[..^1]))];
        while (rows.Next() is { } row)
            Assert.All(row, d => Assert.Contains(string.Join(' ', d.Tokens), documents));
    }

    [Fact]
    public void A_source_without_anything_to_predict_is_refused() =>
        Assert.Contains("'a'", Assert.Throws<ArgumentException>(() => new CutRows(new Mixture<int[]>([new("a", [[1], [2]], 1)], 1, d => d.Length), 4)).Message, StringComparison.Ordinal);

    private static IRowSource Mixed(bool bestFit, bool endless)
    {
        double times = endless ? double.PositiveInfinity : 1;
        var mixture = new Mixture<int[]>([new("a", Documents(1, 5), 3) { MaxEpochs = times }, new("b", Documents(20, 9), 1) { MaxEpochs = times }], 7, d => d.Length);
        return bestFit ? new BestFitRows(mixture, 11, LongDocuments.Split, 3) : new CutRows(mixture, 11);
    }

    private static int[][] Documents(int first, int count) => [.. Enumerable.Range(first, count).Select(i => Enumerable.Range(i * 10, 2 + (i % 7)).ToArray())];

    private static string[] Text(IReadOnlyList<TrainingDocument> row) => [.. row.Select(d => string.Join(' ', d.Tokens))];
}
