using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Json;

namespace Glimmer.Benchmarks.Comparison;

/// <summary>Draws the rows of a comparison: how many times better than its bar each one is, so that a bar that is met reaches beyond the line.</summary>
internal static class ComparisonPlot
{
    private const int LabelWidth = 520;
    private const int PlotWidth = 420;
    private const int RowHeight = 22;
    private const double Most = 3;

    /// <summary>Writes the picture.</summary>
    /// <param name="rows">Lines of JSON as the comparison prints them; of several with one name the last counts.</param>
    /// <param name="path">The SVG file.</param>
    public static void Write(IEnumerable<string> rows, string path)
    {
        var latest = new Dictionary<string, Row>();
        foreach (string line in rows.Where(line => line.Length > 0))
        {
            using JsonDocument document = JsonDocument.Parse(line);
            Row row = Read(document.RootElement);
            latest[row.Work] = row;
        }

        int height = ((latest.Count + 2) * RowHeight) + 16, width = LabelWidth + PlotWidth + 130;
        double one = LabelWidth + (PlotWidth / Most);
        var svg = new StringBuilder();
        Add(svg, $"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">");
        svg.Append("<style>text{fill:#333}.met{fill:#3a7d44}.missed{fill:#b5482f}line{stroke:#555}@media(prefers-color-scheme:dark){text{fill:#ddd}line{stroke:#aaa}}</style>");
        Add(svg, $"<text x=\"{one}\" y=\"16\" text-anchor=\"middle\">the bar</text>");
        int y = RowHeight + 4;
        foreach (Row row in latest.Values)
        {
            double length = Math.Min(Most, row.TimesBar) / Most * PlotWidth;
            Add(svg, $"<text x=\"{LabelWidth - 8}\" y=\"{y + 14}\" text-anchor=\"end\">{WebUtility.HtmlEncode(row.Work)}</text>");
            Add(svg, $"<rect x=\"{LabelWidth}\" y=\"{y + 3}\" width=\"{Math.Max(1, length):f1}\" height=\"{RowHeight - 6}\" class=\"{(row.IsMet ? "met" : "missed")}\"/>");
            Add(svg, $"<text x=\"{LabelWidth + Math.Max(length, PlotWidth / Most) + 6:f1}\" y=\"{y + 14}\">{row.Ratio:0.##} ({(row.AtMost ? "at most" : "at least")} {row.Bar:0.##})</text>");
            y += RowHeight;
        }

        Add(svg, $"<line x1=\"{one}\" x2=\"{one}\" y1=\"22\" y2=\"{y}\" stroke-dasharray=\"4 3\"/></svg>\n");
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
        File.WriteAllText(path, svg.ToString());
    }

    private static void Add(StringBuilder svg, FormattableString text) => svg.Append(text.ToString(CultureInfo.InvariantCulture));

    private static Row Read(JsonElement line)
    {
        double ratio = line.GetProperty("ratio").GetDouble(), bar = line.GetProperty("bar").GetDouble();
        bool atMost = line.TryGetProperty("at_most", out JsonElement most) && most.GetBoolean();
        double times = !atMost ? ratio / bar : ratio > 0 ? bar / ratio : 1;
        return new Row(line.GetProperty("work").GetString()!, ratio, bar, atMost, line.GetProperty("met").GetBoolean(), times);
    }

    private sealed record Row(string Work, double Ratio, double Bar, bool AtMost, bool IsMet, double TimesBar);
}
