using System.Globalization;
using System.Reflection;
using System.Text.Json;
using Glimmer.Formats;
using Glimmer.Inference.Inspection;

namespace Glimmer.Training.Runs;

/// <summary>What a run ran on: program, runtime, system, processor, memory, threads.</summary>
public static class RunEnvironment
{
    /// <summary>Describes this process and machine, by name, in the order to show.</summary>
    /// <param name="threads">Threads that train; null when it is not known.</param>
    /// <param name="ranks">Processes that train together, each with so many threads.</param>
    public static IReadOnlyList<KeyValuePair<string, string>> Describe(int? threads = null, int ranks = 1)
    {
        string version = typeof(RunEnvironment).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "unknown";
        HardwareReport machine = HardwareReport.Read();
        var list = new List<KeyValuePair<string, string>>
        {
            new("glimmer", version),
            new("runtime", machine.Runtime),
            new("processor", machine.Processor),
            new("kernels", machine.Kernels.ToString()),
            new("cores", machine.Cores.ToString(CultureInfo.InvariantCulture)),
            new("memory", string.Create(CultureInfo.InvariantCulture, $"{machine.MemoryBytes / 1073741824.0:0.0} GiB")),
        };
        if (threads is { } count)
            list.Add(new("threads", count.ToString(CultureInfo.InvariantCulture)));
        if (ranks > 1)
            list.Add(new("ranks", ranks.ToString(CultureInfo.InvariantCulture)));
        return list;
    }

    /// <summary>Writes <c>environment.json</c> of a run.</summary>
    /// <param name="run">Folder of the run.</param>
    /// <param name="threads">Threads that train.</param>
    /// <param name="ranks">Processes that train together.</param>
    /// <exception cref="IOException">It cannot be written.</exception>
    public static void Write(string run, int? threads = null, int ranks = 1)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true }))
        {
            json.WriteStartObject();
            foreach ((string name, string value) in Describe(threads, ranks))
                json.WriteString(name, value);
            json.WriteEndObject();
        }

        AtomicFile.WriteAllBytes(RunFolder.Environment(run), stream.ToArray());
    }
}
