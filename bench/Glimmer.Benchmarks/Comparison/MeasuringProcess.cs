using System.Diagnostics;
using System.Text.Json;

namespace Glimmer.Benchmarks.Comparison;

/// <summary>Runs a program that prints JSON lines. One at a time: both sides want all cores.</summary>
/// <param name="before">A command with its arguments that is put before each program (a lock that other users of the machine respect, <c>taskset</c>), or nothing.</param>
internal sealed class MeasuringProcess(string[] before)
{
    /// <summary>The lines it printed.</summary>
    /// <exception cref="InvalidOperationException">It failed; the message has the end of its error stream.</exception>
    public List<JsonElement> Run(string program, params ReadOnlySpan<string> args)
    {
        string[] all = [.. before, program, .. args];
        var start = new ProcessStartInfo(all[0], all[1..]) { RedirectStandardOutput = true, RedirectStandardError = true };
        using Process process = Process.Start(start)!;
        Task<string> errors = process.StandardError.ReadToEndAsync();
        var lines = new List<JsonElement>();
        while (process.StandardOutput.ReadLine() is { } line)
        {
            if (line.StartsWith('{'))
                lines.Add(JsonDocument.Parse(line).RootElement);
        }

        process.WaitForExit();
        string error = errors.GetAwaiter().GetResult();
        return process.ExitCode == 0
            ? lines
            : throw new InvalidOperationException($"'{string.Join(' ', all)}' ended with {process.ExitCode}: {error.Trim().Split('\n')[^1]}");
    }

    /// <summary>The line of a test.</summary>
    public static JsonElement Line(List<JsonElement> lines, string test, string? activations = null, int depth = 0) => lines.First(line =>
        line.TryGetProperty("test", out JsonElement name) && name.GetString() == test
        && (activations is null || line.GetProperty("activations").GetString() == activations) && line.GetProperty("depth").GetInt32() == depth);

    /// <summary>A number of a line; NaN where it is missing or null.</summary>
    public static double Number(JsonElement line, string name) =>
        line.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.Number ? value.GetDouble() : double.NaN;
}
