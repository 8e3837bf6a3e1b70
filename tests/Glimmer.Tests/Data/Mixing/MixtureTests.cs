using CsCheck;
using Glimmer.Data.Mixing;

namespace Glimmer.Tests.Data.Mixing;

public class MixtureTests
{
    [Fact]
    public void Proportions_of_sizes_stay_within_two_items_of_the_weights() =>
        Gen.Select(Gen.Int[1, 9], Gen.Int[1, 9], Gen.Int[1, 9], Gen.ULong).Sample(sample =>
        {
            (int a, int b, int c, ulong seed) = sample;
            Mixture<int> mixture = Create(seed, (a, 5, double.PositiveInfinity), (b, 17, double.PositiveInfinity), (c, 2, double.PositiveInfinity));
            for (int i = 0; i < 500; i++)
            {
                Assert.True(mixture.TryNext(out _));
                MixtureState state = mixture.State;
                double[] weights = [a, b, c];
                for (int source = 0; source < 3; source++)
                    Assert.InRange(state.Sources[source].Emitted - weights[source] / weights.Sum() * state.Emitted, -2 * MaxSize, 2 * MaxSize);
            }
        }, iter: 50);

    [Fact]
    public void Every_epoch_of_a_source_has_every_item_once()
    {
        Mixture<int> mixture = Create(5, (1, 7, double.PositiveInfinity), (2, 3, double.PositiveInfinity));
        var items = new Dictionary<(int, long), List<int>>();
        for (int i = 0; i < 200; i++)
        {
            Assert.True(mixture.TryNext(out MixtureItem<int> item));
            if (!items.TryGetValue((item.Source, item.Epoch), out List<int>? list))
                items.Add((item.Source, item.Epoch), list = []);
            list.Add(item.Item);
        }

        foreach (((int source, long epoch), List<int> list) in items)
        {
            if (epoch < mixture.State.Sources[source].Epoch)
                Assert.Equal(mixture.Sources[source].Items.Order(), list.Order());
        }

        Assert.True(items.Count > 10);
    }

    [Fact]
    public void A_state_gives_the_same_items_again_after_json() =>
        Gen.Select(Gen.Int[0, 300], Gen.ULong).Sample(sample =>
        {
            (int stop, ulong seed) = sample;
            Mixture<int> whole = Create(seed, (3, 11, double.PositiveInfinity), (1, 4, 3.2), (1, 90, 1)), rest = Create(seed, (3, 11, double.PositiveInfinity), (1, 4, 3.2), (1, 90, 1));
            for (int i = 0; i < stop; i++)
                whole.TryNext(out _);
            rest.State = MixtureState.FromJson(whole.State.ToJson());
            for (int i = 0; i < 50; i++)
            {
                Assert.Equal(whole.TryNext(out MixtureItem<int> expected), rest.TryNext(out MixtureItem<int> actual));
                Assert.Equal(expected, actual);
            }
        }, iter: 100);

    [Fact]
    public void Sources_are_read_as_often_as_they_may_be_and_then_the_mixture_ends()
    {
        Mixture<int> mixture = Create(1, (1, 10, 3.2), (1, 5, 1));
        int[] counts = [0, 0];
        while (mixture.TryNext(out MixtureItem<int> item))
            counts[item.Source]++;
        Assert.Equal([32, 5], counts);
        Assert.False(mixture.TryNext(out _));
    }

    [Fact]
    public void States_of_other_sources_are_refused()
    {
        Mixture<int> mixture = Create(1, (1, 10, 1), (1, 5, 1)), other = Create(1, (1, 10, 1));
        Assert.Contains("'source0', the mixture has 'source0', 'source1'", Assert.Throws<ArgumentException>(() => mixture.State = other.State).Message, StringComparison.Ordinal);
        Assert.Contains("the data changed", Assert.Throws<ArgumentException>(() => other.State = new MixtureState([new SourceState("source0", 0, 10, 0)])).Message, StringComparison.Ordinal);
        Assert.Throws<FormatException>(() => MixtureState.FromJson("{\"sources\":[]}"));
        Assert.Throws<FormatException>(() => MixtureState.FromJson("nothing"));
    }

    [Fact]
    public void Impossible_sources_are_refused()
    {
        Assert.Throws<ArgumentException>(() => Create(1));
        Assert.Contains("is empty", Assert.Throws<ArgumentException>(() => Create(1, (1, 0, 1))).Message, StringComparison.Ordinal);
        Assert.Contains("weight 0", Assert.Throws<ArgumentException>(() => Create(1, (0, 1, 1))).Message, StringComparison.Ordinal);
        Assert.Contains("read 0 times", Assert.Throws<ArgumentException>(() => Create(1, (1, 1, 0))).Message, StringComparison.Ordinal);
        Assert.Contains("Two sources", Assert.Throws<ArgumentException>(() => new Mixture<int>([new("a", [1], 1), new("a", [2], 1)], 1, _ => 1)).Message, StringComparison.Ordinal);
    }

    private const int MaxSize = 13;

    private static Mixture<int> Create(ulong seed, params (double Weight, int Count, double MaxEpochs)[] sources) =>
        new([.. sources.Select((source, i) => new MixtureSource<int>($"source{i}", [.. Enumerable.Range(0, source.Count)], source.Weight) { MaxEpochs = source.MaxEpochs })], seed, item => 1 + item % MaxSize);
}
