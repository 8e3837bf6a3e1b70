using Glimmer.Chat;

namespace Glimmer.Server.Accounting;

/// <summary>Prices of models, per million tokens.</summary>
/// <param name="Input">Of prompt tokens that were computed.</param>
/// <param name="Cached">Of prompt tokens from the prefix cache.</param>
/// <param name="Output">Of generated tokens, reasoning included.</param>
public sealed record Price(decimal Input, decimal Cached, decimal Output);

/// <summary>Which model costs what. A JSON file: <c>{"glm-4.7": {"input": 0.6, "cached": 0.11, "output": 2.2}, "*": {...}}</c>; <c>*</c> at the end of a name stands for any ending.</summary>
public sealed class PriceTable
{
    private static readonly Price s_free = new(0, 0, 0);
    private readonly List<(string Name, Price Price)> _prices;

    private PriceTable(List<(string Name, Price Price)> prices) => _prices = prices;

    /// <summary>Everything is free.</summary>
    public static PriceTable Free { get; } = new([]);

    /// <summary>Reads a table.</summary>
    /// <param name="json">The file's text.</param>
    /// <exception cref="FormatException">It has another form; the message says where.</exception>
    public static PriceTable Parse(string json)
    {
        DataObject table = DataValue.Parse(json) as DataObject ?? throw new FormatException("The price table must be a JSON object of models.");
        var prices = new List<(string, Price)>();
        foreach ((string model, DataValue value) in table)
        {
            DataObject entry = value as DataObject ?? throw new FormatException($"'{model}': expected an object with input, cached and output.");
            prices.Add((model, new Price(Number(entry, model, "input"), Number(entry, model, "cached"), Number(entry, model, "output"))));
        }

        return new PriceTable(prices);
    }

    /// <summary>The cost of a request.</summary>
    public decimal Cost(UsageRecord record)
    {
        ArgumentNullException.ThrowIfNull(record);
        Price price = Of(record.Model);
        return (((record.Prompt - record.Cached) * price.Input) + (record.Cached * price.Cached) + (record.Output * price.Output)) / 1_000_000m;
    }

    /// <summary>Adds requests up by key, day or model.</summary>
    /// <param name="records">The requests.</param>
    /// <param name="group">What they are grouped by.</param>
    public IReadOnlyList<UsageSum> Sum(IEnumerable<UsageRecord> records, Func<UsageRecord, string> group) =>
        [.. records.GroupBy(group, StringComparer.Ordinal).OrderBy(items => items.Key, StringComparer.Ordinal).Select(items => new UsageSum(
            items.Key, items.Count(), items.Sum(item => item.Prompt), items.Sum(item => item.Cached), items.Sum(item => item.Output), items.Sum(item => item.Reasoning), items.Sum(Cost)))];

    private Price Of(string model)
    {
        foreach ((string name, Price price) in _prices)
        {
            if (name.EndsWith('*') ? model.StartsWith(name[..^1], StringComparison.OrdinalIgnoreCase) : model.Equals(name, StringComparison.OrdinalIgnoreCase))
                return price;
        }

        return s_free;
    }

    private static decimal Number(DataObject entry, string model, string field) =>
        entry.Find(field)?.AsNumber is { } number and >= 0 ? (decimal)number : throw new FormatException($"'{model}.{field}': expected a price per million tokens.");
}
