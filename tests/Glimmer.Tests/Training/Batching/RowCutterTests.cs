using CsCheck;
using Glimmer.Data.Mixing;
using Glimmer.Training.Batching;

namespace Glimmer.Tests.Training.Batching;

public class RowCutterTests
{
    [Fact]
    public void Every_pair_of_neighbours_is_learned_once_an_epoch()
    {
        int[][] documents = [[1, 2, 3, 4, 5, 6, 7], [10], [20, 21], [30, 31, 32]];
        var reader = new RowCutter(documents, rowLength: 3, seed: 4);
        var seen = new List<(int, int)>();
        while (seen.Count < 9)
        {
            IReadOnlyList<TrainingDocument> row = reader.Next();
            Assert.Equal(3, row.Sum(d => d.Tokens.Length));
            seen.AddRange(row.SelectMany(d => d.Tokens.Zip(d.Targets)));
        }

        Assert.Equal(documents.SelectMany(d => d.Zip(d.Skip(1))).Order(), seen.Order());
        Assert.Equal(new DocumentCursor(1, 0, 0), reader.Cursor);
    }

    [Fact]
    public void Reading_goes_on_from_a_cursor() =>
        Gen.Int[0, 40].Sample(stop =>
        {
            RowCutter whole = TinyRun.Data(9, rowLength: 11), rest = TinyRun.Data(9, rowLength: 11);
            for (int i = 0; i < stop; i++)
                whole.Next();
            rest.Cursor = whole.Cursor;
            for (int i = 0; i < 5; i++)
                Assert.Equal(whole.Next().Select(d => string.Join(' ', d.Tokens)), rest.Next().Select(d => string.Join(' ', d.Tokens)));
        });

    [Fact]
    public void Rows_of_a_mixture_go_on_from_their_state_after_json() =>
        Gen.Int[0, 40].Sample(stop =>
        {
            RowCutter whole = Mixed(), rest = Mixed();
            for (int i = 0; i < stop; i++)
                whole.Next();
            rest.State = RowCutterState.FromJson(whole.State.ToJson());
            for (int i = 0; i < 5; i++)
                Assert.Equal(whole.Next().Select(d => string.Join(' ', d.Tokens)), rest.Next().Select(d => string.Join(' ', d.Tokens)));
            Assert.Equal(whole.State.ToJson(), rest.State.ToJson());
        });

    [Fact]
    public void Sources_that_are_used_up_end_the_rows_with_an_error()
    {
        var reader = new RowCutter(new Mixture<int[]>([new MixtureSource<int[]>("a", [[1, 2, 3], [4, 5, 6]], 1) { MaxEpochs = 1 }], 1, d => d.Length), 2);
        reader.Next();
        reader.Next();
        Assert.Contains("after 6 tokens", Assert.Throws<InvalidOperationException>(() => reader.Next()).Message, StringComparison.Ordinal);
    }

    private static RowCutter Mixed()
    {
        int[][] Documents(int first, int count) => [.. Enumerable.Range(first, count).Select(i => Enumerable.Range(i * 10, 2 + i % 7).ToArray())];
        return new RowCutter(new Mixture<int[]>([new("a", Documents(1, 5), 3), new("b", Documents(20, 9), 1) { MaxEpochs = 1.5 }], 7, d => d.Length), 11);
    }
}
