using Glimmer.Formats;
using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Quantization;
using Glimmer.Tensors;
using Glimmer.Training;
using Glimmer.Training.Batching;
using Glimmer.Training.Checkpoints;
using Glimmer.Training.Schedules;

namespace Glimmer.Tests.Training.Checkpoints;

/// <summary>What training exports against the recorded checkpoints, which have the layout of the published ones.</summary>
[Trait("Category", "Golden")]
public class ExportGoldenTests
{
    public static TheoryData<string> Cases => Fixtures.Rows(
        Fixtures.Folder("models") is { } folder
            ? Directory.EnumerateDirectories(folder).Where(path => File.Exists(Path.Combine(path, "reference.json")) && Path.GetFileName(path) != "glm5_next").Select(path => Path.GetFileName(path)!)
            : null);

    [SkippableTheory]
    [MemberData(nameof(Cases))]
    public void An_export_of_a_trained_model_has_the_names_shapes_and_types_of_the_published_layout(string name)
    {
        Fixtures.SkipIfAbsent(name);
        using var folder = new TemporaryFolder();
        string published = Path.Combine(Fixtures.Folder("models")!, name);
        string trained = Train(published, folder["run"]);
        using Checkpoint original = Checkpoint.Open(published);
        DType type = original.Weights.Get("model.embed_tokens.weight").Type;
        string exported = folder["export"];
        Cli.CommandRun.Of("export", "--model", trained, "--to_hf", "true", "--output_dir", exported, "--torch_dtype", type == DType.BF16 ? "bfloat16" : "float32", "--test_convert_precision", "true", "--threads", "1").Succeeded();

        using Checkpoint after = Checkpoint.Open(exported), before = Checkpoint.Open(trained);
        Assert.Equal(Described(original), Described(after));
        Assert.Equal(original.Config.ModelType, after.Config.ModelType);
        foreach (TensorInfo tensor in before.Weights.Tensors)
        {
            float[] values = Values(before, tensor.Name), stored = Values(after, tensor.Name);
            if (after.Weights.Get(tensor.Name).Type == DType.BF16)
                values = Rounded(values);
            Models.EqualBits.AssertSame(values, stored, tensor.Name);
        }

        // Our loader takes it, with the numbers of the model that was trained where nothing was rounded.
        if (type == DType.F32)
            Models.EqualBits.AssertSame(Logits(trained), Logits(exported), "logits");
        else
            Assert.All(Logits(exported), value => Assert.True(float.IsFinite(value)));
    }

    private static string Train(string published, string run)
    {
        using var c = new Compute(1);
        using Checkpoint checkpoint = Checkpoint.Open(published);
        using CausalLm model = checkpoint.LoadModel(c.Team);
        using var trainer = new Trainer(model, c, new TrainerOptions
        {
            LearningRate = Schedule.Constant(1e-3),
            BiasRate = Schedule.Constant(1e-3),
            NextTokenDepths = model.NextToken is null ? 0 : 1,
            Indexer = model.Config.IndexTopk > 0 ? IndexerStage.Sparse : IndexerStage.Frozen,
        });
        int[] tokens = [.. Enumerable.Range(0, 40).Select(i => (i * 7) % (model.Config.VocabSize - 8))];
        trainer.Step([new MicroBatch([[TrainingDocument.NextToken(tokens)]])]);
        return new CheckpointFolder(run, new ModelWeights(model, checkpoint)).Save(trainer, "{}");
    }

    private static string[] Described(Checkpoint checkpoint) =>
        [.. checkpoint.Weights.Tensors.OrderBy(tensor => tensor.Name, StringComparer.Ordinal).Select(tensor => $"{tensor.Name} {tensor.Type} [{string.Join(", ", tensor.Shape.ToArray())}]")];

    private static float[] Values(Checkpoint checkpoint, string name)
    {
        var values = new float[checkpoint.Weights.Get(name).Count];
        checkpoint.Weights.ReadFloat32(name, values);
        return values;
    }

    private static float[] Rounded(float[] values)
    {
        var bytes = new byte[2 * values.Length];
        BFloat16.FromFloat32(values, bytes);
        var rounded = new float[values.Length];
        BFloat16.ToFloat32(bytes, rounded);
        return rounded;
    }

    private static float[] Logits(string path)
    {
        using var c = new Compute(1);
        using Checkpoint checkpoint = Checkpoint.Open(path);
        using CausalLm model = checkpoint.LoadModel(c.Team);
        c.Begin();
        var batch = new Batch();
        batch.AddDocument([.. Enumerable.Range(0, 40).Select(i => (i * 11) % (model.Config.VocabSize - 8))]);
        Tensor hidden = model.Forward(c, batch);
        float[] logits = model.Logits(c, hidden).F32.ToArray();
        return model.NextToken is { } next ? [.. logits, .. next.Logits(c, next.Forward(c, batch, hidden)).F32] : logits;
    }
}
