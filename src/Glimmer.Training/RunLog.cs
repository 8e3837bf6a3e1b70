using System.Text.Json;
using Glimmer.Training.Loops;

namespace Glimmer.Training;

/// <summary>The log of a run: one JSON object a step, one a line.</summary>
/// <remarks>
/// A log that exists is continued: lines of steps that are taken again after a resume are removed first, so that each step stands in it once. Every line is
/// flushed.
/// </remarks>
public sealed class RunLog : IDisposable
{
    private readonly FileStream _file;
    private readonly TimeProvider _time;

    private RunLog(FileStream file, TimeProvider time) => (_file, _time) = (file, time);

    /// <summary>Opens a log.</summary>
    /// <param name="path">A <c>.jsonl</c> file.</param>
    /// <param name="nextStep">First step that will be written; later ones in the file are removed.</param>
    /// <param name="time">Clock of the time stamps.</param>
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
    public void Write(StepReport report, double seconds)
    {
        using (var json = new Utf8JsonWriter(_file))
        {
            json.WriteStartObject();
            json.WriteNumber("step", report.Step);
            json.WriteString("time", _time.GetUtcNow());
            json.WriteNumber("tokens_seen", report.TokensSeen);
            Number(json, "loss", report.Loss);
            Numbers(json, "mtp_loss", report.NextTokenLosses);
            Number(json, "mtp_weight", report.NextTokenWeight);
            Numbers(json, "balance_loss", report.BalanceLosses);
            Number(json, "objective", report.Objective);
            Number(json, "grad_norm", report.GradientNorm);
            Number(json, "clip", report.ClipFactor);
            Number(json, "lr", report.LearningRate);
            Numbers(json, "max_vio", [.. report.Experts.Select(load => load.MaxVio)]);
            json.WriteNumber("tokens", report.Tokens);
            Number(json, "target_weight", report.TargetWeight);
            Number(json, "seconds", seconds);
            Number(json, "tokens_per_second", seconds > 0 ? report.Tokens / seconds : 0);
            if (report.SkippedBecauseOf is { } name)
                json.WriteString("skipped_because_of", name);
            json.WriteEndObject();
        }

        _file.WriteByte((byte)'\n');
        _file.Flush();
    }

    /// <summary>Writes figures on held-out rows.</summary>
    /// <param name="step">The step after which they were measured.</param>
    /// <param name="figures">The figures.</param>
    public void WriteEvaluation(long step, HeldOutLoss figures)
    {
        using (var json = new Utf8JsonWriter(_file))
        {
            json.WriteStartObject();
            json.WriteNumber("step", step);
            json.WriteString("time", _time.GetUtcNow());
            Number(json, "eval_loss", figures.Loss);
            Number(json, "eval_accuracy", figures.Accuracy);
            if (!double.IsNaN(figures.NextTokenAcceptance))
                Number(json, "eval_mtp_acceptance", figures.NextTokenAcceptance);
            Number(json, "eval_target_weight", figures.TargetWeight);
            json.WriteEndObject();
        }

        _file.WriteByte((byte)'\n');
        _file.Flush();
    }

    /// <summary>Losses on held-out rows that the log holds, in order.</summary>
    public IReadOnlyList<double> EvaluationLosses()
    {
        var losses = new List<double>();
        _file.Seek(0, SeekOrigin.Begin);
        using (var reader = new StreamReader(_file, leaveOpen: true))
        {
            while (reader.ReadLine() is { } line)
            {
                using JsonDocument json = JsonDocument.Parse(line);
                if (json.RootElement.TryGetProperty("eval_loss", out JsonElement loss) && loss.ValueKind == JsonValueKind.Number)
                    losses.Add(loss.GetDouble());
            }
        }

        _file.Seek(0, SeekOrigin.End);
        return losses;
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

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

    // Bytes of the whole lines before the first one of nextStep or later.
    private static long LengthBefore(FileStream file, long nextStep)
    {
        long length = 0;
        using var reader = new StreamReader(file, leaveOpen: true);
        string text = reader.ReadToEnd();
        for (int start = 0, end; (end = text.IndexOf('\n', start)) >= 0; start = end + 1)
        {
            string line = text[start..end];
            if (StepOf(line) is not { } step || step >= nextStep)
                break;
            length += System.Text.Encoding.UTF8.GetByteCount(line) + 1;
        }

        return length;
    }

    private static long? StepOf(string line)
    {
        try
        {
            using JsonDocument json = JsonDocument.Parse(line);
            return json.RootElement.ValueKind == JsonValueKind.Object && json.RootElement.TryGetProperty("step", out JsonElement step) && step.TryGetInt64(out long number) ? number : null;
        }
        catch (JsonException)
        {
            return null; // a line that was cut when the process died
        }
    }
}
