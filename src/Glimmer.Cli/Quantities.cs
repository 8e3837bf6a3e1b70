namespace Glimmer.Cli;

/// <summary>Numbers as people read them.</summary>
internal static class Quantities
{
    /// <summary>Bytes in binary units: <c>93.5 MiB</c>.</summary>
    public static string Bytes(long bytes)
    {
        string[] units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        double value = bytes;
        int unit = 0;
        for (; value >= 1024 && unit < units.Length - 1; unit++)
            value /= 1024;
        return unit == 0 ? $"{bytes} B" : $"{value:f1} {units[unit]}";
    }

    /// <summary>Parameters in millions or billions: <c>134.5 M</c>.</summary>
    public static string Parameters(long count) => count switch
    {
        >= 1_000_000_000 => $"{count / 1e9:f2} B",
        >= 1_000_000 => $"{count / 1e6:f1} M",
        >= 1_000 => $"{count / 1e3:f1} K",
        _ => $"{count}",
    };
}
