using System.Globalization;

namespace Glimmer.Training.Plots;

/// <summary>Colours and fonts of all plots, light and dark as the reader's system asks, and how numbers on axes are written.</summary>
internal static class PlotStyle
{
    /// <summary>Number of colours for lines; further lines start again.</summary>
    public const int Colours = 6;

    /// <summary>Style sheet: classes <c>s0</c> ... for lines, <c>t0</c> ... for their labels, <c>heat</c> for cells.</summary>
    public const string Css = """
        .glim-plot{--bg:#fff;--ink:#1f2328;--dim:#59636e;--grid:#e3e6ea;--c0:#2563eb;--c1:#c2570c;--c2:#047857;--c3:#be185d;--c4:#6d28d9;--c5:#0e7490;--heat:#1d4ed8}
        @media (prefers-color-scheme:dark){.glim-plot{--bg:#161b22;--ink:#e6edf3;--dim:#9198a1;--grid:#30363d;--c0:#6ea8fe;--c1:#f0a35e;--c2:#4fd1a1;--c3:#f58bbb;--c4:#b69cff;--c5:#5ad1e6;--heat:#7db0ff}}
        .glim-plot{font:12px system-ui,sans-serif}.glim-plot .bg{fill:var(--bg)}.glim-plot text{fill:var(--dim)}.glim-plot .title{fill:var(--ink);font-size:14px;font-weight:600}
        .glim-plot .grid{stroke:var(--grid);fill:none}.glim-plot .line{fill:none;stroke-width:1.8;stroke-linejoin:round}.glim-plot .raw{fill:none;stroke-width:1;opacity:.28}.glim-plot .heat{fill:var(--heat)}.glim-plot .frame{fill:none;stroke:var(--grid)}
        .glim-plot .s0{stroke:var(--c0)}.glim-plot .s1{stroke:var(--c1)}.glim-plot .s2{stroke:var(--c2)}.glim-plot .s3{stroke:var(--c3)}.glim-plot .s4{stroke:var(--c4)}.glim-plot .s5{stroke:var(--c5)}
        .glim-plot .t0{fill:var(--c0)}.glim-plot .t1{fill:var(--c1)}.glim-plot .t2{fill:var(--c2)}.glim-plot .t3{fill:var(--c3)}.glim-plot .t4{fill:var(--c4)}.glim-plot .t5{fill:var(--c5)}
        """;

    /// <summary>A number as a label: at most four digits, <c>12k</c>, <c>3e-4</c>.</summary>
    public static string Label(double value)
    {
        double size = Math.Abs(value);
        return size switch
        {
            0 => "0",
            >= 1e9 => Text(value / 1e9) + "G",
            >= 1e6 => Text(value / 1e6) + "M",
            >= 1e4 => Text(value / 1e3) + "k",
            >= 1e-3 => Text(value),
            _ => value.ToString("0.##e+0", CultureInfo.InvariantCulture),
        };

        static string Text(double x) => x.ToString("0.####", CultureInfo.InvariantCulture);
    }

    /// <summary>Round values between two limits, about as many as asked: steps of 1, 2 or 5 times a power of ten.</summary>
    public static IReadOnlyList<double> Ticks(double low, double high, int about)
    {
        double rough = (high - low) / about, power = Math.Pow(10, Math.Floor(Math.Log10(rough))), step = (rough / power) switch
        {
            < 1.5 => power,
            < 3.5 => 2 * power,
            < 7.5 => 5 * power,
            _ => 10 * power,
        };
        var ticks = new List<double>();
        for (double k = Math.Ceiling((low / step) - 1e-9); k * step <= high + (step * 1e-9); k++)
            ticks.Add(k * step);
        return ticks;
    }

    /// <summary>Values on a logarithmic axis: powers of ten, with 2 and 5 times them when there are few.</summary>
    public static IReadOnlyList<double> LogTicks(double low, double high)
    {
        int first = (int)Math.Floor(Math.Log10(low)), last = (int)Math.Ceiling(Math.Log10(high)), stride = Math.Max(1, (last - first) / 6);
        double[] factors = last - first <= 3 ? [1, 2, 5] : [1];
        return [.. Enumerable.Range(0, last - first + 1).Where(i => i % stride == 0).SelectMany(i => factors.Select(f => f * Math.Pow(10, first + i))).Where(v => v >= low * 0.999 && v <= high * 1.001)];
    }
}
