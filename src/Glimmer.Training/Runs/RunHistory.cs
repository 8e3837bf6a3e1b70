using System.Text.Json;

namespace Glimmer.Training.Runs;

/// <summary>A step as the log has it; what is not finite is NaN.</summary>
public sealed record LoggedStep
{
    /// <summary>Number of the step, from 0.</summary>
    public required long Step { get; init; }

    /// <summary>When it ended.</summary>
    public DateTimeOffset? Time { get; init; }

    /// <summary>Figures by their names in the log: <c>loss</c>, <c>grad_norm</c>, <c>lr</c>, <c>tokens_per_second</c> ...; a member that is a list gives <c>mtp_loss/1</c>, <c>max_vio/1</c> ..., losses by source <c>channel_loss/NAME</c></summary>
    public required IReadOnlyDictionary<string, double> Figures { get; init; }

    /// <summary>Tokens of each expert by router.</summary>
    public required IReadOnlyDictionary<string, long[]> ExpertTokens { get; init; }

    /// <summary>The parameter for whose gradient the step was skipped.</summary>
    public string? SkippedBecauseOf { get; init; }

    /// <summary>A figure, or NaN.</summary>
    public double this[string name] => Figures.TryGetValue(name, out double value) ? value : double.NaN;
}

/// <summary>An evaluation between two steps.</summary>
/// <param name="Steps">Steps taken.</param>
/// <param name="Figures">Figures by name; what is not finite is NaN.</param>
public sealed record LoggedEvaluation(long Steps, IReadOnlyDictionary<string, double> Figures);

/// <summary>What the model said between two steps.</summary>
/// <param name="Steps">Steps taken.</param>
/// <param name="Prompt">What it was given.</param>
/// <param name="Text">What it answered.</param>
public sealed record LoggedSample(long Steps, string Prompt, string Text);

/// <summary>An event between two steps.</summary>
/// <param name="Steps">Steps taken.</param>
/// <param name="Time">When.</param>
/// <param name="Text">One sentence.</param>
public sealed record LoggedNote(long Steps, DateTimeOffset? Time, string Text);

/// <summary>The log of a run, read back.</summary>
public sealed class RunHistory
{
    private RunHistory(string run) => Folder = run;

    /// <summary>Folder of the run.</summary>
    public string Folder { get; }

    /// <summary>Steps in order.</summary>
    public IReadOnlyList<LoggedStep> Steps { get; private init; } = [];

    /// <summary>Evaluations in order.</summary>
    public IReadOnlyList<LoggedEvaluation> Evaluations { get; private init; } = [];

    /// <summary>Samples in order.</summary>
    public IReadOnlyList<LoggedSample> Samples { get; private init; } = [];

    /// <summary>Notes in order.</summary>
    public IReadOnlyList<LoggedNote> Notes { get; private init; } = [];

    /// <summary>Reads the log of a run, which may still go on: a last line that is not whole yet is left out.</summary>
    /// <param name="run">Folder of the run.</param>
    /// <exception cref="FileNotFoundException">The folder holds no log.</exception>
    /// <exception cref="FormatException">A line is no log line; the message has its number.</exception>
    public static RunHistory Read(string run)
    {
        string path = RunFolder.Log(run);
        if (!File.Exists(path))
            throw new FileNotFoundException($"'{run}' is not the folder of a training run: it has no {Path.GetFileName(path)}.", path);
        List<LoggedStep> steps = [];
        List<LoggedEvaluation> evaluations = [];
        List<LoggedSample> samples = [];
        List<LoggedNote> notes = [];
        using var reader = new StreamReader(new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite));
        for (int number = 1; reader.ReadLine() is { } line; number++)
        {
            try
            {
                using JsonDocument json = JsonDocument.Parse(line);
                Add(json.RootElement);
            }
            catch (JsonException) when (reader.Peek() < 0)
            {
                break; // being written, or cut when the process died
            }
            catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
            {
                throw new FormatException($"'{path}', line {number}: {e.Message}", e);
            }
        }

        return new RunHistory(run) { Steps = steps, Evaluations = evaluations, Samples = samples, Notes = notes };

        void Add(JsonElement json)
        {
            if (json.TryGetProperty("step", out JsonElement step))
                steps.Add(StepOf(json, step.GetInt64()));
            else if (json.TryGetProperty("eval", out JsonElement eval))
                evaluations.Add(new LoggedEvaluation(Place(json), eval.EnumerateObject().ToDictionary(figure => figure.Name, figure => Number(figure.Value), StringComparer.Ordinal)));
            else if (json.TryGetProperty("sample", out JsonElement sample))
                samples.Add(new LoggedSample(Place(json), sample.GetProperty("prompt").GetString() ?? "", sample.GetProperty("text").GetString() ?? ""));
            else
                notes.Add(new LoggedNote(Place(json), Time(json), json.GetProperty("note").GetString() ?? ""));
        }
    }

    private static LoggedStep StepOf(JsonElement json, long step)
    {
        var figures = new Dictionary<string, double>(StringComparer.Ordinal);
        var experts = new Dictionary<string, long[]>(StringComparer.Ordinal);
        foreach (JsonProperty member in json.EnumerateObject())
        {
            switch (member.Value.ValueKind)
            {
                case JsonValueKind.Number or JsonValueKind.Null:
                    figures[member.Name] = Number(member.Value);
                    break;
                case JsonValueKind.Array:
                    int index = 0;
                    foreach (JsonElement item in member.Value.EnumerateArray())
                        figures[FormattableString.Invariant($"{member.Name}/{++index}")] = Number(item);
                    break;
                case JsonValueKind.Object when member.Name == "channel_loss":
                    foreach (JsonProperty channel in member.Value.EnumerateObject())
                        figures[$"{member.Name}/{channel.Name}"] = Number(channel.Value);
                    break;
                case JsonValueKind.Object when member.Name == "expert_tokens":
                    foreach (JsonProperty router in member.Value.EnumerateObject())
                        experts[router.Name] = [.. router.Value.EnumerateArray().Select(count => count.GetInt64())];
                    break;
            }
        }

        return new LoggedStep
        {
            Step = step,
            Time = Time(json),
            Figures = figures,
            ExpertTokens = experts,
            SkippedBecauseOf = json.TryGetProperty("skipped_because_of", out JsonElement name) ? name.GetString() : null,
        };
    }

    private static long Place(JsonElement json) => json.GetProperty("steps").GetInt64();

    private static DateTimeOffset? Time(JsonElement json) => json.TryGetProperty("time", out JsonElement time) && time.TryGetDateTimeOffset(out DateTimeOffset value) ? value : null;

    private static double Number(JsonElement value) => value.ValueKind == JsonValueKind.Null ? double.NaN : value.GetDouble();
}
