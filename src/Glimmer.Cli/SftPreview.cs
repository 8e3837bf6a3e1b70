using System.Diagnostics;
using System.Globalization;
using System.Text;
using Glimmer.Tokenization;
using Glimmer.Training;
using Glimmer.Training.Sft;

namespace Glimmer.Cli;

/// <summary><c>glimmer sft --dry_run</c>: what would be trained on, what is wrong with the data, and what the run costs.</summary>
internal sealed class SftPreview(Terminal terminal, SftOptions options, SftData data)
{
    private const string Learned = "32", Weighted = "33", Context = "2";

    /// <summary>Writes everything.</summary>
    /// <param name="samples">Samples to show.</param>
    public void Write(int samples)
    {
        WriteBad(terminal, data, most: int.MaxValue);
        WriteCounts();
        foreach (SftSample sample in data.Train.Samples.Take(samples))
            WriteSample(sample);
        if (data.Train.Samples.Count > 0)
            WriteCost();
    }

    /// <summary>Names bad records with file, line and fault.</summary>
    public static void WriteBad(Terminal terminal, SftData data, int most)
    {
        foreach (BadRecord bad in data.Bad.Take(most))
            terminal.Notice($"{bad.Place}: {bad.Reason}");
        if (data.Bad.Count > most)
            terminal.Notice(string.Create(CultureInfo.InvariantCulture, $"{data.Bad.Count - most} more bad records; --dry_run lists them all."));
    }

    private void WriteCounts()
    {
        SftSamples train = data.Train;
        Line($"samples: {train.Samples.Count} to train on, {data.HeldOut.Samples.Count} held out; {data.Bad.Count} bad records, {train.TooLong + data.HeldOut.TooLong} longer than {data.MaxLength} tokens left out, {train.Truncated + data.HeldOut.Truncated} cut");
        int[] lengths = [.. train.Samples.Select(sample => sample.Tokens.Length).Order()];
        if (lengths.Length == 0)
            return;
        long targets = train.Samples.Sum(sample => (long)sample.TargetCount), tokens = lengths.Sum(length => (long)length);
        Line($"tokens: {tokens}, {(double)targets / tokens:p1} with loss; a sample {lengths[0]} to {lengths[^1]}, median {lengths[lengths.Length / 2]}");
        int dropped = train.Samples.Sum(sample => sample.TurnsWithoutTheirThinking);
        if (dropped > 0)
            Line($"turns: {dropped} without loss, because the template leaves their thinking out of the history");
        foreach (IGrouping<string?, SftSample> channel in train.Samples.Where(sample => sample.Channel is not null).GroupBy(sample => sample.Channel))
            Line($"channel {channel.Key}: {channel.Count()} samples, {channel.Sum(sample => (long)sample.Tokens.Length)} tokens");
        SftRows rows = data.Rows();
        Line($"rows: {rows.RowCount}{(options.Rows.Packing ? $" of {data.MaxLength} tokens, {rows.TokenCount / ((double)rows.RowCount * data.MaxLength):p1} full" : "")}; {Math.Min(options.Run.Steps ?? long.MaxValue, rows.Steps)} steps of {options.Rows.GlobalBatchSize} rows in {Epochs(rows):g3} epochs");
    }

    private double Epochs(SftRows rows) => options.Rows.Epochs ?? (double)options.Run.Steps!.Value * options.Rows.GlobalBatchSize / rows.RowCount;

    // Neighbours of one weight are decoded together, so that characters of several tokens stay whole.
    private void WriteSample(SftSample sample)
    {
        Line($"\n{sample.Place}: {sample.Tokens.Length} tokens, {sample.TargetCount} with loss{(terminal.Color ? "" : " (in ⟦ ⟧)")}");
        var text = new StringBuilder();
        for (int from = 0, to; from < sample.Tokens.Length; from = to)
        {
            float weight = sample.Weights[from];
            for (to = from + 1; to < sample.Tokens.Length && sample.Weights[to] == weight; to++)
            {
            }

            string part = data.Tokenizer.Decode(sample.Tokens.AsSpan(from..to));
            string label = weight is 0 or 1 ? "" : string.Create(CultureInfo.InvariantCulture, $"×{weight}");
            text.Append(terminal.Color ? terminal.Styled(weight == 0 ? Context : weight == 1 ? Learned : Weighted, part + label) : weight == 0 ? part : $"⟦{part}⟧{label}");
        }

        terminal.Output.WriteLine(text.ToString());
    }

    // Measured with two steps on the first batch: what a model and a batch need is not guessed.
    private void WriteCost()
    {
        using var run = new SftRun(options, data, null, terminal.Interrupted);
        long trained = run.TrainedParameters;
        Line($"\nmemory: {Quantities.Bytes(run.WeightBytes)} weights, {Quantities.Bytes(16 * trained)} for {trained} trained ones (value, gradient, two moments)");
        run.Probe();
        long start = Stopwatch.GetTimestamp();
        StepReport report = run.Probe();
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds, speed = report.Tokens / seconds;
        SftRows rows = data.Rows();
        using var process = Process.GetCurrentProcess();
        Line($"measured with two steps of {report.Tokens} tokens: {Quantities.Bytes(process.PeakWorkingSet64)} at most, {speed:f0} tokens/s; {Epochs(rows):g3} epochs take about {TimeSpan.FromSeconds(rows.TokenCount * Epochs(rows) / speed):hh\\:mm\\:ss}");
    }

    private void Line(FormattableString text) => terminal.Output.WriteLine(text.ToString(CultureInfo.InvariantCulture));
}
