using Glimmer.Server.Http;

namespace Glimmer.Server;

/// <summary>Which names mean the served model.</summary>
/// <param name="options">Names and aliases.</param>
/// <param name="adapters">Names of loaded adapters: models of their own.</param>
internal sealed class ModelNames(ServerOptions options, Func<IReadOnlyList<string>> adapters)
{
    /// <summary>All names in lists: those served, and the adapters.</summary>
    public IReadOnlyList<string> Listed => [.. options.ModelNames, .. adapters()];

    /// <summary>Throws unless a name is known: served, an adapter, an alias, another case or the last path segment of a served one.</summary>
    /// <param name="name">What the client sent; null and empty mean the first.</param>
    /// <exception cref="ApiException">The name is unknown; the message lists those served.</exception>
    public void Require(string? name)
    {
        if (string.IsNullOrEmpty(name) || IsKnown(name))
            return;
        throw new ApiException(ApiErrorKind.NotFound, $"The model '{name}' does not exist. Served here: {string.Join(", ", Listed)}.", "model", "model_not_found");
    }

    /// <summary>Whether a name is known.</summary>
    public bool IsKnown(string name)
    {
        if (options.AcceptAnyModel || options.ModelNames.Contains(name, StringComparer.Ordinal) || adapters().Contains(name))
            return true;
        foreach (string alias in options.ModelAliases.Keys)
        {
            bool isMatch = alias.EndsWith('*') ? name.StartsWith(alias[..^1], StringComparison.OrdinalIgnoreCase) : name.Equals(alias, StringComparison.OrdinalIgnoreCase);
            if (isMatch)
                return true;
        }

        return options.ModelNames.Any(served =>
            served.Equals(name, StringComparison.OrdinalIgnoreCase) || served[(served.LastIndexOf('/') + 1)..].Equals(name, StringComparison.OrdinalIgnoreCase));
    }
}
