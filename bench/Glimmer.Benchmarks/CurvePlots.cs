using System.Globalization;
using System.Text;
using Glimmer.Training.Plots;

namespace Glimmer.Benchmarks;

/// <summary><c>curves DIR FILE.svg</c>: recorded training curves over ours, a chart each, from the files that the golden tests leave in DIR when GLIMMER_CURVES names it.</summary>
internal static class CurvePlots
{
    private const int Columns = 2;
    private const int Width = 760;
    private const int Height = 320;
    private const int Gap = 12;

    /// <summary>Runs the command.</summary>
    public static int Run(string[] args)
    {
        if (args.Length != 2 || !Directory.Exists(args[0]))
        {
            Console.Error.WriteLine("Usage: curves DIR FILE.svg, with DIR as the golden tests left it: GLIMMER_CURVES=DIR dotnet test --filter Category=Golden");
            return 2;
        }

        string[] files = [.. Directory.EnumerateFiles(args[0], "*.csv").Order(StringComparer.Ordinal)];
        if (files.Length == 0)
        {
            Console.Error.WriteLine($"'{args[0]}' holds no curves.");
            return 1;
        }

        int rows = (files.Length + Columns - 1) / Columns, width = (Columns * (Width + Gap)) - Gap, height = (rows * (Height + Gap)) - Gap;
        var page = new StringBuilder(string.Create(CultureInfo.InvariantCulture, $"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\">\n"));
        for (int i = 0; i < files.Length; i++)
        {
            string chart = Chart(files[i]).Svg(withStyle: i == 0);
            page.Append("<svg ").Append(CultureInfo.InvariantCulture, $"x=\"{i % Columns * (Width + Gap)}\" y=\"{i / Columns * (Height + Gap)}\" width=\"{Width}\" height=\"{Height}\" ").Append(chart.AsSpan("<svg ".Length));
        }

        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(args[1]))!);
        File.WriteAllText(args[1], page.Append("</svg>\n").ToString());
        Console.WriteLine($"{args[1]}: {files.Length} curves");
        return 0;
    }

    private static LineChart Chart(string file)
    {
        double[][] points = [.. File.ReadLines(file).Skip(1).Select(line => line.Split(',').Select(text => double.Parse(text, CultureInfo.InvariantCulture)).ToArray())];
        double[] steps = [.. points.Select(point => point[0])];
        double largest = points.Max(point => Math.Abs(point[1] - point[2]));
        string name = Path.GetFileNameWithoutExtension(file);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{name}: {points.Length} steps, largest difference {largest:g3}"));
        return new LineChart
        {
            Title = string.Create(CultureInfo.InvariantCulture, $"{name.Replace('_', ' ')}, at most {largest:0.#e+0} apart"),
            // The recorded one is drawn last: its dashes lie on our line where the two agree.
            Series = [new ChartSeries("ours", steps, [.. points.Select(point => point[2])]), new ChartSeries("recorded", steps, [.. points.Select(point => point[1])], SeriesForm.Dashed)],
        };
    }
}
