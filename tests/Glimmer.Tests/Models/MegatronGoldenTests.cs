using Glimmer.Formats;
using Glimmer.Models;
using Glimmer.Models.Megatron;
using Glimmer.Tensors;

namespace Glimmer.Tests.Models;

/// <summary>Checkpoints under the names of Megatron-core, against converters of slime and names of mcore-bridge.</summary>
[Trait("Category", "Golden")]
public class MegatronGoldenTests
{
    public static TheoryData<string> Models => Fixtures.Rows(Fixtures.Folder("training2/megatron") is { } folder ? Directory.GetDirectories(folder).Select(path => Path.GetFileName(path)!) : null);

    [SkippableTheory]
    [MemberData(nameof(Models))]
    public void Every_tensor_is_the_recorded_one_and_comes_back_bit_for_bit(string name)
    {
        Fixtures.SkipIfAbsent(name);
        string folder = Path.Combine(Fixtures.Folder("training2/megatron")!, name);
        using var temporary = new TemporaryFolder();
        RoundTrip(Path.Combine(folder, "hf"), temporary, "mcore", slime: false, 1, Path.Combine(folder, "mcore.safetensors"));
        if (File.Exists(Path.Combine(folder, "mcore_slime.safetensors")))
            RoundTrip(Path.Combine(folder, "hf"), temporary, "slime", slime: true, 1, Path.Combine(folder, "mcore_slime.safetensors"));
    }

    [SkippableFact]
    public void A_padded_vocabulary_has_zero_rows_and_loses_them_again()
    {
        string? root = Fixtures.Folder("training2/megatron");
        Fixtures.SkipIfAbsent(root ?? "");
        using var temporary = new TemporaryFolder();
        string folder = Path.Combine(root!, "glm4_moe"), output = RoundTrip(Path.Combine(folder, "hf"), temporary, "padded", slime: false, 32, null);
        using SafetensorsFile expected = SafetensorsFile.Open(Path.Combine(folder, "mcore_padded_vocab_32.safetensors")), actual = SafetensorsFile.Open(Path.Combine(output, "model.safetensors"));
        foreach (TensorInfo tensor in expected.Tensors)
            AssertSame(expected, actual, tensor.Name);
    }

    [SkippableFact]
    public void Ranks_of_tensor_parallelism_hold_the_recorded_parts()
    {
        string? root = Fixtures.Folder("training2/megatron");
        Fixtures.SkipIfAbsent(root ?? "");
        using var temporary = new TemporaryFolder();
        string folder = Path.Combine(root!, "glm4_moe");
        using Checkpoint source = Checkpoint.Open(Path.Combine(folder, "hf"));
        MegatronCheckpoint.Write(source, temporary["ranks"], new MegatronOptions { TensorParallel = 2, ExpertParallel = 2 });
        for (int rank = 0; rank < 2; rank++)
        {
            using SafetensorsFile expected = SafetensorsFile.Open(Path.Combine(folder, $"mcore_tp2_rank{rank}.safetensors"));
            using SafetensorsFile actual = SafetensorsFile.Open(Path.Combine(temporary["ranks"], "iter_0000001", $"mp_rank_0{rank}_000_001", "model.safetensors"));
            foreach (TensorInfo tensor in expected.Tensors)
                AssertSame(expected, actual, tensor.Name);
            // Of four experts the second rank has two, counted from 0.
            Assert.Equal(["decoder.layers.1.mlp.experts.linear_fc2.weight0", "decoder.layers.1.mlp.experts.linear_fc2.weight1"],
                actual.Tensors.Select(tensor => tensor.Name).Where(name => name.StartsWith("decoder.layers.1.mlp.experts.linear_fc2", StringComparison.Ordinal)).Order(StringComparer.Ordinal));
        }
    }

    [SkippableTheory]
    [MemberData(nameof(Models))]
    public void Weights_divided_among_ranks_come_back_bit_for_bit(string name)
    {
        Fixtures.SkipIfAbsent(name);
        using var temporary = new TemporaryFolder();
        using Checkpoint source = Checkpoint.Open(Path.Combine(Fixtures.Folder("training2/megatron")!, name, "hf"));
        MegatronCheckpoint.Write(source, temporary["ranks"], new MegatronOptions { TensorParallel = 2, ExpertParallel = 4, PadVocabularyTo = 32 });
        using Checkpoint read = Checkpoint.Open(temporary["ranks"]);
        AssertSame(source.Weights, read.Weights);
        UnsupportedModelException error = Assert.Throws<UnsupportedModelException>(() => MegatronCheckpoint.Write(source, temporary["five"], new MegatronOptions { TensorParallel = 5 }));
        Assert.Contains("5 ranks of tensor parallelism", error.Message, StringComparison.Ordinal);
    }

