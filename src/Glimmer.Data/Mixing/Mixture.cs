using System.Diagnostics.CodeAnalysis;

namespace Glimmer.Data.Mixing;

/// <summary>An item of a mixture and where it comes from.</summary>
/// <param name="Source">Number of its source.</param>
/// <param name="Epoch">Times that the source had been read to the end before.</param>
/// <param name="Item">The item.</param>
public readonly record struct MixtureItem<T>(int Source, long Epoch, T Item);

/// <summary>Takes items from several sources in given proportions, each source in a new seeded order every epoch.</summary>
/// <remarks>
/// Deficit round robin: the next item comes from the source with the largest <c>share * emitted - emitted of the source</c>, where sizes count, not items; ties go to the first. No random number
/// decides between sources, so proportions are exact to within one item, and the whole state is (epoch, index, emitted) a source. Orders are <see cref="ShuffledOrder"/> with the seed and
/// the number of the source.
/// </remarks>
/// <typeparam name="T">What sources hold.</typeparam>
public sealed class Mixture<T>
{
    private readonly Func<T, long> _size;
    private readonly ShuffledOrder[] _orders;
    private readonly long[] _limits;
    private readonly SourceState[] _states;

    /// <summary>Creates a mixture at its beginning.</summary>
    /// <param name="sources">The sources.</param>
    /// <param name="seed">Seed of the orders.</param>
    /// <param name="size">Size of an item in the unit of the proportions, at least 0: its tokens, or 1.</param>
    /// <exception cref="ArgumentException">A name occurs twice, a source is empty, or a weight or number of epochs is not above 0.</exception>
    public Mixture(IReadOnlyList<MixtureSource<T>> sources, ulong seed, Func<T, long> size)
    {
        ArgumentNullException.ThrowIfNull(sources);
        ArgumentNullException.ThrowIfNull(size);
        if (sources.Count == 0)
            throw new ArgumentException("A mixture needs at least one source.", nameof(sources));
        foreach (MixtureSource<T> source in sources)
        {
            if (source.Items.Count == 0)
                throw new ArgumentException($"Source '{source.Name}' is empty; leave it out.", nameof(sources));
            if (!(source.Weight > 0 && double.IsFinite(source.Weight)))
                throw new ArgumentException($"Source '{source.Name}' has weight {source.Weight}; expected a number above 0.", nameof(sources));
            if (!(source.MaxEpochs > 0))
                throw new ArgumentException($"Source '{source.Name}' may be read {source.MaxEpochs} times; expected a number above 0.", nameof(sources));
            if (sources.Count(other => other.Name == source.Name) > 1)
                throw new ArgumentException($"Two sources are called '{source.Name}'; names must differ.", nameof(sources));
        }

        (Sources, _size) = (sources, size);
        _orders = [.. sources.Select((source, i) => new ShuffledOrder(source.Items.Count, seed + (ulong)i * 0x9E3779B97F4A7C15))];
        _limits = [.. sources.Select(source => double.IsPositiveInfinity(source.MaxEpochs) ? long.MaxValue : (long)Math.Ceiling(source.MaxEpochs * source.Items.Count))];
        _states = [.. sources.Select(source => new SourceState(source.Name, 0, 0, 0))];
    }

    /// <summary>The sources.</summary>
    public IReadOnlyList<MixtureSource<T>> Sources { get; }

    /// <summary>Where the mixture stands: before the next item. Setting it goes on there.</summary>
    /// <exception cref="ArgumentException">The state belongs to other sources.</exception>
    public MixtureState State
    {
        get => new([.. _states]);
        set
        {
            ArgumentNullException.ThrowIfNull(value);
            if (value.Sources.Count != _states.Length || value.Sources.Where((source, i) => source.Name != _states[i].Name).Any())
            {
                throw new ArgumentException(
                    $"The state belongs to the sources {Names(value.Sources.Select(source => source.Name))}, the mixture has {Names(Sources.Select(source => source.Name))}. Go on with the recipe that wrote it.");
            }

            for (int i = 0; i < _states.Length; i++)
            {
                if (value.Sources[i].Index >= Sources[i].Items.Count)
                    throw new ArgumentException($"The state stands at item {value.Sources[i].Index} of source '{Sources[i].Name}', which has {Sources[i].Items.Count}: the data changed.");
                _states[i] = value.Sources[i];
            }
        }
    }

    /// <summary>Takes the next item.</summary>
    /// <param name="item">The item.</param>
    /// <returns>False when every source is used up.</returns>
    public bool TryNext([MaybeNullWhen(false)] out MixtureItem<T> item)
    {
        int chosen = Next();
        if (chosen < 0)
        {
            item = default;
            return false;
        }

        SourceState state = _states[chosen];
        MixtureSource<T> source = Sources[chosen];
        T value = source.Items[(int)_orders[chosen].At(state.Epoch, state.Index)];
        bool ends = state.Index + 1 == source.Items.Count;
        _states[chosen] = state with { Epoch = ends ? state.Epoch + 1 : state.Epoch, Index = ends ? 0 : state.Index + 1, Emitted = state.Emitted + _size(value) };
        item = new MixtureItem<T>(chosen, state.Epoch, value);
        return true;
    }

    /// <summary>The source whose share is furthest behind among those that are not used up; -1 when all are.</summary>
    private int Next()
    {
        double weights = 0, emitted = 0;
        for (int i = 0; i < _states.Length; i++)
        {
            if (IsUsedUp(i))
                continue;
            weights += Sources[i].Weight;
            emitted += _states[i].Emitted;
        }

        int best = -1;
        double most = double.NegativeInfinity;
        for (int i = 0; i < _states.Length; i++)
        {
            if (IsUsedUp(i))
                continue;
            double deficit = Sources[i].Weight / weights * emitted - _states[i].Emitted;
            if (deficit > most)
                (best, most) = (i, deficit);
        }

        return best;
    }

    private bool IsUsedUp(int source) => _limits[source] != long.MaxValue && _states[source].Epoch * Sources[source].Items.Count + _states[source].Index >= _limits[source];

    private static string Names(IEnumerable<string> names) => string.Join(", ", names.Select(name => $"'{name}'"));
}
