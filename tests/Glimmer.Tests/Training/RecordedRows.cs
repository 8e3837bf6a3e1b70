using Glimmer.Formats;
using Glimmer.Kernels;
using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Tensors;
using Glimmer.Training.Batching;

namespace Glimmer.Tests.Training;

/// <summary>Turns recorded rows of ids, labels and document numbers into documents, and compares weights.</summary>
internal static class RecordedRows
{
    /// <summary>Rows with labels that are shifted already; -100 is no label.</summary>
    public static MicroBatch Labelled(ReadOnlySpan<int> tokens, ReadOnlySpan<int> labels, ReadOnlySpan<int> documents, int length, int used)
    {
        var rows = new List<IReadOnlyList<TrainingDocument>>();
        for (int first = 0; first < tokens.Length; first += length)
        {
            ReadOnlySpan<int> row = tokens.Slice(first, used);
            var pieces = new List<TrainingDocument>();
            for (int start = 0, end; start < used; start = end)
            {
                for (end = start + 1; end < used && (documents.IsEmpty || documents[first + end] == documents[first + start]); end++)
                {
                }

                pieces.Add(new TrainingDocument(row[start..end].ToArray(), labels[(first + start)..(first + end)].ToArray()));
            }

            rows.Add(pieces);
        }

        return new MicroBatch(rows);
    }

    /// <summary>Rows whose labels are the next tokens of the same document; document -1 is padding, mask[i] belongs to the label of position i.</summary>
    public static MicroBatch Packed(ReadOnlySpan<int> tokens, ReadOnlySpan<int> documents, ReadOnlySpan<int> masks, int length)
    {
        var rows = new List<IReadOnlyList<TrainingDocument>>();
        for (int first = 0; first < tokens.Length; first += length)
        {
            var pieces = new List<TrainingDocument>();
            for (int start = first, end; start < first + length; start = end)
            {
                for (end = start + 1; end < first + length && (documents.IsEmpty || documents[end] == documents[start]); end++)
                {
                }

                if (!documents.IsEmpty && documents[start] < 0)
                    continue;
                var targets = new int[end - start];
                for (int i = start; i < end; i++)
                    targets[i - start] = i + 1 < end && (masks.IsEmpty || masks[i] != 0) ? tokens[i + 1] : -1;
                pieces.Add(new TrainingDocument(tokens[start..end].ToArray(), targets));
            }

            rows.Add(pieces);
        }

        return new MicroBatch(rows);
    }

    /// <summary>Loads a model from a folder or a weight file; the recordings use 1e-6 in the latent norms unless they say otherwise.</summary>
    public static CausalLm Load(string path, ThreadTeam team)
    {
        using Checkpoint checkpoint = Checkpoint.Open(path);
        bool says = checkpoint.ConfigJson.Contains("mla_latent_norm_eps", StringComparison.Ordinal);
        return checkpoint.LoadModel(team, says ? checkpoint.Config : checkpoint.Config with { MlaLatentNormEps = 1e-6f });
    }

    /// <summary>Compares every tensor of a file with ours: the largest difference as a share of what is allowed, and the tensor that has it.</summary>
    public static (double Share, string Name) Worst(SafetensorsFile file, Func<string, double?> allowed, Func<string, float[]> ours)
    {
        (double largest, string worst) = (0, "none");
        foreach (TensorInfo tensor in file.Tensors)
        {
            if (tensor.Type != DType.F32 || allowed(tensor.Name) is not { } tolerance)
                continue;
            double share = TrainingCase.Largest(file.View(tensor.Name).F32, ours(tensor.Name)) / tolerance;
            if (share > largest)
                (largest, worst) = (share, tensor.Name);
        }

        return (largest, worst);
    }

    /// <summary>The values of a parameter by name.</summary>
    public static float[] Values(CausalLm model, string name) => Find(model, name).EnsureValue().F32.ToArray();

    /// <summary>The gradient of a parameter by name.</summary>
    public static float[] Gradient(CausalLm model, string name) => Find(model, name).Gradient!.F32.ToArray();

    private static Parameter Find(CausalLm model, string name) => model.Parameters.Single(parameter => parameter.Name == name);
}
