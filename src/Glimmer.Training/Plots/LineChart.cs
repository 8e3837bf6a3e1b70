using System.Globalization;
using System.Net;
using System.Text;

namespace Glimmer.Training.Plots;

/// <summary>How a series is drawn.</summary>
public enum SeriesForm
{
    /// <summary>A line through the points.</summary>
    Line,

    /// <summary>The points as a faint line, their running mean as a strong one (when there are 60 or more).</summary>
    Smoothed,

    /// <summary>A line with a mark at each point: few points.</summary>
    Marks,

    /// <summary>A dashed line, for a reference.</summary>
    Dashed,
}

/// <summary>A series of a chart. Points that are not finite leave a gap.</summary>
/// <param name="Name">Its name in the legend.</param>
/// <param name="X">Ascending.</param>
/// <param name="Y">As many as <paramref name="X"/>.</param>
/// <param name="Form">How it is drawn.</param>
/// <param name="Colour">Number of its colour; negative for the next one.</param>
public sealed record ChartSeries(string Name, IReadOnlyList<double> X, IReadOnlyList<double> Y, SeriesForm Form = SeriesForm.Line, int Colour = -1);

/// <summary>A chart of lines as SVG.</summary>
/// <remarks>At most two points a pixel column are drawn, the lowest and the highest, so that a spike shows and a long run stays small.</remarks>
public sealed record LineChart
{
    private const double Width = 760;
    private const double Height = 320;
    private const double Left = 62;
    private const double Right = 18;
    private const double Top = 44;
    private const double Bottom = 46;
    private const double TitleLine = 24;
    private const double NameHeight = 16;

    /// <summary>Title.</summary>
    public required string Title { get; init; }

    /// <summary>Name of the horizontal axis.</summary>
    public string XName { get; init; } = "step";

    /// <summary>The lines.</summary>
    public required IReadOnlyList<ChartSeries> Series { get; init; }

    /// <summary>Whether the vertical axis is logarithmic; values that are not positive leave gaps.</summary>
    public bool LogY { get; init; }

    /// <summary>A value that the vertical axis must reach down to; null for the lowest point.</summary>
    public double? Floor { get; init; }

