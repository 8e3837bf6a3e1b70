using System.Text.Json;
using Glimmer.Cli;
using Glimmer.Formats;
using Glimmer.Inference;
using Glimmer.Models;
using Glimmer.Models.Gguf;
using Glimmer.Tensors;
using Glimmer.Training;

namespace Glimmer.Tests.Cli;

/// <summary>The walk-through of fine-tuning (docs/fine-tuning.md) from end to end on a tiny random model: convert, dry run, train, export, talk, publish.</summary>
public class WalkThroughTests
{
    private const string Config = """
        {"architectures": ["Glm4MoeForCausalLM"], "model_type": "glm4_moe", "vocab_size": 49152, "hidden_size": 16, "intermediate_size": 24, "moe_intermediate_size": 8, "num_hidden_layers": 2,
         "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8, "n_shared_experts": 1, "n_routed_experts": 4, "num_experts_per_tok": 2, "routed_scaling_factor": 1.5, "n_group": 1,
         "topk_group": 1, "norm_topk_prob": true, "first_k_dense_replace": 1, "attention_bias": true, "use_qk_norm": true, "partial_rotary_factor": 0.5, "rope_theta": 10000.0, "hidden_act": "silu",
         "max_position_embeddings": 512, "rms_norm_eps": 1e-05, "tie_word_embeddings": false, "initializer_range": 0.2, "num_nextn_predict_layers": 1}
        """;

    [Fact]
    public void Every_command_of_the_walk_through_runs_and_conversions_change_nothing()
    {
        using var temporary = new TemporaryFolder();
        string model = Model(temporary), data = Data(temporary["train.jsonl"]);

        CommandRun toMcore = CommandRun.Of("export", "--model", model, "--to_mcore", "true", "--torch_dtype", "bfloat16", "--output_dir", temporary["mcore"], "--test_convert_precision", "true").Succeeded();
        AssertExact(toMcore);
        Assert.True(File.Exists(Path.Combine(temporary["mcore"], "latest_checkpointed_iteration.txt")));

        CommandRun trained = CommandRun.Of(
            "sft", "--load", temporary["mcore"], "--dataset", data, "--train_type", "lora", "--lora_rank", "4", "--lora_alpha", "8", "--target_modules", "linear_qkv", "linear_proj", "--split_dataset_ratio", "0.2",
            "--moe_permute_fusion", "true", "--expert_model_parallel_size", "1", "--moe_grouped_gemm", "true", "--moe_shared_expert_overlap", "true", "--moe_aux_loss_coeff", "1e-3", "--micro_batch_size", "1",
            "--global_batch_size=4", "--recompute_granularity", "full", "--recompute_method", "uniform", "--recompute_num_layers", "1", "--max_epochs", "2", "--finetune", "true", "--cross_entropy_loss_fusion", "true",
            "--lr", "1e-2", "--lr_warmup_fraction", "0.05", "--min_lr", "1e-3", "--save", temporary["run"], "--eval_interval", "2", "--save_interval", "2", "--packing", "true", "--max_length", "128",
            "--num_workers", "8", "--dataset_num_proc", "8", "--no_save_optim", "true", "--no_save_rng", "true", "--sequence_parallel", "true", "--attention_backend", "flash", "--threads", "1").Succeeded();
        Assert.Contains("--sequence_parallel has no effect here", trained.Error, StringComparison.Ordinal);
        Assert.Contains("held-out loss", trained.Output, StringComparison.Ordinal);
        string run = Assert.Single(Directory.GetDirectories(temporary["run"])), checkpoint = trained.Lines[^1].Split(": ")[0];
        Assert.StartsWith("v0-", Path.GetFileName(run), StringComparison.Ordinal);
        Assert.False(Directory.Exists(Path.Combine(checkpoint, "optimizer")));
        Assert.Equal("4", JsonDocument.Parse(File.ReadAllBytes(Path.Combine(run, "args.json"))).RootElement.GetProperty("lora_rank").GetString());

        CommandRun toHf = CommandRun.Of("export", "--mcore_adapters", checkpoint, "--to_hf", "true", "--torch_dtype", "bfloat16", "--output_dir", temporary["hf"], "--test_convert_precision", "true").Succeeded();
        AssertExact(toHf);
        AssertExact(CommandRun.Of("export", "--mcore_model", temporary["mcore"], "--to_hf", "true", "--output_dir", temporary["back"], "--test_convert_precision", "true").Succeeded());
        AssertSameWeights(model, temporary["back"]);

        Assert.NotEmpty(CommandRun.Of("infer", "--model", temporary["hf"], "--stream", "true", "--max_new_tokens", "4", "--temperature", "0", "--query", "Hello").Succeeded().Output.Trim());
        Assert.NotEmpty(CommandRun.Of("infer", "--adapters", checkpoint, "--max_new_tokens", "4", "--query", "Hello").Succeeded().Output.Trim());

        CommandRun published = CommandRun.Of("export", "--model", temporary["hf"], "--publish", temporary["published"], "--license", "mit", "--push_to_hub", "true", "--hub_model_id", "me/tiny", "--hub_token", "secret").Succeeded();
        Assert.DoesNotContain("secret", published.Output + published.Error, StringComparison.Ordinal);
        Assert.Contains("license: mit", File.ReadAllText(Path.Combine(temporary["published"], "README.md")), StringComparison.Ordinal);
        using Checkpoint read = Checkpoint.Open(temporary["published"]);
        Assert.Equal("glm4_moe", read.Config.ModelType);
    }

