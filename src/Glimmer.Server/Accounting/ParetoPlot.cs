using System.Globalization;
using System.Net;
using System.Text;
using Glimmer.Chat;

namespace Glimmer.Server.Accounting;

/// <summary>One result of a model on a benchmark.</summary>
/// <param name="Model">The model.</param>
/// <param name="Benchmark">The benchmark.</param>
/// <param name="Score">Its score, higher is better.</param>
/// <param name="Count">Number of problems.</param>
/// <param name="Tokens">Tokens generated for all of them.</param>
/// <param name="Price">Price of a million generated tokens.</param>
public sealed record ModelResult(string Model, string Benchmark, double Score, int Count, double Tokens, double Price)
{
    /// <summary>Cost of one problem.</summary>
    public double CostPerProblem => Tokens * Price / 1e6 / Count;
}

/// <summary>Cost against quality: which models nobody beats in both.</summary>
public static class ParetoPlot
{
    private const int Width = 720;
    private const int Height = 460;
    private const int Margin = 64;

    /// <summary>Reads results: <c>[{"model", "benchmark", "score", "n", "tokens", "price"}, ...]</c>.</summary>
    /// <exception cref="FormatException">It has another form; the message says where.</exception>
    public static IReadOnlyList<ModelResult> Parse(string json)
    {
        DataArray list = DataValue.Parse(json) as DataArray ?? throw new FormatException("The results must be a JSON array.");
        return [.. list.Select((item, i) =>
        {
            DataObject result = item as DataObject ?? throw new FormatException($"[{i}]: expected an object.");
            var read = new ModelResult(Text(result, i, "model"), Text(result, i, "benchmark"), Number(result, i, "score"), (int)Number(result, i, "n"), Number(result, i, "tokens"), Number(result, i, "price"));
            return read.Count > 0 ? read : throw new FormatException($"[{i}].n: expected a positive number of problems.");
        })];
    }

    /// <summary>The results of a benchmark that no other one beats: none is both cheaper and better. Ascending in cost.</summary>
    public static IReadOnlyList<ModelResult> Frontier(IEnumerable<ModelResult> results)
    {
        var frontier = new List<ModelResult>();
        foreach (ModelResult result in results.OrderBy(result => result.CostPerProblem).ThenByDescending(result => result.Score))
        {
            if (frontier.Count == 0 || result.Score > frontier[^1].Score)
                frontier.Add(result);
        }

        return frontier;
    }

    /// <summary>Draws the results of one benchmark, cost on a logarithmic axis, the frontier as a line.</summary>
    public static string Svg(string benchmark, IReadOnlyList<ModelResult> results)
    {
        ArgumentNullException.ThrowIfNull(results);
        double least = results.Min(result => Math.Max(result.CostPerProblem, 1e-9)), most = results.Max(result => Math.Max(result.CostPerProblem, 1e-9));
        (double low, double high) = (Math.Log10(least) - 0.15, Math.Log10(most) + 0.35);
        (double bottom, double top) = (results.Min(result => result.Score), results.Max(result => result.Score));
        double room = Math.Max((top - bottom) * 0.12, 0.5);
        (bottom, top) = (bottom - room, top + room);
        var svg = new StringBuilder();
        svg.Append(CultureInfo.InvariantCulture, $"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {Width} {Height}\" font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"{Width}\" height=\"{Height}\" fill=\"#fff\"/>\n");
        svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{Margin}\" y=\"28\" font-size=\"17\">{WebUtility.HtmlEncode(benchmark)}: score against cost of a problem</text>\n");
        svg.Append(CultureInfo.InvariantCulture, $"<path d=\"M{Margin} {Margin}V{Height - Margin}H{Width - Margin / 2}\" fill=\"none\" stroke=\"#888\"/>\n");
        for (int power = (int)Math.Ceiling(low); power <= Math.Floor(high); power++)
            svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{X(Math.Pow(10, power)):0.0}\" y=\"{Height - Margin + 20}\" text-anchor=\"middle\" fill=\"#555\">{Math.Pow(10, power):0.#########}</text>\n");
        for (int i = 0; i <= 4; i++)
        {
            double score = bottom + ((top - bottom) * i / 4);
            svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{Margin - 8}\" y=\"{Y(score) + 4:0.0}\" text-anchor=\"end\" fill=\"#555\">{score:0.0}</text>\n");
        }

        svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{Width / 2}\" y=\"{Height - 16}\" text-anchor=\"middle\" fill=\"#555\">cost of a problem (log)</text>\n");
        string line = string.Join(' ', Frontier(results).Select(result => string.Create(CultureInfo.InvariantCulture, $"{X(result.CostPerProblem):0.0},{Y(result.Score):0.0}")));
        svg.Append(CultureInfo.InvariantCulture, $"<polyline points=\"{line}\" fill=\"none\" stroke=\"#2266cc\" stroke-width=\"2\"/>\n");
        foreach (ModelResult result in results)
        {
            double x = X(result.CostPerProblem), y = Y(result.Score);
            svg.Append(CultureInfo.InvariantCulture, $"<circle cx=\"{x:0.0}\" cy=\"{y:0.0}\" r=\"5\" fill=\"#2266cc\"/><text x=\"{x + 9:0.0}\" y=\"{y - 7:0.0}\">{WebUtility.HtmlEncode(result.Model)}</text>\n");
        }

        return svg.Append("</svg>\n").ToString();

        double X(double cost) => Margin + ((Math.Log10(Math.Max(cost, 1e-9)) - low) / (high - low) * (Width - (1.5 * Margin)));
        double Y(double score) => Height - Margin - ((score - bottom) / (top - bottom) * (Height - (2.0 * Margin)));
    }

    private static string Text(DataObject result, int index, string field) => result.Find(field)?.AsString ?? throw new FormatException($"[{index}].{field}: expected a text.");

    private static double Number(DataObject result, int index, string field) =>
        result.Find(field)?.AsNumber is { } number and >= 0 ? number : throw new FormatException($"[{index}].{field}: expected a number of at least 0.");
}
