using Glimmer.Kernels;
using Glimmer.Models;
using Glimmer.Tensors;

namespace Glimmer.Training.Checkpoints;

/// <summary>A model with an adapter added to its weights. The sum is made in fp32, then rounded to the type that is stored.</summary>
public static class MergedModel
{
    /// <summary>Writes it as a Hugging Face folder, complete or not at all.</summary>
    /// <param name="model">The base model, anything <see cref="Checkpoint.Open"/> takes but a GGUF file.</param>
    /// <param name="adapter">Folder of the adapter.</param>
    /// <param name="output">A folder that does not exist yet, or is empty.</param>
    /// <param name="type">Type of the matrices; null for fp32.</param>
    /// <param name="team">Threads that load.</param>
    /// <exception cref="UnsupportedModelException">The adapter is for another model.</exception>
    /// <exception cref="IOException">The output exists, or cannot be written.</exception>
    public static void Write(string model, string adapter, string output, DType? type, ThreadTeam team)
    {
        using Checkpoint checkpoint = Checkpoint.Open(model);
        using CausalLm loaded = checkpoint.LoadModel(team);
        using LoraAdapter lora = LoraAdapter.Load(loaded, adapter);
        lora.MergeInto(loaded);
        if (type is null or DType.F32)
        {
            OutputFolder.Write(output, new ModelWeights(loaded, checkpoint).Write);
            return;
        }

        string exact = $"{output}.fp32";
        try
        {
            OutputFolder.Write(exact, new ModelWeights(loaded, checkpoint).Write);
            using Checkpoint merged = Checkpoint.Open(exact);
            CheckpointConverter.WriteFolder(merged, output, type, asPublished: true);
        }
        finally
        {
            if (Directory.Exists(exact))
                Directory.Delete(exact, recursive: true);
        }
    }
}
