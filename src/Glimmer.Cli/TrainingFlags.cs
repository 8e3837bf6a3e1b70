using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;

namespace Glimmer.Cli;

/// <summary>Flags in the spelling of training tools: <c>--lora_rank 8</c>, <c>--lora-rank=8</c>, lists behind one flag, <c>--packing true</c>; with the older names of each.</summary>
/// <remarks>Values come from the command line or from a recipe file, and are checked when they are asked for.</remarks>
internal sealed class TrainingFlags
{
    private readonly Dictionary<string, Option<string[]>> _options = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Option<string[]>> _hyphenated = new(StringComparer.Ordinal);
    private readonly List<(string Name, string Why)> _withoutEffect = [];
    private ParseResult? _parsed;

    /// <summary>A flag with one value.</summary>
    public TrainingFlags One(string names, string description) => Add(names, description, ArgumentArity.ExactlyOne);

    /// <summary>A flag with several values.</summary>
    public TrainingFlags Many(string names, string description) => Add(names, description, ArgumentArity.OneOrMore);

    /// <summary>A switch: alone, or followed by true or false.</summary>
    public TrainingFlags Switch(string names, string description) => Add(names, description, ArgumentArity.ZeroOrOne);

    /// <summary>A flag of other tools that changes nothing here; it is accepted and says so.</summary>
    public TrainingFlags WithoutEffect(string names, string why)
    {
        _withoutEffect.Add((names.Split('|')[0], why));
        return Add(names, $"No effect: {why}.", ArgumentArity.ZeroOrMore);
    }

    /// <summary>Adds the flags to a command.</summary>
    public TrainingFlags AddTo(Command command)
    {
        foreach (Option<string[]> option in _options.Values.Concat(_hyphenated.Values))
            command.Add(option);
        return this;
    }

    /// <summary>Takes over what was given.</summary>
    /// <exception cref="UsageException">A flag that takes several values was followed by what looks like a misspelt flag.</exception>
    public void Read(ParseResult parsed)
    {
        _parsed = parsed;
        foreach (Option<string[]> option in _options.Values.Concat(_hyphenated.Values).Where(option => option.AllowMultipleArgumentsPerToken))
        {
            if (parsed.GetResult(option)?.Tokens.FirstOrDefault(token => token.Value.StartsWith("--", StringComparison.Ordinal)) is { Value: var flag })
                throw new UsageException($"'{flag}' is no flag of '{parsed.CommandResult.Command.Name}'.{LayeredOptions.Nearest(flag, _options.Values.SelectMany(known => known.Aliases.Prepend(known.Name)))}");
        }
    }

    /// <summary>Flags that were given although they change nothing, each with the reason.</summary>
    public IEnumerable<string> Notices => _withoutEffect.Where(flag => Has(flag.Name)).Select(flag => $"--{flag.Name} has no effect here: {flag.Why}.");

    /// <summary>Every flag that was given, with its values.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> Given => [.. _options.Where(option => Has(option.Key)).Select(option => KeyValuePair.Create(option.Key, Values(option.Key) is { Length: > 0 } values ? string.Join(' ', values) : "true"))];

    /// <summary>Whether a flag was given.</summary>
    public bool Has(string name) => Result(name) is not null;

    /// <summary>The text of a flag, or null.</summary>
    public string? Text(string name) => Has(name) ? Values(name)[^1] : null;

    /// <summary>The values of a flag; empty when it was not given.</summary>
    public IReadOnlyList<string> List(string name) => Has(name) ? Values(name) : [];

    /// <summary>A switch.</summary>
    public bool Flag(string name, bool otherwise)
    {
        if (!Has(name))
            return otherwise;
        string text = Values(name).LastOrDefault() ?? "true";
        return bool.TryParse(text, out bool value) ? value : throw new UsageException($"--{name} is '{text}'; expected true or false.");
    }

    /// <summary>A number, or null.</summary>
    public double? Number(string name, double minimum = 0)
    {
        if (Text(name) is not { } text)
            return null;
        return double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double value) && value >= minimum && double.IsFinite(value) ? value
            : throw new UsageException(string.Create(CultureInfo.InvariantCulture, $"--{name} is '{text}'; expected a number of {minimum} or more."));
    }

    /// <summary>A whole number, or null.</summary>
    public int? Whole(string name, int minimum = 0)
    {
        if (Text(name) is not { } text)
            return null;
        return int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int value) && value >= minimum ? value
            : throw new UsageException(string.Create(CultureInfo.InvariantCulture, $"--{name} is '{text}'; expected a whole number of {minimum} or more."));
    }

    /// <summary>One of some words.</summary>
    public T Choice<T>(string name, T otherwise, params ReadOnlySpan<(string Word, T Value)> choices)
    {
        if (Text(name) is not { } text)
            return otherwise;
        foreach ((string word, T value) in choices)
        {
            if (word == text)
                return value;
        }

        throw new UsageException($"--{name} is '{text}'; expected one of {string.Join(", ", choices.ToArray().Select(choice => choice.Word))}.");
    }

    private string[] Values(string name) => [.. Result(name)!.Tokens.Select(token => token.Value)];

    // Recipe files give the spelling with hyphens, and what the command line says comes first.
    private OptionResult? Result(string name) => _parsed?.GetResult(_options[name]) is { Implicit: false } given ? given
        : _hyphenated.TryGetValue(name, out Option<string[]>? other) && _parsed?.GetResult(other) is { Implicit: false } hyphenated ? hyphenated : null;

    private TrainingFlags Add(string names, string description, ArgumentArity arity)
    {
        string[] all = names.Split('|'), hyphenated = [.. all.Where(name => name.Contains('_', StringComparison.Ordinal)).Select(name => name.Replace('_', '-'))];
        _options.Add(all[0], Create(all));
        if (hyphenated.Length > 0)
        {
            Option<string[]> other = Create(hyphenated);
            other.Hidden = true;
            _hyphenated.Add(all[0], other);
        }

        return this;

        Option<string[]> Create(string[] spellings)
        {
            var option = new Option<string[]>("--" + spellings[0])
            {
                Description = description,
                Arity = arity,
                AllowMultipleArgumentsPerToken = arity.MaximumNumberOfValues > 1,
                HelpName = arity.MinimumNumberOfValues == 0 ? "true|false" : "value",
                // Values are read as they stand; the parser of the command line needs none.
                CustomParser = _ => [],
            };
            foreach (string name in spellings[1..])
                option.Aliases.Add("--" + name);
            return option;
        }
    }
}
