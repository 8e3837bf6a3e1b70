using CsCheck;
using Glimmer.Data.Mixing;

namespace Glimmer.Tests.Data.Mixing;

public class ShuffledOrderTests
{
    [Fact]
    public void The_order_of_an_epoch_has_every_item_once() =>
        Gen.Select(Gen.Int[1, 300], Gen.ULong, Gen.Long[0, 1000]).Sample(sample =>
        {
            (int count, ulong seed, long epoch) = sample;
            var order = new ShuffledOrder(count, seed);
            Assert.Equal(Enumerable.Range(0, count).Select(i => (long)i), Enumerable.Range(0, count).Select(i => order.At(epoch, i)).Order());
        });

    [Fact]
    public void Epochs_have_different_orders()
    {
        var order = new ShuffledOrder(100, 1);
        Assert.NotEqual(Enumerable.Range(0, 100).Select(i => order.At(0, i)), Enumerable.Range(0, 100).Select(i => order.At(1, i)));
    }

    [Fact]
    public void Orders_of_more_items_than_32_bits_stay_inside()
    {
        var order = new ShuffledOrder(5_000_000_000, 3);
        long[] items = [.. Enumerable.Range(0, 1000).Select(i => order.At(0, 4_999_999_000 + i))];
        Assert.Equal(1000, items.Distinct().Count());
        Assert.All(items, item => Assert.InRange(item, 0, 4_999_999_999));
    }
}
