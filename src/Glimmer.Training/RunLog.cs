using System.Text;
using System.Text.Json;
using Glimmer.Training.Balance;
using Glimmer.Training.Runs;

namespace Glimmer.Training;

/// <summary>The log of a run: JSON objects, one a line. Steps, and what happens between them: evaluations, samples, notes.</summary>
/// <remarks>
/// <para>A step has the member <c>step</c>, its number from 0. Everything else has <c>steps</c>, the number of steps taken by then.</para>
/// <para>A log that exists is continued: lines of steps that are taken again after a resume are removed first, so that each step stands in it once. Every line is
/// flushed.</para>
/// </remarks>
public sealed class RunLog : IDisposable
{
    private readonly FileStream _file;
    private readonly TimeProvider _time;

    private RunLog(FileStream file, TimeProvider time) => (_file, _time, Continues) = (file, time, file.Length > 0);

    /// <summary>Whether the log held lines when it was opened.</summary>
    internal bool Continues { get; }

    /// <summary>Opens a log.</summary>
    /// <param name="path">A <c>.jsonl</c> file.</param>
    /// <param name="nextStep">First step that will be written; later ones in the file are removed, with what happened after them.</param>
    /// <param name="time">Clock of the time stamps.</param>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static RunLog Open(string path, long nextStep = 0, TimeProvider? time = null)
    {
        var file = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read);
        try
        {
            file.SetLength(LengthBefore(file, nextStep));
            file.Seek(0, SeekOrigin.End);
            return new RunLog(file, time ?? TimeProvider.System);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Writes one step.</summary>
    /// <param name="report">What the step did.</param>
    /// <param name="seconds">How long it took.</param>
    /// <param name="cost">What it took from the machine; null where that is not known.</param>
    public void Write(StepReport report, double seconds, StepCost? cost = null) => Line(json =>
    {
        json.WriteNumber("step", report.Step);
        json.WriteString("time", _time.GetUtcNow());
        json.WriteNumber("tokens_seen", report.TokensSeen);
        Number(json, "loss", report.Loss);
        Numbers(json, "mtp_loss", report.NextTokenLosses);
        Number(json, "mtp_weight", report.NextTokenWeight);
        Numbers(json, "balance_loss", report.BalanceLosses);
        if (report.IndexerLosses.Count > 0)
            Numbers(json, "indexer_loss", report.IndexerLosses);
        if (report.ChannelLosses.Count > 0)
        {
            json.WriteStartObject("channel_loss");
            foreach ((string channel, double loss) in report.ChannelLosses)
                Number(json, channel, loss);
            json.WriteEndObject();
        }

        Number(json, "objective", report.Objective);
        Number(json, "grad_norm", report.GradientNorm);
        Number(json, "clip", report.ClipFactor);
        Number(json, "lr", report.LearningRate);
        Numbers(json, "max_vio", [.. report.Experts.Select(load => load.MaxVio)]);
        json.WriteStartObject("expert_tokens");
        foreach (ExpertLoad load in report.Experts)
        {
            json.WriteStartArray(load.Router);
            foreach (long count in load.Counts)
                json.WriteNumberValue(count);
            json.WriteEndArray();
        }

        json.WriteEndObject();
        json.WriteNumber("tokens", report.Tokens);
        Number(json, "target_weight", report.TargetWeight);
        Number(json, "seconds", seconds);
        Number(json, "tokens_per_second", seconds > 0 ? report.Tokens / seconds : 0);
        if (cost is { } now)
        {
            json.WriteNumber("memory_bytes", now.MemoryBytes);
            Number(json, "elapsed_seconds", now.Elapsed.TotalSeconds);
            if (now.Remaining is { } remaining)
                Number(json, "remaining_seconds", remaining.TotalSeconds);
            if (now.ShareOfPeak is { } share)
                Number(json, "share_of_peak", share);
        }

        if (report.SkippedBecauseOf is { } name)
            json.WriteString("skipped_because_of", name);
    });

    /// <summary>Writes the figures of an evaluation between two steps, before the checkpoint of that place is saved.</summary>
    /// <param name="steps">Steps taken.</param>
    /// <param name="figures">Figures by name, for example <c>valid_loss</c>, <c>mtp_acceptance</c>.</param>
    public void WriteEvaluation(long steps, IReadOnlyDictionary<string, double> figures) => Line(json =>
    {
        Place(json, steps);
        json.WriteStartObject("eval");
        foreach ((string name, double value) in figures)
            Number(json, name, value);
        json.WriteEndObject();
    });

    /// <summary>Writes what the model says between two steps.</summary>
    /// <param name="steps">Steps taken.</param>
    /// <param name="prompt">What it was given.</param>
    /// <param name="text">What it answered.</param>
    public void WriteSample(long steps, string prompt, string text) => Line(json =>
    {
        Place(json, steps);
        json.WriteStartObject("sample");
        json.WriteString("prompt", prompt);
        json.WriteString("text", text);
        json.WriteEndObject();
    });

    /// <summary>Writes an event: the run was resumed, a checkpoint was passed over, Ctrl-C came.</summary>
    /// <param name="steps">Steps taken.</param>
    /// <param name="note">One sentence.</param>
    public void WriteNote(long steps, string note) => Line(json =>
    {
        Place(json, steps);
        json.WriteString("note", note);
    });

    /// <summary>A figure of all evaluations that the log holds, in order, with the steps taken by then.</summary>
    /// <param name="figure">Its name.</param>
    public IReadOnlyList<(long Steps, double Value)> Evaluations(string figure)
    {
        var values = new List<(long, double)>();
        _file.Seek(0, SeekOrigin.Begin);
        using (var reader = new StreamReader(_file, leaveOpen: true))
        {
            while (reader.ReadLine() is { } line)
            {
                using JsonDocument json = JsonDocument.Parse(line);
                if (json.RootElement.TryGetProperty("eval", out JsonElement eval) && eval.TryGetProperty(figure, out JsonElement value) && value.ValueKind == JsonValueKind.Number)
                    values.Add((json.RootElement.GetProperty("steps").GetInt64(), value.GetDouble()));
            }
        }

        _file.Seek(0, SeekOrigin.End);
        return values;
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    private void Place(Utf8JsonWriter json, long steps)
    {
        json.WriteNumber("steps", steps);
        json.WriteString("time", _time.GetUtcNow());
    }

    // A line is one write: who reads while the run goes on sees whole lines.
    private void Line(Action<Utf8JsonWriter> members)
    {
        using var line = new MemoryStream();
        using (var json = new Utf8JsonWriter(line))
        {
            json.WriteStartObject();
            members(json);
            json.WriteEndObject();
        }

        line.WriteByte((byte)'\n');
        _file.Write(line.GetBuffer().AsSpan(0, (int)line.Length));
        _file.Flush();
    }

    // JSON has no NaN; a value that is not finite is written as null.
    private static void Number(Utf8JsonWriter json, string name, double value)
    {
        json.WritePropertyName(name);
        Value(json, value);
    }

    private static void Numbers(Utf8JsonWriter json, string name, IReadOnlyList<double> values)
    {
        json.WriteStartArray(name);
        foreach (double value in values)
            Value(json, value);
        json.WriteEndArray();
    }

    private static void Value(Utf8JsonWriter json, double value)
    {
        if (double.IsFinite(value))
            json.WriteNumberValue(value);
        else
            json.WriteNullValue();
    }

    // Bytes of the whole lines before the first one that is taken again: a step of nextStep or later, an event after more steps than that.
    private static long LengthBefore(FileStream file, long nextStep)
    {
        long length = 0;
        using var reader = new StreamReader(file, leaveOpen: true);
        while (reader.ReadLine() is { } line)
        {
            long end = length + Encoding.UTF8.GetByteCount(line) + 1;
            if (end > file.Length || PlaceOf(line) is not { } place || place > nextStep)
                break;
            length = end;
        }

        return length;
    }

    // The number of steps taken after a line; null for a line that was cut when the process died.
    private static long? PlaceOf(string line)
    {
        try
        {
            using JsonDocument json = JsonDocument.Parse(line);
            if (json.RootElement.ValueKind != JsonValueKind.Object)
                return null;
            if (json.RootElement.TryGetProperty("step", out JsonElement step) && step.TryGetInt64(out long number))
                return number + 1;
            return json.RootElement.TryGetProperty("steps", out step) && step.TryGetInt64(out number) ? number : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }
}
