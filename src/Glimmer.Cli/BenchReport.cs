using System.Globalization;
using System.Text.Json;
using Glimmer.Inference.Benchmarks;
using Glimmer.Kernels;
using Glimmer.Models;
using Spectre.Console;

namespace Glimmer.Cli;

/// <summary>Figures of <c>glimmer bench</c>: JSON lines as they come, or a table at the end.</summary>
internal sealed class BenchReport(Terminal terminal, bool json)
{
    private readonly Table _table = terminal.NewTable("test", "activations", "#tokens/s", "#least", "#most", "#GB/s", "#of read", "#GFLOP/s", "#bytes/token", "more");
    private string _model = "";

    /// <summary>Says what is measured.</summary>
    public void Begin(string path, Checkpoint checkpoint, CausalLm model, ThreadTeam team, double loadSeconds)
    {
        _model = Path.GetFileName(Path.TrimEndingDirectorySeparator(path));
        long bytes = checkpoint.Weights.Tensors.Sum(tensor => tensor.SizeBytes);
        ParameterCount parameters = ParameterCount.Of(model.Config);
        if (json)
        {
            Line(writer =>
            {
                writer.WriteNumber("bytes", bytes);
                writer.WriteNumber("params", parameters.Total);
                writer.WriteNumber("active_params", parameters.Active);
                Write(writer, "load_s", loadSeconds);
                writer.WriteNumber("threads", team.Threads);
                writer.WriteString("kernels", Simd.Best.ToString());
                writer.WriteString("kv_cache_type", model.CacheType.ToString());
            });
            return;
        }

        terminal.Output.WriteLine($"{_model}: {Quantities.Parameters(parameters.Total)} parameters, {Quantities.Parameters(parameters.Active)} active, {Quantities.Bytes(bytes)}, loaded in {loadSeconds:f1} s; {team.Threads} threads, {Simd.Best}, keys and values in {model.CacheType}");
    }

    /// <summary>Takes a result.</summary>
    public void Add(BenchmarkResult result)
    {
        if (json)
            Line(writer => WriteResult(writer, result));
        else
            AddRow(result);
    }

    /// <summary>Ends with the memory.</summary>
    public void End(ProcessMemory memory)
    {
        if (json)
        {
            Line(writer =>
            {
                writer.WriteNumber("weight_bytes", memory.Weights);
                writer.WriteNumber("cache_bytes", memory.Cache);
                if (memory.Private is { } own)
                    writer.WriteNumber("private_bytes", own);
                if (memory.Mapped is { } mapped)
                    writer.WriteNumber("mapped_bytes", mapped);
                writer.WriteNumber("peak_bytes", memory.Peak);
            });
            return;
        }

        terminal.Write(_table);
        string resident = memory is { Private: { } own, Mapped: { } mapped } ? $", resident {Quantities.Bytes(own)} private and {Quantities.Bytes(mapped)} mapped" : "";
        terminal.Output.WriteLine($"memory: weights {Quantities.Bytes(memory.Weights)}, keys and values at most {Quantities.Bytes(memory.Cache)}{resident}, peak {Quantities.Bytes(memory.Peak)}");
    }

    private static void WriteResult(Utf8JsonWriter writer, BenchmarkResult result)
    {
        writer.WriteString("test", result.Test.Name);
        writer.WriteString("activations", result.Activations);
        writer.WriteNumber("depth", result.Depth);
        writer.WriteNumber("threads", result.Threads);
        writer.WriteNumber("reps", result.Repetitions);
        Write(writer, "tok_per_s", result.TokensPerSecond);
        Write(writer, "min", result.Least);
        Write(writer, "max", result.Most);
        Write(writer, "weight_gb_per_s", result.WeightGigabytesPerSecond);
        Write(writer, "read_gb_per_s", result.ReadGigabytesPerSecond);
        Write(writer, "read_share", result.ReadShare);
        Write(writer, "gflop_per_s", result.GigaflopsPerSecond);
        Write(writer, "ttft_ms", result.FirstTokenMilliseconds);
        Write(writer, "allocated_bytes_per_token", result.AllocatedBytesPerToken);
        Write(writer, "expert_union", result.ExpertUnion);
        Write(writer, "expert_hit_rate", result.ExpertHitRate);
        Write(writer, "expert_bytes_per_token", result.ExpertBytesPerToken);
        Write(writer, "hit_share", result.HitShare);
        Write(writer, "gap_median_ms", result.Gap?.Median);
        Write(writer, "gap_p99_ms", result.Gap?.P99);
        if (result.Speculation is not { } speculation)
            return;
        Write(writer, "speedup", speculation.Speedup);
        Write(writer, "tokens_per_step", speculation.TokensPerStep);
        Write(writer, "acceptance", speculation.Acceptance);
        Write(writer, "predicted_best", speculation.BestPredicted);
        writer.WriteNumber("predicted_best_drafts", speculation.BestDrafts);
        Write(writer, "predicted_as_run", speculation.AsRunPredicted);
        writer.WriteStartArray("expert_unions");
        foreach (double union in speculation.Unions)
            writer.WriteNumberValue(Math.Round(union, 2));
        writer.WriteEndArray();
    }

    private void AddRow(BenchmarkResult result) => Terminal.AddRow(
        _table, result.Depth == 0 ? result.Test.Name : $"{result.Test.Name} at {result.Depth}", result.Activations, $"{result.TokensPerSecond:f2}", $"{result.Least:f2}", $"{result.Most:f2}",
        result.WeightGigabytesPerSecond is { } weights ? $"{weights:f1}" : "", result.ReadShare is { } share ? $"{share:p0}" : "", $"{result.GigaflopsPerSecond:f1}",
        $"{result.AllocatedBytesPerToken:f0}", More(result));

    private static string More(BenchmarkResult result)
    {
        if (result.Speculation is { } s)
            return $"x {s.Speedup:f2}; bytes allow {s.BestPredicted:f2} with {s.BestDrafts} drafts; {s.TokensPerStep:f2} tokens a step, {s.Acceptance:p0} right";
        if (result.Gap is { } gap)
            return $"between tokens {gap.Median:f1} ms, p99 {gap.P99:f1} ms beside the prompt";
        if (result.HitShare is { } hit)
            return $"first token after {result.FirstTokenMilliseconds:f1} ms, {hit:p1} of the cold time";
        if (result.FirstTokenMilliseconds is { } first)
            return $"first token after {first:f0} ms";
        if (result.ExpertHitRate is { } rate)
            return $"{rate:p0} of the experts in memory, {result.ExpertBytesPerToken / 1e6:f0} MB read a token";
        return result.ExpertUnion is { } union ? $"{union:f1} experts a layer" : "";
    }

    private void Line(Action<Utf8JsonWriter> write) => terminal.Output.WriteJson(writer =>
    {
        writer.WriteStartObject();
        writer.WriteString("engine", "glimmer");
        writer.WriteString("model", _model);
        write(writer);
        writer.WriteEndObject();
    });

    // Six digits are more than a measurement has.
    private static void Write(Utf8JsonWriter writer, string name, double? value)
    {
        if (value is { } number)
            writer.WriteFinite(name, double.IsFinite(number) ? double.Parse(number.ToString("G6", CultureInfo.InvariantCulture), CultureInfo.InvariantCulture) : number);
    }
}
