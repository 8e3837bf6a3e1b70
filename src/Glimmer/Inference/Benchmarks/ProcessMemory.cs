using System.Diagnostics;
using System.Globalization;

namespace Glimmer.Inference.Benchmarks;

/// <summary>Memory of this process.</summary>
/// <param name="Private">Resident bytes that are its own; null where the system does not tell (only Linux does).</param>
/// <param name="Mapped">Resident bytes of mapped files; null where the system does not tell.</param>
/// <param name="Peak">Most resident bytes so far.</param>
/// <param name="Weights">Packed weights.</param>
/// <param name="Cache">Keys and values of the largest test.</param>
public sealed record ProcessMemory(long? Private, long? Mapped, long Peak, long Weights, long Cache)
{
    internal static ProcessMemory Read(long weights, long cache)
    {
        using Process process = Process.GetCurrentProcess();
        const string Status = "/proc/self/status";
        string[] lines = OperatingSystem.IsLinux() && File.Exists(Status) ? File.ReadAllLines(Status) : [];
        return new ProcessMemory(Kilobytes(lines, "RssAnon:"), Kilobytes(lines, "RssFile:"), Kilobytes(lines, "VmHWM:") ?? process.PeakWorkingSet64, weights, cache);
    }

    private static long? Kilobytes(string[] lines, string key)
    {
        string? line = lines.FirstOrDefault(line => line.StartsWith(key, StringComparison.Ordinal));
        return line is null ? null : long.Parse(line.AsSpan(key.Length).Trim().ToString().Split(' ')[0], CultureInfo.InvariantCulture) * 1024;
    }
}
