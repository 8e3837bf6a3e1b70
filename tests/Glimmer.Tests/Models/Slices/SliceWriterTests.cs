using Glimmer.Kernels;
using Glimmer.Models;
using Glimmer.Models.Slices;
using Glimmer.Operations;
using Glimmer.Tensors;

namespace Glimmer.Tests.Models.Slices;

public class SliceWriterTests
{
    [Fact]
    public void Every_slice_has_a_configuration_that_parses_and_the_sizes_it_names()
    {
        foreach (ModelSlice slice in ModelSlice.All)
        {
            ModelConfig config = ModelConfig.Parse(System.Text.Encoding.UTF8.GetBytes(slice.ConfigJson), slice.Name);
            Assert.Equal(slice.Name.Contains("mtp", StringComparison.Ordinal) ? 1 : 0, config.NumNextnPredictLayers);
            Assert.Equal(slice.Name.Contains("dsa", StringComparison.Ordinal), config.IndexTopk > 0);
            Assert.Same(slice, ModelSlice.Find(slice.Name.ToUpperInvariant()));
        }

        Assert.Contains("air-mtp", Assert.Throws<UnsupportedModelException>(() => ModelSlice.Find("no-such")).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("tiny-mtp", DType.Q8_0)]
    [InlineData("tiny-mtp", DType.BF16)]
    [InlineData("tiny-dsa", DType.Q4_0)]
    [InlineData("tiny-dsa", DType.F32)]
    public void A_slice_loads_and_computes_finite_logits(string name, DType type)
    {
        using var folder = new TemporaryFolder();
        string path = folder["slice.gguf"];
        SliceWriter.Write(ModelSlice.Find(name), type, path);
        using Checkpoint checkpoint = Checkpoint.Open(path);
        using var team = new ThreadTeam(1);
        using CausalLm model = checkpoint.LoadModel(team);
        using var c = new Compute(team);
        var batch = new Batch();
        batch.AddDocument([1, 2, 3, 4, 5]);
        c.Begin();
        Tensor logits = model.Logits(c, model.Forward(c, batch));
        foreach (float value in logits.F32)
            Assert.InRange(value, -100, 100);
        Assert.Equal(name == "tiny-mtp", model.NextToken is not null);
        Assert.Equal(type, checkpoint.Weights.Get("model.layers.0.self_attn.o_proj.weight").Type);
    }

    [Fact]
    public void Equal_arguments_give_equal_bytes_and_another_seed_others()
    {
        using var folder = new TemporaryFolder();
        byte[] Bytes(string name, ulong seed)
        {
            string path = folder[name];
            SliceWriter.Write(ModelSlice.Find("tiny-mtp"), DType.Q4_0, path, seed);
            return File.ReadAllBytes(path);
        }

        byte[] first = Bytes("a.gguf", 1);
        Assert.Equal(first, Bytes("b.gguf", 1));
        Assert.NotEqual(first, Bytes("c.gguf", 2));
    }

    [Fact]
    public void An_existing_file_stays_and_a_cancelled_one_leaves_nothing()
    {
        using var folder = new TemporaryFolder();
        string path = folder["slice.gguf"];
        File.WriteAllText(path, "kept");
        Assert.Throws<IOException>(() => SliceWriter.Write(ModelSlice.Find("tiny-mtp"), DType.F32, path));
        Assert.Equal("kept", File.ReadAllText(path));
        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();
        Assert.Throws<OperationCanceledException>(
            () => SliceWriter.Write(ModelSlice.Find("tiny-mtp"), DType.F32, folder["other.gguf"], cancellationToken: cancelled.Token));
        Assert.Equal(["slice.gguf"], Directory.GetFiles(folder.ToString()).Select(Path.GetFileName));
    }
}
