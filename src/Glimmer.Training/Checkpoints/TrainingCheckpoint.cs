using System.Text.Json;
using Glimmer.Formats;
using Glimmer.Operations;
using Glimmer.Tensors;
using Glimmer.Training.Batching;

namespace Glimmer.Training.Checkpoints;

/// <summary>A stored state of a run, from which training goes on as if it had never stopped, bit for bit.</summary>
/// <remarks>
/// The folder is a Hugging Face checkpoint with fp32 weights that any loader takes, plus <c>optimizer/model.safetensors</c> (tensors named as in <see cref="Optimizers.Optimizer.State"/>),
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

    /// <summary>Where the next batch starts in the data.</summary>
    public required DocumentCursor Cursor { get; init; }

    internal long OptimizerSteps { get; init; }

    /// <summary>Puts weights, balance biases, optimizer and counters into a trainer of the same model.</summary>
    /// <exception cref="ModelFormatException">A tensor is missing or has another size: the checkpoint belongs to another model or optimizer.</exception>
    public void Restore(Trainer trainer)
    {
        using (WeightSource weights = SafetensorsWeights.Open(Folder))
        {
            foreach (Parameter parameter in trainer.Model.Parameters)
            {
                Check(Path.Combine(Folder, "model.safetensors"), weights.Get(parameter.Name), parameter.Shape);
                weights.ReadFloat32(parameter.Name, parameter.EnsureValue().F32);
                parameter.Touch();
            }
        }

        string path = Path.Combine(Folder, "optimizer", "model.safetensors");
        using (WeightSource state = SafetensorsWeights.Open(Path.Combine(Folder, "optimizer")))
        {
            foreach ((string name, Tensor value) in trainer.Optimizer.State)
            {
                Check(path, state.Get(name), value.Shape);
                state.ReadFloat32(name, value.F32);
            }
        }

        (trainer.Steps, trainer.TokensSeen, trainer.Optimizer.Steps) = (Steps, TokensSeen, OptimizerSteps);
    }

    /// <summary>Reads <c>trainer_state.json</c>.</summary>
    internal static TrainingCheckpoint Read(string folder)
    {
        string path = Path.Combine(folder, "trainer_state.json");
        try
        {
            using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(path));
            JsonElement json = document.RootElement, cursor = json.GetProperty("cursor");
            return new TrainingCheckpoint
            {
                Folder = folder,
                Steps = json.GetProperty("steps").GetInt64(),
                TokensSeen = json.GetProperty("tokens_seen").GetInt64(),
                OptimizerSteps = json.GetProperty("optimizer_steps").GetInt64(),
                Cursor = new DocumentCursor(cursor.GetProperty("epoch").GetInt64(), cursor.GetProperty("index").GetInt32(), cursor.GetProperty("offset").GetInt32()),
            };
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            throw new ModelFormatException($"'{path}' is not the state of a training run: {e.Message}", e);
        }
    }

    /// <summary>Writes <c>trainer_state.json</c>.</summary>
    internal static void Write(string folder, Trainer trainer, DocumentCursor cursor)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true }))
        {
            json.WriteStartObject();
            json.WriteNumber("steps", trainer.Steps);
            json.WriteNumber("tokens_seen", trainer.TokensSeen);
            json.WriteNumber("optimizer_steps", trainer.Optimizer.Steps);
            json.WriteStartObject("cursor");
            json.WriteNumber("epoch", cursor.Epoch);
            json.WriteNumber("index", cursor.Index);
            json.WriteNumber("offset", cursor.Offset);
            json.WriteEndObject();
            json.WriteEndObject();
        }

        AtomicFile.WriteAllBytes(Path.Combine(folder, "trainer_state.json"), stream.ToArray());
    }

    private static void Check(string path, TensorInfo stored, ReadOnlySpan<int> shape)
    {
        if (!stored.Shape.SequenceEqual(shape))
            throw new ModelFormatException($"'{path}': tensor '{stored.Name}' has the shape [{string.Join(", ", stored.Shape.ToArray())}] but this run needs [{string.Join(", ", shape.ToArray())}]. The checkpoint belongs to another model.");
    }
}
