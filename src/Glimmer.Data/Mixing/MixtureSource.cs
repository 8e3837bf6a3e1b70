namespace Glimmer.Data.Mixing;

/// <summary>A part of a mixture.</summary>
/// <typeparam name="T">What it holds: token ids of a document, a record.</typeparam>
/// <param name="Name">Its name in recipes and states, unique in a mixture.</param>
/// <param name="Items">What it holds; read by index, so it may compute or map items instead of holding them.</param>
/// <param name="Weight">Its share is the weight divided by the sum of all weights.</param>
public sealed record MixtureSource<T>(string Name, IReadOnlyList<T> Items, double Weight)
{
    /// <summary>Times that the source may be read, with a fraction where the last time stops early. Then it is used up, and the others share what it would have given.</summary>
    public double MaxEpochs { get; init; } = double.PositiveInfinity;
}
