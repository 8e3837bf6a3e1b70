using System.Globalization;
using System.Net;
using System.Text;

namespace Glimmer.Training.Plots;

/// <summary>One panel of a heat map.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Values">A row each, [rows][columns]: how much of an even share a cell has; 1 is even.</param>
public sealed record HeatPanel(string Name, IReadOnlyList<IReadOnlyList<double>> Values);

/// <summary>How loads spread over rows in the course of a run, as SVG: the stronger the colour, the more; an empty cell had nothing.</summary>
public sealed record HeatMap
{
    private const double Width = 760;
    private const double Left = 62;
    private const double Right = 18;
    private const int Levels = 10;
    private const double Most = 2.5;

    /// <summary>Title.</summary>
    public required string Title { get; init; }

    /// <summary>Panels from top to bottom.</summary>
    public required IReadOnlyList<HeatPanel> Panels { get; init; }

    /// <summary>Value at the left end of the horizontal axis.</summary>
    public double XFirst { get; init; }

    /// <summary>Value at its right end.</summary>
    public double XLast { get; init; }

    /// <summary>Name of the horizontal axis.</summary>
    public string XName { get; init; } = "step";

    /// <summary>Name of the rows.</summary>
    public string RowName { get; init; } = "expert";

    /// <summary>Draws the map.</summary>
    /// <param name="withStyle">Whether the style sheet is inside.</param>
    public string Svg(bool withStyle = true)
    {
        double[] heights = [.. Panels.Select(panel => Math.Clamp(panel.Values.Count * 8.0, 32, 160))];
        double height = 44 + heights.Sum(h => h + 26) + 30;
        var svg = new StringBuilder();
        svg.Append(CultureInfo.InvariantCulture, $"<svg class=\"glim-plot\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {Width} {height:0.#}\" role=\"img\" aria-label=\"{WebUtility.HtmlEncode(Title)}\">\n");
        if (withStyle)
            svg.Append(CultureInfo.InvariantCulture, $"<style>{PlotStyle.Css}</style>\n");
        svg.Append(CultureInfo.InvariantCulture, $"<rect class=\"bg\" width=\"{Width}\" height=\"{height:0.#}\" rx=\"8\"/>\n<text class=\"title\" x=\"{Left}\" y=\"24\">{WebUtility.HtmlEncode(Title)}</text>\n");
        Scale(svg);
        double top = 44;
        for (int i = 0; i < Panels.Count; i++)
        {
            svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{Left}\" y=\"{top + 12}\">{WebUtility.HtmlEncode(Panels[i].Name)}</text>\n");
            Panel(svg, Panels[i], top + 18, heights[i]);
            top += heights[i] + 26;
        }

        foreach (double tick in PlotStyle.Ticks(XFirst, Math.Max(XLast, XFirst + 1), 8))
            svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{Left + ((tick - XFirst) / Math.Max(XLast - XFirst, 1) * (Width - Left - Right)):0.0}\" y=\"{top + 10:0.0}\" text-anchor=\"middle\">{PlotStyle.Label(tick)}</text>\n");
        svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{Width - Right}\" y=\"{top + 26:0.0}\" text-anchor=\"end\">{WebUtility.HtmlEncode(XName)}</text>\n");
        return svg.Append("</svg>\n").ToString();
    }

    private static int LevelOf(double value) => double.IsFinite(value) ? (int)Math.Round(Math.Clamp(value / Most, 0, 1) * Levels) : 0;

    // Cells of one colour are one path, runs of equal cells one rectangle of it.
    private void Panel(StringBuilder svg, HeatPanel panel, double top, double height)
    {
        int rows = panel.Values.Count, columns = panel.Values[0].Count;
        double cellWidth = (Width - Left - Right) / columns, cellHeight = height / rows;
        var paths = new StringBuilder[Levels + 1];
        for (int row = 0; row < rows; row++)
        {
            for (int from = 0, to; from < columns; from = to)
            {
                int level = LevelOf(panel.Values[row][from]);
                for (to = from + 1; to < columns && LevelOf(panel.Values[row][to]) == level; to++)
                {
                }

                if (level > 0)
                    (paths[level] ??= new StringBuilder()).Append(CultureInfo.InvariantCulture, $"M{Left + (from * cellWidth):0.0} {top + (row * cellHeight):0.0}h{(to - from) * cellWidth:0.0}v{cellHeight:0.0}h{(from - to) * cellWidth:0.0}z");
            }
        }

        for (int level = 1; level <= Levels; level++)
        {
            if (paths[level] is { } path)
                svg.Append(CultureInfo.InvariantCulture, $"<path class=\"heat\" fill-opacity=\"{level / (double)Levels:0.0}\" d=\"{path}\"/>\n");
        }

        svg.Append(CultureInfo.InvariantCulture, $"<rect class=\"frame\" x=\"{Left}\" y=\"{top:0.0}\" width=\"{Width - Left - Right}\" height=\"{height:0.0}\"/>\n");
        svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{Left - 8}\" y=\"{top + 10:0.0}\" text-anchor=\"end\">{RowName} 0</text><text x=\"{Left - 8}\" y=\"{top + height - 1:0.0}\" text-anchor=\"end\">{rows - 1}</text>\n");
    }

    private static void Scale(StringBuilder svg)
    {
        const double Cell = 16, From = Width - Right - (Cell * (Levels + 1)) - 44;
        svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{From - 8}\" y=\"24\" text-anchor=\"end\">share of an even load: 0</text>\n");
        for (int level = 0; level <= Levels; level++)
            svg.Append(CultureInfo.InvariantCulture, $"<rect class=\"heat\" fill-opacity=\"{level / (double)Levels:0.0}\" x=\"{From + (level * Cell)}\" y=\"13\" width=\"{Cell}\" height=\"13\"/>\n");
        svg.Append(CultureInfo.InvariantCulture, $"<rect class=\"frame\" x=\"{From}\" y=\"13\" width=\"{Cell * (Levels + 1)}\" height=\"13\"/><text x=\"{From + (Cell * (Levels + 1)) + 6}\" y=\"24\">{Most}+</text>\n");
    }
}