    [SkippableFact]
    public void The_unfused_names_and_prefixes_of_other_writers_are_read()
    {
        string? root = Fixtures.Folder("training2/megatron");
        Fixtures.SkipIfAbsent(root ?? "");
        using var temporary = new TemporaryFolder();
        string hf = Path.Combine(root!, "glm4_moe", "hf"), fused = temporary["fused"], local = Directory.CreateDirectory(temporary["local"]).FullName;
        using Checkpoint source = Checkpoint.Open(hf);
        MegatronCheckpoint.Write(source, fused);
        using System.Text.Json.JsonDocument mapping = System.Text.Json.JsonDocument.Parse(File.ReadAllText(Path.Combine(root!, "mapping.json")));
        Dictionary<string, string> names = mapping.RootElement.GetProperty("glm4_moe_local_names").EnumerateObject().ToDictionary(pair => pair.Value.GetString()!, pair => pair.Name);
        using (SafetensorsFile file = SafetensorsFile.Open(Path.Combine(fused, "model.safetensors")))
        {
            TensorInfo[] tensors = [.. file.Tensors];
            using SafetensorsWriter writer = SafetensorsWriter.Create(local, [.. tensors.Select(t => new TensorInfo(Local(t.Name), t.Type, t.Shape))]);
            foreach (TensorInfo tensor in tensors)
            {
                writer.BeginTensor(Local(tensor.Name));
                writer.Write(file.View(tensor.Name).Bytes);
            }

            writer.Complete();
        }

        foreach (string file in (string[])[MegatronArguments.FileName, MegatronArguments.IterationFile])
            File.Copy(Path.Combine(fused, file), Path.Combine(local, file));
        using Checkpoint read = Checkpoint.Open(local);
        AssertSame(source.Weights, read.Weights);

        string Local(string name) => "module." + (names.GetValueOrDefault(name) ?? name).Replace(".transformer_layer.", ".mtp_model_layer.", StringComparison.Ordinal);
    }

    [SkippableFact]
    public void An_unknown_or_missing_tensor_is_named()
    {
        string? root = Fixtures.Folder("training2/megatron");
        Fixtures.SkipIfAbsent(root ?? "");
        using var temporary = new TemporaryFolder();
        string output = RoundTrip(Path.Combine(root!, "glm4_moe", "hf"), temporary, "mcore", slime: false, 1, null), model = Path.Combine(output, "model.safetensors");
        byte[] bytes = File.ReadAllBytes(model);
        int at = bytes.AsSpan().IndexOf("decoder.final_layernorm"u8);
        "decoder.fimal_layernorm"u8.CopyTo(bytes.AsSpan(at));
        File.WriteAllBytes(model, bytes);
        ModelFormatException error = Assert.Throws<ModelFormatException>(() => Checkpoint.Open(output));
        Assert.Contains("decoder.final_layernorm.weight", error.Message, StringComparison.Ordinal);
    }

    private static string RoundTrip(string hf, TemporaryFolder temporary, string name, bool slime, int padding, string? recorded)
    {
        string output = temporary[name], back = output + "-hf";
        using Checkpoint source = Checkpoint.Open(hf);
        MegatronCheckpoint.Write(source, output, new MegatronOptions { PadVocabularyTo = padding, SlimeNames = slime });
        if (recorded is not null)
        {
            using SafetensorsFile expected = SafetensorsFile.Open(recorded), actual = SafetensorsFile.Open(Path.Combine(output, "model.safetensors"));
            Assert.Equal(expected.Tensors.Select(t => t.Name).Order(StringComparer.Ordinal), actual.Tensors.Select(t => t.Name).Order(StringComparer.Ordinal));
            foreach (TensorInfo tensor in expected.Tensors)
                AssertSame(expected, actual, tensor.Name);
        }

        using (Checkpoint read = Checkpoint.Open(output))
        {
            AssertSame(source.Weights, read.Weights);
            CheckpointConverter.WriteFolder(read, back, null);
        }

        using Checkpoint returned = Checkpoint.Open(back);
        AssertSame(source.Weights, returned.Weights);
        return output;
    }

    private static void AssertSame(SafetensorsFile expected, SafetensorsFile actual, string name)
    {
        TensorInfo tensor = expected.Tensors.Single(t => t.Name == name);
        TensorInfo ours = Assert.Single(actual.Tensors, t => t.Name == name);
        Assert.Equal(tensor.ToString(), ours.ToString());
        Assert.True(expected.View(name).Bytes.SequenceEqual(actual.View(name).Bytes), $"{name}: the bytes differ");
    }

    private static void AssertSame(WeightSource expected, WeightSource actual)
    {
        Assert.Equal(expected.Tensors.Select(t => t.ToString()).Order(StringComparer.Ordinal), actual.Tensors.Select(t => t.ToString()).Order(StringComparer.Ordinal));
        foreach (TensorInfo tensor in expected.Tensors)
        {
            byte[] theirs = new byte[tensor.SizeBytes], ours = new byte[tensor.SizeBytes];
            expected.ReadRows(tensor.Name, 0, (int)tensor.Rows, theirs);
            actual.ReadRows(tensor.Name, 0, (int)tensor.Rows, ours);
            Assert.True(theirs.AsSpan().SequenceEqual(ours), $"{tensor.Name}: the bytes differ");
        }
    }
}