    [Fact]
    public void A_dry_run_shows_samples_with_their_loss_and_every_bad_record()
    {
        using var temporary = new TemporaryFolder();
        string model = Model(temporary), data = Data(temporary["train.jsonl"]);
        File.AppendAllLines(data, ["""{"messages":[{"role":"user","content":"no answer"}]}""", "{broken"]);
        CommandRun dry = CommandRun.Of("sft", "--model", model, "--dataset", data, "--target_modules", "linear_qkv", "--max_length", "128", "--dry_run", "--dry_run_samples", "1", "--threads", "1");
        Assert.Equal(ExitCodes.Failure, dry.ExitCode);
        Assert.Contains("train.jsonl:13: the last message is from 'user'", dry.Error, StringComparison.Ordinal);
        Assert.Contains("train.jsonl:14: not valid JSON", dry.Error, StringComparison.Ordinal);
        Assert.Contains("12 to train on", dry.Output, StringComparison.Ordinal);
        Assert.Contains("⟦1<|im_end|>⟧", dry.Output, StringComparison.Ordinal);
        Assert.Contains("tokens/s", dry.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void A_recipe_gives_flags_and_the_command_line_wins()
    {
        using var temporary = new TemporaryFolder();
        string model = Model(temporary), data = Data(temporary["train.jsonl"]);
        File.WriteAllText(temporary["recipe.yaml"], $"model: {model}\ndataset:\n  - {data}\ntuner_type: full\nmax_steps: 5\nglobal_batch_size: 4\nmax_length: 128\nadd_version: false\noutput_dir: {temporary["run"]}\nlearning_rate: 1e-3\n");
        CommandRun run = CommandRun.Of("sft", temporary["recipe.yaml"], "--max_steps", "1", "--threads", "1").Succeeded();
        Assert.Contains("checkpoint-1: 1 steps", run.Output, StringComparison.Ordinal);
        using Checkpoint trained = Checkpoint.Open(Path.Combine(temporary["run"], "checkpoint-1"));
        Assert.Equal("glm4_moe", trained.Config.ModelType);
    }

    [Theory]
    [InlineData("--lora_rnak", "8", "Did you mean '--lora_rank'")]
    [InlineData("--lora_rank", "many", "--lora_rank is 'many'; expected a whole number")]
    [InlineData("--expert_model_parallel_size", "4", "needs 4 ranks")]
    [InlineData("--loss_scale", "some", "has the part 'some'")]
    [InlineData("--packing", "maybe", "--packing is 'maybe'; expected true or false")]
    [InlineData("--tuner_type", "adalora", "expected one of lora, full")]
    [InlineData("--optim", "muon", "is for --tuner_type full")]
    [InlineData("--early_stop_interval", "2", "needs held-out samples")]
    [InlineData("--lr_wsd_decay_iters", "5", "is for --lr_scheduler_type WSD")]
    [InlineData("--lr_decay_style", "wsd", "expected one of cosine, linear, constant, WSD")]
    public void A_wrong_flag_is_refused(string flag, string value, string reason)
    {
        foreach (string[] before in (string[][])[[], ["--moe_grouped_gemm", "true"], ["--target_modules", "linear_qkv"]])
        {
            CommandRun run = CommandRun.Of(["sft", "--model", "x", "--dataset", "y.jsonl", "--output_dir", "z", .. before, flag, value]);
            Assert.Equal(ExitCodes.Usage, run.ExitCode);
            Assert.Contains(reason, run.Error, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_flag_on_the_command_line_wins_in_either_spelling()
    {
        using var temporary = new TemporaryFolder();
        string model = Model(temporary), data = Data(temporary["train.jsonl"]);
        File.WriteAllText(temporary["recipe.yaml"], $"model: {model}\ndataset: {data}\nadd_version: false\nsave: {temporary["other"]}\nlr: 1e-3\ntarget_modules: linear_qkv\nmax_length: 128\n");
        CommandRun.Of("sft", temporary["recipe.yaml"], "--output-dir", temporary["run"], "--learning-rate", "0", "--max-steps", "1", "--threads", "1").Succeeded();
        Assert.False(Directory.Exists(temporary["other"]));
        Assert.Contains("\"lr\":0,", File.ReadLines(Path.Combine(temporary["run"], "log.jsonl")).First(), StringComparison.Ordinal);
    }

    [Fact]
    public void Steps_that_are_given_win_over_epochs_and_a_run_goes_on_from_its_newest_checkpoint_alone()
    {
        using var temporary = new TemporaryFolder();
        string model = Model(temporary), data = Data(temporary["train.jsonl"]);
        string[] flags = ["sft", "--model", model, "--dataset", data, "--target_modules", "linear_qkv", "--max_length", "128", "--global_batch_size", "4", "--threads", "1"];
        Assert.Contains("checkpoint-7: 7 steps", CommandRun.Of([.. flags, "--output_dir", temporary["run"], "--add_version", "false", "--max_steps", "7", "--save_steps", "4", "--lr", "1e-3"]).Succeeded().Output, StringComparison.Ordinal);

        CommandRun older = CommandRun.Of([.. flags, "--resume_from_checkpoint", temporary["run/checkpoint-4"]]);
        Assert.Equal(ExitCodes.Usage, older.ExitCode);
        Assert.Contains("goes on from its newest checkpoint, 'checkpoint-7'", older.Error, StringComparison.Ordinal);
        Directory.CreateDirectory(temporary["outer/v0-empty"]);
        Directory.CreateDirectory(temporary["outer/v1-trained/checkpoint-7"]);
        CommandRun outer = CommandRun.Of([.. flags, "--resume_from_checkpoint", temporary["outer"]]);
        Assert.Equal(ExitCodes.Usage, outer.ExitCode);
        Assert.Contains($"holds no complete checkpoint. Name a run in it: {temporary["outer/v1-trained"]}.", outer.Error, StringComparison.Ordinal);
        CommandRun both = CommandRun.Of([.. flags, "--resume_from_checkpoint", temporary["run"], "--finetune", "true"]);
        Assert.Contains("Leave one out", both.Error, StringComparison.Ordinal);
        CommandRun resumed = CommandRun.Of([.. flags, "--resume_from_checkpoint", temporary["run/checkpoint-7"], "--max_steps", "8", "--lr", "2e-3"]).Succeeded();
        Assert.Contains("checkpoint-8: 8 steps", resumed.Output, StringComparison.Ordinal);
        Assert.Contains("other settings than it had: learning_rate \"1e-3\" -> \"2e-3\", max_steps \"7\" -> \"8\"", resumed.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_rate_that_falls_at_the_end_and_weights_in_bf16_are_taken_from_the_flags()
    {
        using var temporary = new TemporaryFolder();
        string model = Model(temporary), data = Data(temporary["train.jsonl"]);
        string[] flags = ["sft", "--model", model, "--dataset", data, "--tuner_type", "full", "--max_length", "128", "--global_batch_size", "4", "--threads", "1", "--max_steps", "4", "--lr", "1e-3", "--add_version", "false"];
        CommandRun.Of([.. flags, "--output_dir", temporary["run"], "--lr_decay_style", "WSD", "--lr_wsd_decay_iters", "2", "--torch_dtype", "bfloat16"]).Succeeded();
        Assert.Equal([1e-3, 1e-3, 1e-3, Math.Round(1e-3 * ((2 * Math.Sqrt(0.5)) - 1), 15)], Rates("run"));
        using (Checkpoint stored = Checkpoint.Open(temporary["run/checkpoint-4"]))
            Assert.Equal(DType.BF16, stored.Weights.Get("model.embed_tokens.weight").Type);

        CommandRun.Of([.. flags, "--output_dir", temporary["root"], "--lr_scheduler_type", "inverse_sqrt", "--warmup_steps", "1"]).Succeeded();
        Assert.Equal([0, 1e-3, Math.Round(1e-3 / Math.Sqrt(2), 15), Math.Round(1e-3 / Math.Sqrt(3), 15)], Rates("root"));

        IEnumerable<double> Rates(string run) => File.ReadLines(Path.Combine(temporary[run], "log.jsonl")).Select(line => JsonDocument.Parse(line).RootElement).Where(line => line.TryGetProperty("lr", out _)).Select(line => Math.Round(line.GetProperty("lr").GetDouble(), 15));
    }

    [Fact]
    public void Exist_ok_replaces_a_folder_when_the_new_one_is_complete_and_never_its_source()
    {
        using var temporary = new TemporaryFolder();
        string model = Model(temporary), output = temporary["out"];
        CommandRun.Of("export", "--model", model, "--to_mcore", "true", "--output_dir", output).Succeeded();
        CommandRun.Of("export", "--model", model, "--to_hf", "true", "--output_dir", output, "--exist_ok", "true", "--test_convert_precision", "true").Succeeded();
        using (Checkpoint replaced = Checkpoint.Open(output))
            Assert.Equal("glm4_moe", replaced.Config.ModelType);
        Assert.False(File.Exists(Path.Combine(output, "latest_checkpointed_iteration.txt")));

        foreach (string target in (string[])[model, model + "/", temporary["model/sub"]])
        {
            Directory.CreateDirectory(target);
            CommandRun same = CommandRun.Of("export", "--model", model, "--to_hf", "true", "--output_dir", target, "--exist_ok", "true");
            Assert.Equal(ExitCodes.Usage, same.ExitCode);
            Assert.Contains("Choose another --output_dir", same.Error, StringComparison.Ordinal);
        }

        // A source that cannot be converted leaves the old output as it is.
        File.WriteAllText(temporary["model/config.json"], "{}");
        Assert.NotEqual(0, CommandRun.Of("export", "--model", model, "--to_hf", "true", "--output_dir", output, "--exist_ok", "true").ExitCode);
        Assert.True(File.Exists(Path.Combine(output, "model.safetensors")));
        Assert.Equal([output], Directory.GetDirectories(Path.GetDirectoryName(output)!, "out*"));
    }

    // A random bf16 model with tokenizer and template of the embedded one.
    private static string Model(TemporaryFolder temporary)
    {
        ModelInitializer.Write(Config, temporary["fp32"], 1);
        CheckpointConverter.Convert(temporary["fp32"], temporary["model"], DType.BF16);
        using GgufFile gguf = GgufFile.Open(EmbeddedModel.Find());
        TokenizerFromGguf.Write(gguf, Config, temporary["model"]);
        return temporary["model"];
    }

    private static string Data(string path)
    {
        File.WriteAllLines(path, Enumerable.Range(0, 12).Select(i => $$"""{"messages":[{"role":"system","content":"s"},{"role":"user","content":"How much is {{i}}+1?"},{"role":"assistant","content":"{{i + 1}}"}]}"""));
        return path;
    }

    private static void AssertExact(CommandRun run)
    {
        Assert.Contains("every bit is the same", run.Output, StringComparison.Ordinal);
        Assert.Contains("logits: mean difference 0, largest 0; with loss: mean 0, largest 0", run.Output, StringComparison.Ordinal);
        Assert.Contains(", 0 differ", run.Output, StringComparison.Ordinal);
        Assert.Contains("precision test passed", run.Output, StringComparison.Ordinal);
    }

    private static void AssertSameWeights(string expected, string actual)
    {
        using Checkpoint before = Checkpoint.Open(expected), after = Checkpoint.Open(actual);
        Assert.Equal(before.Weights.Tensors.Select(t => t.ToString()).Order(StringComparer.Ordinal), after.Weights.Tensors.Select(t => t.ToString()).Order(StringComparer.Ordinal));
        foreach (TensorInfo tensor in before.Weights.Tensors)
        {
            byte[] first = new byte[tensor.SizeBytes], second = new byte[tensor.SizeBytes];
            before.Weights.ReadRows(tensor.Name, 0, (int)tensor.Rows, first);
            after.Weights.ReadRows(tensor.Name, 0, (int)tensor.Rows, second);
            Assert.True(first.AsSpan().SequenceEqual(second), tensor.Name);
        }
    }
}
