using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Glimmer.Environments.Evaluation;

/// <summary>Results of several evaluations side by side: a row a metric, a column a model or a stage of its training.</summary>
/// <remarks>Reads the objects that <c>glimmer eval --json</c> writes. A share has its number of samples and its 95 % Wilson interval, another value (bits per byte) its bound.</remarks>
public sealed class ReportCard
{
    private readonly List<string> _columns = [];
    private readonly List<string> _rows = [];
    private readonly Dictionary<(string Row, string Column), JsonObject> _cells = [];

    /// <summary>Adds the metrics of one evaluation.</summary>
    /// <param name="column">The model or stage.</param>
    /// <param name="suffix">Put behind the names of its metrics, such as <c>thinking</c>; null for nothing.</param>
    /// <param name="json">What the evaluation wrote.</param>
    /// <exception cref="ModelFormatException">It is no result of an evaluation.</exception>
    public void Add(string column, string? suffix, string json)
    {
        if (!_columns.Contains(column))
            _columns.Add(column);
        JsonObject metrics;
        try
        {
            metrics = JsonNode.Parse(json)?["metrics"] as JsonObject ?? throw new ModelFormatException($"The result for '{column}' has no 'metrics'; expected what 'glimmer eval --json' writes.");
        }
        catch (JsonException error)
        {
            throw new ModelFormatException($"The result for '{column}' is no JSON: {error.Message}", error);
        }

        foreach ((string name, JsonNode? value) in metrics)
        {
            string row = suffix is null ? name : $"{name}, {suffix}";
            if (!_rows.Contains(row))
                _rows.Add(row);
            _cells[(row, column)] = value!.DeepClone().AsObject();
        }
    }

    /// <summary>The card as a table of Markdown.</summary>
    public string ToMarkdown()
    {
        var text = new StringBuilder("| | ").AppendJoin(" | ", _columns).Append(" |\n| --- |").Append(string.Concat(_columns.Select(_ => " ---: |"))).Append('\n');
        foreach (string row in _rows)
            text.Append("| ").Append(row).Append(" | ").AppendJoin(" | ", _columns.Select(column => _cells.TryGetValue((row, column), out JsonObject? cell) ? Text(cell) : "")).Append(" |\n");
        return text.ToString();
    }

    /// <summary>The card as JSON: metrics by row and column.</summary>
    public string ToJson()
    {
        var json = new JsonObject();
        foreach (string row in _rows)
        {
            var columns = new JsonObject();
            foreach (string column in _columns.Where(column => _cells.ContainsKey((row, column))))
                columns[column] = _cells[(row, column)].DeepClone();
            json[row] = columns;
        }

        return json.ToJsonString(new JsonSerializerOptions { WriteIndented = true });
    }

    private static string Text(JsonObject cell)
    {
        double value = Number(cell, "value");
        if (!cell.ContainsKey("low"))
            return cell.ContainsKey("bound") ? Invariant($"{value:f3} (generator {Number(cell, "bound"):f3})") : Invariant($"{value:f3}");
        return Invariant($"{value * 100:f1} % ({Number(cell, "low") * 100:f0}-{Number(cell, "high") * 100:f0}, n {Number(cell, "n"):f0})");
    }

    private static double Number(JsonObject cell, string name) => cell[name] is JsonValue value && value.GetValueKind() == JsonValueKind.Number ? value.GetValue<double>() : double.NaN;

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