    /// <summary>Draws the chart.</summary>
    /// <param name="withStyle">Whether the style sheet is inside; a page that shows several has it once.</param>
    /// <exception cref="InvalidOperationException">There is no finite point.</exception>
    public string Svg(bool withStyle = true)
    {
        (double x0, double x1, double y0, double y1) = Limits();
        (double X, double Y)[] names = NamePlaces();
        double top = names.Length == 0 ? Top : Top + names[^1].Y - TitleLine;
        var svg = new StringBuilder();
        svg.Append(CultureInfo.InvariantCulture, $"<svg class=\"glim-plot\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {Width} {Height}\" role=\"img\" aria-label=\"{WebUtility.HtmlEncode(Title)}\">\n");
        if (withStyle)
            svg.Append(CultureInfo.InvariantCulture, $"<style>{PlotStyle.Css}</style>\n");
        svg.Append(CultureInfo.InvariantCulture, $"<rect class=\"bg\" width=\"{Width}\" height=\"{Height}\" rx=\"8\"/>\n<text class=\"title\" x=\"{Left}\" y=\"24\">{WebUtility.HtmlEncode(Title)}</text>\n");
        Axes();
        Legend();
        for (int i = 0; i < Series.Count; i++)
            Draw(Series[i], Colour(i));
        return svg.Append("</svg>\n").ToString();

        double X(double x) => Left + ((x - x0) / (x1 - x0) * (Width - Left - Right));
        double Y(double y) => Height - Bottom - ((LogY ? Math.Log(y / y0) / Math.Log(y1 / y0) : (y - y0) / (y1 - y0)) * (Height - top - Bottom));

        void Axes()
        {
            foreach (double tick in LogY ? PlotStyle.LogTicks(y0, y1) : PlotStyle.Ticks(y0, y1, 5))
                svg.Append(CultureInfo.InvariantCulture, $"<path class=\"grid\" d=\"M{Left} {Y(tick):0.0}H{Width - Right}\"/><text x=\"{Left - 8}\" y=\"{Y(tick) + 4:0.0}\" text-anchor=\"end\">{PlotStyle.Label(tick)}</text>\n");
            foreach (double tick in PlotStyle.Ticks(x0, x1, 8))
                svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{X(tick):0.0}\" y=\"{Height - Bottom + 18}\" text-anchor=\"middle\">{PlotStyle.Label(tick)}</text>\n");
            svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{Width - Right}\" y=\"{Height - 10}\" text-anchor=\"end\">{WebUtility.HtmlEncode(XName)}</text>\n");
        }

        void Legend()
        {
            for (int i = 0; i < names.Length; i++)
                svg.Append(CultureInfo.InvariantCulture, $"<text class=\"t{Colour(i)}\" x=\"{names[i].X:0.0}\" y=\"{names[i].Y:0.#}\">{WebUtility.HtmlEncode(Series[i].Name)}</text>\n");
        }

        void Draw(ChartSeries series, int colour)
        {
            double[] shown = [.. series.Y.Select(y => double.IsFinite(y) && (!LogY || y > 0) ? y : double.NaN)];
            bool smooth = series.Form == SeriesForm.Smoothed && shown.Length >= 60;
            svg.Append(CultureInfo.InvariantCulture, $"<path class=\"{(smooth ? "raw" : "line")} s{colour}\"{(series.Form == SeriesForm.Dashed ? " stroke-dasharray=\"5 4\"" : "")} d=\"{Path(series.X, shown)}\"/>\n");
            if (smooth)
                svg.Append(CultureInfo.InvariantCulture, $"<path class=\"line s{colour}\" d=\"{Path(series.X, RunningMean(shown))}\"/>\n");
            if (series.Form != SeriesForm.Marks)
                return;
            for (int i = 0; i < shown.Length; i++)
            {
                if (double.IsFinite(shown[i]))
                    svg.Append(CultureInfo.InvariantCulture, $"<circle class=\"t{colour}\" cx=\"{X(series.X[i]):0.0}\" cy=\"{Y(shown[i]):0.0}\" r=\"3\"><title>{series.X[i]:0.####}: {shown[i]:g6}</title></circle>\n");
            }
        }

        string Path(IReadOnlyList<double> x, double[] y)
        {
            var path = new StringBuilder();
            bool open = false;
            foreach (int i in Thinned(x, y, X))
            {
                if (!double.IsFinite(y[i]))
                {
                    open = false;
                    continue;
                }

                path.Append(CultureInfo.InvariantCulture, $"{(open ? 'L' : 'M')}{X(x[i]):0.0} {Y(y[i]):0.0}");
                open = true;
            }

            return path.ToString();
        }
    }

    // Where the names of several series stand: at the end of the title's line, or in lines of their own below it where there is no room.
    private (double X, double Y)[] NamePlaces()
    {
        if (Series.Count < 2)
            return [];
        var places = new (double X, double Y)[Series.Count];
        double[] widths = [.. Series.Select(series => (series.Name.Length * 6.6) + 16)];
        double all = widths.Sum(), beside = Width - Right - all;
        bool fits = beside >= Left + (Title.Length * 7.8);
        (double x, double y) = fits ? (beside, TitleLine) : (Left, TitleLine + NameHeight);
        for (int i = 0; i < places.Length; i++)
        {
            if (!fits && x > Left && x + widths[i] > Width - Right)
                (x, y) = (Left, y + NameHeight);
            places[i] = (x, y);
            x += widths[i];
        }

        return places;
    }

    /// <summary>A running mean that forgets over a fiftieth of the points, without a bias at the start.</summary>
    internal static double[] RunningMean(IReadOnlyList<double> y)
    {
        double keep = 1 - (1 / Math.Max(2, y.Count / 50.0)), sum = 0, weight = 0;
        var mean = new double[y.Count];
        for (int i = 0; i < y.Count; i++)
        {
            if (double.IsFinite(y[i]))
                (sum, weight) = ((sum * keep) + y[i], (weight * keep) + 1);
            mean[i] = weight > 0 ? sum / weight : double.NaN;
        }

        return mean;
    }

    private int Colour(int series) => (Series[series].Colour >= 0 ? Series[series].Colour : series) % PlotStyle.Colours;

    // Indices to draw: all when they are few, else the lowest and highest of each pixel column in their order; points that are not finite stay, as gaps.
    private static IEnumerable<int> Thinned(IReadOnlyList<double> x, double[] y, Func<double, double> pixel)
    {
        if (x.Count <= 2 * Width)
            return Enumerable.Range(0, x.Count);
        return Enumerable.Range(0, x.Count).GroupBy(i => ((int)pixel(x[i]), double.IsFinite(y[i]))).SelectMany(column =>
        {
            int[] items = [.. column];
            return column.Key.Item2 ? new[] { items.MinBy(i => y[i]), items.MaxBy(i => y[i]) }.Distinct().Order() : items.Take(1);
        }).Order();
    }

    private (double X0, double X1, double Y0, double Y1) Limits()
    {
        var points = Series.SelectMany(series => series.X.Zip(series.Y)).Where(point => double.IsFinite(point.Second) && (!LogY || point.Second > 0)).ToArray();
        if (points.Length == 0)
            throw new InvalidOperationException($"The chart '{Title}' has no finite point.");
        double x0 = points.Min(point => point.First), x1 = points.Max(point => point.First), y0 = points.Min(point => point.Second), y1 = points.Max(point => point.Second);
        y0 = Math.Min(y0, Floor ?? y0);
        if (x1 <= x0)
            (x0, x1) = (x0 - 1, x1 + 1);
        if (LogY)
            return y1 / y0 > 1.05 ? (x0, x1, y0 / Math.Pow(y1 / y0, 0.04), y1 * Math.Pow(y1 / y0, 0.04)) : (x0, x1, y0 / 1.5, y1 * 1.5);
        double room = y1 > y0 ? (y1 - y0) * 0.04 : Math.Max(Math.Abs(y1) * 0.1, 1e-12);
        return (x0, x1, y0 == Floor && y0 < y1 ? y0 : y0 - room, y1 + room);
    }
}
