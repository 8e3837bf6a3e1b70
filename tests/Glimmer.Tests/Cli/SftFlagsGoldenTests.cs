using System.CommandLine;
using System.Text.Json;
using Glimmer.Cli;
using Glimmer.Training.Sft;

namespace Glimmer.Tests.Cli;

/// <summary>Names and defaults of the flags of <c>sft</c> beside those of ms-swift.</summary>
[Trait("Category", "Golden")]
public class SftFlagsGoldenTests
{
    // Ours alone: a default of our own, or nothing of the kind there.
    private static readonly string[] s_ours = ["not_finite", "special_tokens_in_text", "publish", "threads", "dry_run", "dry_run_samples"];

    [SkippableFact]
    public void Every_flag_has_a_name_of_ms_swift()
    {
        JsonElement[] classes = Classes();
        foreach (Option option in Command(out _).Options.Where(option => !option.Hidden))
        {
            string[] names = [.. option.Aliases.Prepend(option.Name).Select(name => name.TrimStart('-'))];
            if (!s_ours.Contains(names[0]) && names[0] is not ("help" or "version"))
                Assert.True(names.Any(name => Array.Exists(classes, fields => fields.TryGetProperty(name, out _))), $"--{names[0]} is no flag of ms-swift");
        }
    }

    [SkippableFact]
    public void Defaults_are_those_of_ms_swift()
    {
        JsonElement fields = Classes()[0];
        Command command = Command(out TrainingFlags flags);
        flags.Read(command.Parse(["--model", "m", "--dataset", "d.jsonl"]));
        SftOptions options = SftFlags.Options(flags, "run");
        Assert.Equal(Number("lora_rank"), options.Lora!.Rank);
        Assert.Equal(Number("lora_alpha"), options.Lora.Alpha);
        Assert.Equal(Number("lora_dropout"), options.Lora.Dropout, 1e-7);
        Assert.Equal(fields.GetProperty("target_modules").GetProperty("default")[0].GetString(), Assert.Single(options.Lora.TargetModules));
        Assert.Equal(Number("weight_decay"), options.WeightDecay, 1e-7);
        Assert.Equal((Number("adam_beta1"), Number("adam_beta2"), Number("adam_epsilon")), (options.AdamW.Beta1, options.AdamW.Beta2, options.AdamW.Epsilon));
        Assert.Equal(Number("max_grad_norm"), options.ClipNorm);
        Assert.Equal(Number("num_train_epochs"), options.Rows.Epochs);
        Assert.Equal(Number("per_device_train_batch_size"), options.Rows.MicroBatchSize);
        Assert.Equal(Number("seed"), options.Rows.Seed);
        Assert.Equal(Number("save_steps"), options.Run.SaveEvery);
        Assert.Equal(Number("split_dataset_ratio"), options.SplitDatasetRatio);
        Assert.Equal(Number("router_aux_loss_coef"), options.BalanceWeight);
        Assert.Equal(fields.GetProperty("train_dataloader_shuffle").GetProperty("default").GetBoolean(), options.Rows.Shuffle);
        Assert.Equal(fields.GetProperty("packing").GetProperty("default").GetBoolean(), options.Rows.Packing);
        Assert.Equal(fields.GetProperty("add_non_thinking_prefix").GetProperty("default").GetBoolean(), options.Sample.AddNonThinkingPrefix);
        Assert.Equal(fields.GetProperty("tuner_type").GetProperty("default").GetString(), options.Lora is null ? "full" : "lora");

        double Number(string name) => fields.GetProperty(name).GetProperty("default").GetDouble();
    }

    private static Command Command(out TrainingFlags flags)
    {
        var command = new Command("sft");
        flags = SftFlags.Create().AddTo(command);
        return command;
    }

    private static JsonElement[] Classes()
    {
        string? folder = Fixtures.Folder("swift");
        Fixtures.SkipIfAbsent(folder ?? "");
        JsonElement root = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder!, "arguments.json"))).RootElement;
        return [root.GetProperty("classes").GetProperty("SftArguments"), .. root.GetProperty("megatron").EnumerateObject().Select(type => type.Value.GetProperty("fields"))];
    }
}
