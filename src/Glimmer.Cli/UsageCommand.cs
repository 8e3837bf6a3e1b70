using System.CommandLine;
using System.Globalization;
using Glimmer.Server.Accounting;
using Spectre.Console;

namespace Glimmer.Cli;

/// <summary><c>glimmer usage</c>: what a server's requests used and cost.</summary>
internal sealed class UsageCommand : Command
{
    private readonly Terminal _terminal;
    private readonly Option<string> _database = new("--db") { Description = "The log that 'serve --usage-db' writes: a SQLite file, or a connection string of PostgreSQL.", Required = true, HelpName = "database" };
    private readonly Option<string> _by = new("--by") { Description = "Group by key, day or model.", DefaultValueFactory = _ => "day" };
    private readonly Option<string?> _from = new("--from") { Description = "First day, such as 2026-11-01.", HelpName = "date" };
    private readonly Option<string?> _prices = new("--prices") { Description = "JSON file with prices of models, per million tokens.", HelpName = "path" };
    private readonly Option<bool> _csv = new("--csv") { Description = "Print comma-separated values." };

    public UsageCommand(Terminal terminal)
        : base("usage", "Show what the requests of a server used and cost.")
    {
        _terminal = terminal;
        _by.AcceptOnlyFromAmong("key", "day", "model");
        foreach (Option option in (ReadOnlySpan<Option>)[_database, _by, _from, _prices, _csv])
            Add(option);
        SetAction((parsed, _) => ExecuteAsync(parsed));
        Add(new ParetoCommand(terminal));
    }

    private async Task<int> ExecuteAsync(ParseResult parsed)
    {
        DateTimeOffset? from = null;
        if (parsed.GetValue(_from) is { } text)
        {
            from = DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out DateTimeOffset day)
                ? day
                : throw new UsageException($"--from is '{text}'; expected a date such as 2026-11-01.");
        }

        string database = parsed.GetValue(_database)!;
        if (!database.Contains("Host=", StringComparison.OrdinalIgnoreCase) && !File.Exists(database))
            throw new UsageException($"There is no usage log '{database}'. 'glimmer serve --usage-db' writes one.");
        PriceTable prices = parsed.GetValue(_prices) is { } path ? PriceTable.Parse(await File.ReadAllTextAsync(path, _terminal.Interrupted)) : PriceTable.Free;
        await using UsageLog log = UsageLog.Open(database);
        IReadOnlyList<UsageRecord> records = await log.ReadAsync(from, _terminal.Interrupted);
        string by = parsed.GetValue(_by)!;
        IReadOnlyList<UsageSum> sums = prices.Sum(records, by switch
        {
            "key" => record => record.Key,
            "model" => record => record.Model,
            _ => record => record.Time.UtcDateTime.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture),
        });
        if (parsed.GetValue(_csv))
        {
            _terminal.Output.WriteLine($"{by},requests,prompt,cached,output,reasoning,cost");
            foreach (UsageSum sum in sums)
                _terminal.Output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"\"{sum.Group.Replace("\"", "\"\"", StringComparison.Ordinal)}\",{sum.Requests},{sum.Prompt},{sum.Cached},{sum.Output},{sum.Reasoning},{sum.Cost}"));
            return ExitCodes.Success;
        }

        Table table = _terminal.NewTable(by, "#requests", "#prompt", "#cached", "#output", "#reasoning", "#cost");
        foreach (UsageSum sum in sums)
            Terminal.AddRow(table, sum.Group, $"{sum.Requests:n0}", $"{sum.Prompt:n0}", $"{sum.Cached:n0}", $"{sum.Output:n0}", $"{sum.Reasoning:n0}", sum.Cost.ToString("0.000000", CultureInfo.InvariantCulture));
        _terminal.Write(table);
        return ExitCodes.Success;
    }
}
