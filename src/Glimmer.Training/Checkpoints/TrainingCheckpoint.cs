using System.Text.Json;
using Glimmer.Formats;

namespace Glimmer.Training.Checkpoints;

/// <summary>A stored state of a run, from which training goes on as if it had never stopped, bit for bit.</summary>
/// <remarks>
/// The folder is a Hugging Face checkpoint with fp32 weights (or bf16 ones, see <see cref="WeightStorage"/>) that any loader takes (or an adapter in the layout of PEFT), plus <c>optimizer/model.safetensors</c> (tensors named as in
/// <see cref="Optimizers.Optimizer.State"/>),
/// <c>trainer_state.json</c> and <c>manifest.json</c>. There is no generator state: random numbers are functions of seed, purpose and position.
/// </remarks>
public sealed record TrainingCheckpoint
{
    /// <summary>The folder; a model can be loaded from it.</summary>
    public required string Folder { get; init; }

    /// <summary>Steps taken.</summary>
    public required long Steps { get; init; }

    /// <summary>Tokens that went through the model.</summary>
    public required long TokensSeen { get; init; }

    /// <summary>Where the next batch starts in the data: JSON that the source of the batches wrote.</summary>
    public required string DataState { get; init; }

    /// <summary>The figure that says how good the model is, or null when none was measured at this step.</summary>
    public double? Metric { get; init; }

    internal long OptimizerSteps { get; init; }

    /// <summary>Puts weights, balance biases, optimizer and counters into a trainer of the same model.</summary>
    /// <param name="trainer">The trainer.</param>
    /// <param name="weights">What it trains.</param>
    /// <exception cref="ModelFormatException">A tensor is missing or has another size: the checkpoint belongs to another model or optimizer.</exception>
    public void Restore(Trainer trainer, ITrainedWeights weights)
    {
        weights.Read(Folder);
        TensorFiles.Read(Path.Combine(Folder, "optimizer"), trainer.Optimizer.State);
        (trainer.Steps, trainer.TokensSeen, trainer.Optimizer.Steps) = (Steps, TokensSeen, OptimizerSteps);
    }

    /// <summary>Lets a trainer go on with optimizer and counters of a run that was done with other parameters or options: what the run had no state for starts from zero.</summary>
    /// <remarks>All parameters share the count of updates, so AdamW does not correct the zero moments of those that are new: their first step is 0.45 of the usual one (for betas 0.9 and 0.95), the tenth 1.03.</remarks>
    /// <param name="trainer">A trainer of a model that was loaded from <see cref="Folder"/>.</param>
    /// <exception cref="ModelFormatException">A tensor has another size: the checkpoint belongs to another model or optimizer.</exception>
    public void Continue(Trainer trainer)
    {
        string optimizer = Path.Combine(Folder, "optimizer");
        HashSet<string> stored;
        using (WeightSource source = SafetensorsWeights.Open(optimizer))
            stored = [.. source.Tensors.Select(tensor => tensor.Name)];
        TensorFiles.Read(optimizer, trainer.Optimizer.State.Where(state => stored.Contains(state.Key)));
        (trainer.Steps, trainer.TokensSeen, trainer.Optimizer.Steps) = (Steps, TokensSeen, OptimizerSteps);
    }

    /// <summary>Reads <c>trainer_state.json</c>.</summary>
    internal static TrainingCheckpoint Read(string folder)
    {
        string path = Path.Combine(folder, "trainer_state.json");
        try
        {
            using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(path));
            JsonElement json = document.RootElement;
            return new TrainingCheckpoint
            {
                Folder = folder,
                Steps = json.GetProperty("steps").GetInt64(),
                TokensSeen = json.GetProperty("tokens_seen").GetInt64(),
                OptimizerSteps = json.GetProperty("optimizer_steps").GetInt64(),
                DataState = json.GetProperty("data").GetRawText(),
                Metric = json.TryGetProperty("metric", out JsonElement metric) && metric.ValueKind == JsonValueKind.Number ? metric.GetDouble() : null,
            };
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            throw new ModelFormatException($"'{path}' is not the state of a training run: {e.Message}", e);
        }
    }

    /// <summary>Writes <c>trainer_state.json</c>.</summary>
    internal static void Write(string folder, TrainerCounters counters, string dataState, double? metric)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true }))
        {
            json.WriteStartObject();
            json.WriteNumber("steps", counters.Steps);
            json.WriteNumber("tokens_seen", counters.TokensSeen);
            json.WriteNumber("optimizer_steps", counters.OptimizerSteps);
            if (metric is { } value)
                json.WriteNumber("metric", value);
            json.WritePropertyName("data");
            json.WriteRawValue(dataState);
            json.WriteEndObject();
        }

        AtomicFile.WriteAllBytes(Path.Combine(folder, "trainer_state.json"), stream.ToArray());
    }
}

/// <summary>The counters of a trainer at a step boundary.</summary>
internal readonly record struct TrainerCounters(long Steps, long TokensSeen, long OptimizerSteps)
{
    public static TrainerCounters Of(Trainer trainer) => new(trainer.Steps, trainer.TokensSeen, trainer.Optimizer.Steps);
}
