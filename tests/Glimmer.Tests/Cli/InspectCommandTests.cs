using System.Text.Json;
using Glimmer.Cli;
using Glimmer.Inference;
using Glimmer.Tests.Formats;

namespace Glimmer.Tests.Cli;

public class InspectCommandTests
{
    public static TheoryData<string> Folders() => Fixtures.Rows(
        Fixtures.Folder("models") is { } folder ? Directory.GetDirectories(folder).Where(d => File.Exists(Path.Combine(d, "config.json"))).Select(d => Path.GetFileName(d)!) : null);

    public static TheoryData<string> GgufFiles() => Fixtures.Rows(
        Fixtures.Folder(Path.Combine("formats", "gguf")) is { } folder ? Directory.GetFiles(folder, "*.gguf", SearchOption.AllDirectories).Select(file => Path.GetRelativePath(folder, file)) : null);

    public static TheoryData<string> Hostile() => HostileCases.OfKinds("config", "gguf", "gguf_model", "gguf_split", "gguf_tokenizer", "safetensors", "safetensors_index", "tokenizer");

    [Fact]
    public void The_embedded_model_is_the_default_and_has_no_problems()
    {
        JsonElement json = CommandRun.Of("inspect", "base", "--json", "--tensors").Succeeded().Json;
        Assert.Equal("LlamaForCausalLM", json.GetProperty("architecture").GetString());
        Assert.Equal(134_515_008, json.GetProperty("parameters").GetProperty("total").GetInt64());
        Assert.Equal(134_515_008, json.GetProperty("weights").GetProperty("numbers").GetInt64());
        Assert.Equal(272, json.GetProperty("tensors").GetArrayLength());
        Assert.Equal(["<|endoftext|>", "<|im_end|>"], json.GetProperty("stop_tokens").EnumerateArray().Select(token => token.GetProperty("text").GetString()));
        Assert.Equal(0, json.GetProperty("problems").GetArrayLength());
        CommandRun text = CommandRun.Of("inspect", "base").Succeeded();
        Assert.Contains("active a token  134.5 M", text.Output, StringComparison.Ordinal);
        Assert.Contains("stop tokens     0 <|endoftext|>, 2 <|im_end|>", text.Output, StringComparison.Ordinal);
        Assert.Contains("problems        none", text.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Hardware_is_shown_alone_or_beside_a_checkpoint()
    {
        CommandRun alone = CommandRun.Of("inspect", "--hardware").Succeeded();
        Assert.Equal(["huge", "integers", "kernels", "keys", "memory", "processor", "runtime", "weights"], alone.Lines.Select(line => line.Split(' ')[0]).Order());
        JsonElement json = CommandRun.Of("inspect", EmbeddedModel.Find(), "--hardware", "--json").Succeeded().Json;
        JsonElement hardware = json.GetProperty("hardware");
        Assert.InRange(hardware.GetProperty("available_bytes").GetInt64(), 1, hardware.GetProperty("memory_bytes").GetInt64());
        Assert.Equal("F32", hardware.GetProperty("kv_cache_type").GetString());
        Assert.Contains("Q4_0", hardware.GetProperty("weight_forms").EnumerateArray().Select(form => form.GetString()));
        Assert.Contains(json.GetProperty("hardware").GetProperty("kernels").GetString(), Enum.GetNames<Glimmer.Kernels.SimdLevel>());
        Assert.True(json.TryGetProperty("config", out _));
    }

    [SkippableTheory]
    [Trait("Category", "Golden")]
    [MemberData(nameof(Folders))]
    public void Checkpoints_their_files_and_their_configurations_are_read(string name)
    {
        Fixtures.SkipIfAbsent(name);
        string folder = Path.Combine(Fixtures.Folder("models")!, name);
        CommandRun whole = CommandRun.Of("inspect", folder, "--json", "--tensors");
        bool supported = whole.Json.TryGetProperty("config", out _);
        Assert.Equal(supported ? ExitCodes.Success : ExitCodes.Failure, whole.ExitCode);
        Assert.NotEqual(0, whole.Json.GetProperty("tensors").GetArrayLength());
        foreach (string file in Directory.GetFiles(folder).Where(file => !file.Contains("reference", StringComparison.Ordinal) && !file.Contains("generation", StringComparison.Ordinal)))
        {
            CommandRun part = CommandRun.Of("inspect", file, "--json");
            Assert.Equal(whole.ExitCode, part.ExitCode);
            Assert.Equal(whole.Json.GetProperty("architecture").GetString(), part.Json.GetProperty("architecture").GetString());
            if (supported)
                Assert.Equal(whole.Json.GetProperty("parameters").GetRawText(), part.Json.GetProperty("parameters").GetRawText());
        }
    }

    [SkippableTheory]
    [Trait("Category", "Golden")]
    [MemberData(nameof(GgufFiles))]
    public void Gguf_files_have_no_problems(string name)
    {
        Fixtures.SkipIfAbsent(name);
        CommandRun run = CommandRun.Of("inspect", Path.Combine(Fixtures.Folder(Path.Combine("formats", "gguf"))!, name)).Succeeded();
        Assert.Contains("GGUF version", run.Output, StringComparison.Ordinal);
    }

    [SkippableTheory]
    [Trait("Category", "Golden")]
    [MemberData(nameof(Hostile))]
    public void Hostile_files_are_problems_and_no_crashes(string id)
    {
        Fixtures.SkipIfAbsent(id);
        bool refused = HostileCases.Get(id).GetProperty("expect").GetString() == "refuse";
        HostileCases.Check(id, path =>
        {
            CommandRun run = CommandRun.Of("inspect", path, "--json");
            Assert.DoesNotContain("internal error", run.Error, StringComparison.Ordinal);
            if (!refused)
                return;
            Assert.Equal(ExitCodes.Failure, run.ExitCode);
            throw new ModelFormatException(run.Error.Length > 0 ? run.Error : run.Json.GetProperty("problems")[0].GetString()!);
        });
    }

    [Fact]
    public void Missing_and_unknown_tensors_are_counted_and_named()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["config.json"], """{"model_type": "llama", "hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8, "vocab_size": 10}""");
        byte[] header = System.Text.Encoding.UTF8.GetBytes("""{"model.norm.weight":{"dtype":"F32","shape":[5],"data_offsets":[0,20]},"stray":{"dtype":"F32","shape":[1],"data_offsets":[20,24]}}""");
        File.WriteAllBytes(folder["model.safetensors"], [.. BitConverter.GetBytes((long)header.Length), .. header, .. new byte[24]]);
        CommandRun run = CommandRun.Of("inspect", folder.ToString());
        Assert.Equal(ExitCodes.Failure, run.ExitCode);
        Assert.Contains("'model.norm.weight' has the shape [5] but the configuration makes it [4]", run.Output, StringComparison.Ordinal);
        Assert.Contains("10 tensors that the configuration asks for are missing: 'model.embed_tokens.weight'", run.Output, StringComparison.Ordinal);
        Assert.Contains("1 tensors belong to nothing in the configuration and are not used: 'stray'", run.Output, StringComparison.Ordinal);
    }
}
