using CsCheck;
using Glimmer.Training.Batching;

namespace Glimmer.Tests.Training.Batching;

public class RowCutterTests
{
    [Fact]
    public void The_order_of_an_epoch_has_every_item_once() =>
        Gen.Select(Gen.Int[1, 300], Gen.ULong, Gen.Long[0, 1000]).Sample(sample =>
        {
            (int count, ulong seed, long epoch) = sample;
            var order = new ShuffledOrder(count, seed);
            Assert.Equal(Enumerable.Range(0, count), Enumerable.Range(0, count).Select(i => order.At(epoch, i)).Order());
        });

    [Fact]
    public void Epochs_have_different_orders()
    {
        var order = new ShuffledOrder(100, 1);
        Assert.NotEqual(Enumerable.Range(0, 100).Select(i => order.At(0, i)), Enumerable.Range(0, 100).Select(i => order.At(1, i)));
    }

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
}
