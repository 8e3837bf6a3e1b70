using System.Text.RegularExpressions;
using Glimmer.Models;
using Glimmer.Operations;

namespace Glimmer.Training.Optimizers;

/// <summary>Which parameters of a model are trained. The rest stays as it is, of any type, and has no gradient and no optimizer state.</summary>
/// <remarks>The rules of ms-swift: what freezes comes first, what trains overrides it.</remarks>
public sealed record ParameterSelection
{
    /// <summary>Beginnings of names that are frozen; an empty string freezes everything.</summary>
    public IReadOnlyList<string> Frozen { get; init; } = [];

    /// <summary>A regular expression that freezes the names it is found in; null for none.</summary>
    public string? FrozenPattern { get; init; }

    /// <summary>Share of the model's numbers, in the order of the model, that is frozen: whole parameters, as long as they fit.</summary>
    public double FrozenRatio { get; init; }

    /// <summary>Beginnings of names that are trained although something else freezes them.</summary>
    public IReadOnlyList<string> Trained { get; init; } = [];

    /// <summary>A regular expression that trains the names it is found in; null for none.</summary>
    public string? TrainedPattern { get; init; }

    /// <summary>The parameters that are trained.</summary>
    /// <exception cref="ArgumentException">None is left, or the ratio makes no sense.</exception>
    public IReadOnlyList<Parameter> Of(CausalLm model)
    {
        ArgumentNullException.ThrowIfNull(model);
        if (!(FrozenRatio is >= 0 and <= 1))
            throw new ArgumentException($"FrozenRatio is {FrozenRatio}; it must be between 0 and 1.");
        Parameter[] all = [.. model.Parameters.Where(parameter => !parameter.IsBuffer)];
        double room = FrozenRatio * all.Sum(parameter => (double)parameter.Count);
        var trained = new List<Parameter>();
        foreach (Parameter parameter in all)
        {
            bool fits = FrozenRatio > 0 && (room -= parameter.Count) >= 0;
            bool frozen = fits || Frozen.Any(start => parameter.Name.StartsWith(start, StringComparison.Ordinal)) || Finds(FrozenPattern, parameter.Name);
            if (!frozen || Trained.Any(start => parameter.Name.StartsWith(start, StringComparison.Ordinal)) || Finds(TrainedPattern, parameter.Name))
                trained.Add(parameter);
        }

        return trained.Count > 0 ? trained : throw new ArgumentException("Every parameter of the model is frozen; nothing would be trained.");
    }

    private static bool Finds(string? pattern, string name) => pattern is not null && Regex.IsMatch(name, pattern);
}
