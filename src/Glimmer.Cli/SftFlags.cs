using Glimmer.Models;
using Glimmer.Training;
using Glimmer.Training.Checkpoints;
using Glimmer.Training.Loops;
using Glimmer.Training.Optimizers;
using Glimmer.Training.Schedules;
using Glimmer.Training.Sft;

namespace Glimmer.Cli;

/// <summary>The flags of <c>glimmer sft</c>: those of ms-swift, in its old and new spellings, and what they mean here.</summary>
internal static class SftFlags
{
    private const string AlwaysOn = "it is always so";
    private const string OneProcess = "one process trains";

    /// <summary>All flags.</summary>
    public static TrainingFlags Create() => new TrainingFlags()
        .One("model", "Folder or file of the model to start from.")
        .One("mcore_model|load", "The same, for a folder under Megatron-core's names.")
        .Many("dataset", "Data files: .jsonl, .json, .csv or .txt; FILE#n takes a sample of n records.")
        .Many("val_dataset", "Data files that are held out as a whole.")
        .One("split_dataset_ratio", "Share of the records held out, chosen by the hash of each. Default: 0.")
        .Switch("strict", "End at the first bad record instead of leaving it out.")
        .One("tuner_type|train_type", "lora or full. Default: lora.")
        .One("lora_rank", "Rank of the adapter. Default: 8.")
        .One("lora_alpha", "The scale is alpha / rank. Default: 32.")
        .One("lora_dropout", "Share of an adapter's inputs that a step leaves out. Default: 0.05, 0 with use_dora.")
        .Switch("use_dora", "Train magnitudes apart from directions.")
        .One("lorap_lr_ratio", "LoRA+: factor of the learning rate of the factors B. Default: 1.")
        .Switch("use_rslora", "The scale is alpha / sqrt(rank).")
        .Many("target_modules", "Adapted layers: q_proj ..., linear_qkv, linear_proj, linear_fc1, linear_fc2, all-linear (default), all-router.")
        .One("target_regex", "Adapted layers by a regular expression for their whole names, instead of target_modules.")
        .Many("target_parameters", "Stacked expert weights that are adapted: mlp.experts.gate_up_proj, mlp.experts.down_proj.")
        .Many("modules_to_save", "Modules trained and stored whole beside the adapter: lm_head, embed_tokens.")
        .Many("freeze_parameters", "full: beginnings of the names of weights that stay as they are.")
        .One("freeze_parameters_regex", "full: weights whose names it is found in stay as they are.")
        .One("freeze_parameters_ratio", "full: share of the model, from its beginning, that stays as it is. Default: 0.")
        .Many("trainable_parameters", "full: beginnings of the names of weights that are trained nevertheless.")
        .One("trainable_parameters_regex", "full: weights whose names it is found in are trained nevertheless.")
        .One("neftune_noise_alpha", "Size of the noise on embeddings (NEFTune). Default: 0.")
        .One("mtp_num_layers", "Depths of the MTP loss, for a model with an MTP layer. Default: 0, which leaves the layer as it is.")
        .One("mtp_loss_scaling_factor", "Weight of the MTP loss. Default: 0.1.")
        .One("max_length", "Most tokens of a sample, and of a packed row. Default: what the model was made for.")
        .One("truncation_strategy", "Longer samples: delete (default), left, right, split.")
        .Switch("packing", "Put several samples into a row, by best fit.")
        .Switch("group_by_length", "Put rows of about the same length together, the longest first.")
        .Switch("train_dataloader_shuffle|dataset_shuffle|shuffle", "Another order every epoch. Default: true.")
        .One("loss_scale", "What carries loss: default, last_round or all; + ignore_empty_think, + ignore_think_prefix, + tool_call=WEIGHT.")
        .Switch("disable_ignore_empty_think", "Learn empty think blocks too.")
        .One("system", "System message of records that have none.")
        .Switch("enable_thinking", "The thinking switch of the template.")
        .Switch("preserve_thinking", "Keep the thinking of earlier rounds. Default: where the template can and every turn is learned.")
        .Switch("add_non_thinking_prefix", "Give answers without thinking the template's empty think block. Default: true.")
        .Switch("special_tokens_in_text", "Recognise control tokens in the text of messages.")
        .Switch("enable_channel_loss", "Log the loss of each channel in every step, and report the held-out loss of each at the end.")
        .Switch("enable_dft_loss", "Multiply the loss of each token by its probability (dynamic fine-tuning).")
        .One("micro_batch_size|per_device_train_batch_size", "Rows at once. Default: 1.")
        .One("global_batch_size", "Rows of a step. Default: 16.")
        .One("gradient_accumulation_steps", "Micro-batches of a step, instead of global_batch_size.")
        .One("num_train_epochs|max_epochs", "Times through the data. Default: 3.")
        .One("max_steps|train_iters", "Steps of the run, through the data as often as they need; instead of num_train_epochs.")
        .One("learning_rate|lr", "Highest learning rate. Default: 1e-4 for lora, 1e-5 for full.")
        .One("min_lr", "Learning rate at the end. Default: 0.")
        .One("warmup_ratio|lr_warmup_fraction", "Warm-up as a share of all steps. Default: 0.")
        .One("warmup_steps|lr_warmup_iters", "Steps of the warm-up.")
        .One("lr_scheduler_type|lr_decay_style", "cosine (default), linear, constant, WSD or inverse-square-root.")
        .One("lr_wsd_decay_iters", "WSD: steps of the fall at the end. Default: a tenth of all.")
        .One("lr_wsd_decay_style", "WSD: exponential (default), linear, cosine or minus_sqrt.")
        .One("not_finite", "A gradient that is not finite: stop (default), or skip the step.")
        .One("optim|optimizer", "adam (default) or muon, which is for full fine-tuning.")
        .One("weight_decay", "Decay of matrices. Default: 0.1.")
        .One("adam_beta1", "Default: 0.9.")
        .One("adam_beta2", "Default: 0.95.")
        .One("adam_epsilon|adam_eps", "Default: 1e-8.")
        .One("max_grad_norm|clip_grad", "Largest gradient norm; 0 for none. Default: 1.")
        .One("moe_aux_loss_coeff|router_aux_loss_coef", "Weight of the sequence balance loss. Default: 0.")
        .One("recompute_granularity", "full: run layers again in the backward pass, which saves memory. selective and none keep everything.")
        .One("seed", "Seed of order, split and adapter. Default: 42.")
        .One("output_dir|save", "Folder of the run.")
        .One("torch_dtype", "full: how checkpoints store weights, which are trained in fp32: float32 (default) or bfloat16. Adapters are stored in fp32.")
        .Switch("add_version", "Put the run into a sub-folder vN-TIME of output_dir. Default: true.")
        .One("resume_from_checkpoint", "Go on with the run in this folder.")
        .One("save_steps|save_interval", "Steps between checkpoints. Default: 500.")
        .One("save_total_limit", "Checkpoints that stay. Default: 2.")
        .One("eval_steps|eval_interval", "Steps between evaluations of the held-out samples. Default: that of save_steps.")
        .One("early_stop_interval", "End after so many evaluations without a better loss.")
        .Switch("no_save_optim", "Leave the optimizer's state out of the checkpoints when the run is over.")
        .Switch("finetune", "Begin at step 0 with the weights alone, as always without resume_from_checkpoint.")
        .Switch("merge_lora", "Also write the model with the adapter added to its weights, as merged/.")
        .One("publish", "Also write a folder to publish: weights, tokenizer, model card.")
        .One("threads", "Computing threads; changes no number. Default: one a processor.")
        .Switch("dry_run", "Show rendered samples with their loss, counts, every bad record, memory and time; train nothing.")
        .One("dry_run_samples", "Samples that dry_run shows. Default: 3.")
        .One("expert_model_parallel_size", "Must be 1: one process trains.")
        .One("tensor_model_parallel_size", "Must be 1.")
        .One("pipeline_model_parallel_size", "Must be 1.")
        .WithoutEffect("bf16", "weights are trained in fp32")
        .WithoutEffect("moe_permute_fusion", AlwaysOn)
        .WithoutEffect("moe_grouped_gemm", AlwaysOn)
        .WithoutEffect("moe_shared_expert_overlap", "there is no dispatch between devices to overlap with")
        .WithoutEffect("cross_entropy_loss_fusion", AlwaysOn)
        .WithoutEffect("cross_entropy_fusion_impl", "there is one implementation")
        .WithoutEffect("recompute_method", "recompute_granularity full recomputes every layer")
        .WithoutEffect("recompute_num_layers", "recompute_granularity full recomputes every layer")
        .WithoutEffect("sequence_parallel", OneProcess)
        .WithoutEffect("attention_backend", "there is one implementation, a flash one")
        .WithoutEffect("attn_impl", "there is one implementation, a flash one")
        .WithoutEffect("dataloader_num_workers|num_workers", "the data is in memory")
        .WithoutEffect("dataset_num_proc", "the data is rendered by one thread")
        .WithoutEffect("logging_steps|log_interval", "every step is logged")
        .WithoutEffect("no_save_rng", "random numbers are functions of the seed; there is no state to save")
        .WithoutEffect("gradient_checkpointing", "use recompute_granularity full")
        .WithoutEffect("use_hf", "models and data are local");

    /// <summary>The options that flags stand for.</summary>
    /// <param name="flags">The flags.</param>
    /// <param name="folder">Folder of the run.</param>
    /// <exception cref="UsageException">A flag has a wrong value, or asks for what there is not.</exception>
    public static SftOptions Options(TrainingFlags flags, string folder)
    {
        foreach (string size in (ReadOnlySpan<string>)["expert_model_parallel_size", "tensor_model_parallel_size", "pipeline_model_parallel_size"])
        {
            if (flags.Whole(size, 1) is > 1 and var ranks)
                throw new UsageException($"--{size} is {ranks}, which needs {ranks} ranks; 'glimmer sft' trains in one process. Set it to 1.");
        }

        if (!flags.Flag("finetune", true) && !flags.Has("resume_from_checkpoint"))
            throw new UsageException("--finetune false goes on with a run, but no run is named. Use --resume_from_checkpoint RUN.");
        int micro = flags.Whole("micro_batch_size", 1) ?? 1;
        int global = flags.Whole("gradient_accumulation_steps", 1) is { } accumulated ? accumulated * micro : flags.Whole("global_batch_size", 1) ?? Math.Max(16, micro);
        if (global % micro != 0)
            throw new UsageException($"--global_batch_size is {global}, no multiple of --micro_batch_size {micro}.");
        ulong seed = (ulong)(flags.Whole("seed") ?? 42);
        bool isFull = flags.Choice("tuner_type", false, ("lora", false), ("full", true));
        if (!isFull && flags.Text("optim") == "muon")
            throw new UsageException("--optim muon is for --tuner_type full; an adapter is trained with AdamW.");
        if (Array.Find(["lr_wsd_decay_iters", "lr_wsd_decay_style"], flags.Has) is { } fall && flags.Text("lr_scheduler_type") is not ("WSD" or "warmup_stable_decay"))
            throw new UsageException($"--{fall} is for --lr_scheduler_type WSD.");
        if (flags.Has("early_stop_interval") && !flags.Has("val_dataset") && (flags.Number("split_dataset_ratio") ?? 0) == 0)
            throw new UsageException("--early_stop_interval needs held-out samples to measure with: give --val_dataset or --split_dataset_ratio.");
        double clip = flags.Number("max_grad_norm") ?? 1;
        int save = flags.Whole("save_steps", 1) ?? 500;
        return new SftOptions
        {
            Model = flags.Text("model") ?? flags.Text("mcore_model") ?? throw new UsageException("--model names the model to train (--mcore_model for a folder under Megatron-core's names)."),
            Dataset = flags.List("dataset"),
            ValidationDataset = flags.List("val_dataset"),
            SplitDatasetRatio = flags.Number("split_dataset_ratio") is { } share ? share < 1 ? share : throw new UsageException("--split_dataset_ratio must be below 1.") : 0,
            Strict = flags.Flag("strict", false),
            Sample = new SftSampleOptions
            {
                LossScale = Scale(flags.Text("loss_scale") ?? "default"),
                System = flags.Text("system"),
                EnableThinking = flags.Has("enable_thinking") ? flags.Flag("enable_thinking", true) : null,
                PreserveThinking = flags.Has("preserve_thinking") ? flags.Flag("preserve_thinking", true) : null,
                AddNonThinkingPrefix = flags.Flag("add_non_thinking_prefix", true),
                ControlTokensInText = flags.Flag("special_tokens_in_text", false),
            },
            IgnoreEmptyThink = !flags.Flag("disable_ignore_empty_think", false),
            MaxLength = flags.Whole("max_length", 2),
            Truncation = flags.Choice("truncation_strategy", TruncationStrategy.Delete, ("delete", TruncationStrategy.Delete), ("left", TruncationStrategy.Left), ("right", TruncationStrategy.Right), ("split", TruncationStrategy.Split)),
            Rows = new SftRowOptions
            {
                Packing = flags.Flag("packing", false),
                MicroBatchSize = micro,
                GlobalBatchSize = global,
                Epochs = flags.Has("max_steps") ? null : flags.Number("num_train_epochs") ?? 3,
                Shuffle = flags.Flag("train_dataloader_shuffle", true),
                GroupByLength = flags.Flag("group_by_length", false),
                Seed = seed,
            },
            Lora = isFull ? null : new LoraOptions
            {
                Rank = flags.Whole("lora_rank", 1) ?? 8,
                Alpha = (float)(flags.Number("lora_alpha") ?? 32),
                UseRsLora = flags.Flag("use_rslora", false),
                UseDora = flags.Flag("use_dora", false),
                Dropout = (float)(flags.Number("lora_dropout") ?? (flags.Flag("use_dora", false) ? 0 : 0.05)),
                TargetModules = flags.Has("target_modules") ? flags.List("target_modules") : flags.Has("target_regex") || flags.Has("target_parameters") ? [] : ["all-linear"],
                TargetPattern = flags.Text("target_regex"),
                TargetParameters = flags.List("target_parameters"),
                ModulesToSave = flags.List("modules_to_save"),
                Seed = seed,
            },
            Parameters = Selection(flags, isFull),
            LoraPlusRatio = flags.Number("lorap_lr_ratio") ?? 1,
            EmbeddingNoise = flags.Number("neftune_noise_alpha") ?? 0,
            DynamicLoss = flags.Flag("enable_dft_loss", false),
            ChannelLosses = flags.Flag("enable_channel_loss", false),
            NextTokenDepths = flags.Whole("mtp_num_layers") ?? 0,
            NextTokenWeight = flags.Number("mtp_loss_scaling_factor") ?? 0.1,
            LearningRate = flags.Number("learning_rate"),
            MinLearningRate = flags.Number("min_lr") ?? 0,
            WarmupFraction = flags.Number("warmup_ratio") ?? 0,
            WarmupSteps = flags.Whole("warmup_steps"),
            Decay = flags.Choice("lr_scheduler_type", RateDecay.Cosine, ("cosine", RateDecay.Cosine), ("linear", RateDecay.Linear), ("constant", RateDecay.Constant),
                ("WSD", RateDecay.WarmupStableDecay), ("warmup_stable_decay", RateDecay.WarmupStableDecay), ("inverse-square-root", RateDecay.InverseSquareRoot), ("inverse_sqrt", RateDecay.InverseSquareRoot)),
            StableDecaySteps = flags.Whole("lr_wsd_decay_iters", 1),
            StableDecayShape = flags.Choice("lr_wsd_decay_style", DecayShape.Exponential, ("exponential", DecayShape.Exponential), ("linear", DecayShape.Linear), ("cosine", DecayShape.Cosine), ("minus_sqrt", DecayShape.OneMinusRoot)),
            NotFinite = flags.Choice("not_finite", NotFiniteGradient.Stop, ("stop", NotFiniteGradient.Stop), ("skip", NotFiniteGradient.Skip)),
            Optimizer = flags.Choice("optim", MatrixRule.AdamW, ("adam", MatrixRule.AdamW), ("adamw_torch", MatrixRule.AdamW), ("adamw_torch_fused", MatrixRule.AdamW), ("muon", MatrixRule.Muon)),
            AdamW = new AdamWOptions { Beta1 = flags.Number("adam_beta1") ?? 0.9, Beta2 = flags.Number("adam_beta2") ?? 0.95, Epsilon = flags.Number("adam_epsilon") ?? 1e-8 },
            WeightDecay = (float)(flags.Number("weight_decay") ?? 0.1),
            ClipNorm = clip == 0 ? null : clip,
            BalanceWeight = flags.Number("moe_aux_loss_coeff") ?? 0,
            Recompute = flags.Choice("recompute_granularity", false, ("none", false), ("selective", false), ("full", true)),
            Run = new RunOptions
            {
                Folder = folder,
                Steps = flags.Whole("max_steps", 1),
                SaveEvery = save,
                KeepCheckpoints = flags.Whole("save_total_limit", 1) ?? 2,
                EvaluateEvery = flags.Whole("eval_steps", 1) ?? save,
                EarlyStop = flags.Whole("early_stop_interval", 1) ?? 0,
            },
            Storage = flags.Choice("torch_dtype", WeightStorage.Float32, ("float32", WeightStorage.Float32), ("bfloat16", WeightStorage.Bfloat16)),
            DropOptimizer = flags.Flag("no_save_optim", false),
            Threads = flags.Whole("threads", 1) ?? Environment.ProcessorCount,
        };
    }

    private static ParameterSelection? Selection(TrainingFlags flags, bool isFull)
    {
        string[] names = ["freeze_parameters", "freeze_parameters_regex", "freeze_parameters_ratio", "trainable_parameters", "trainable_parameters_regex"];
        if (Array.Find(names, flags.Has) is not { } given)
            return null;
        if (!isFull)
            throw new UsageException($"--{given} is for --tuner_type full; an adapter leaves all weights of the model as they are.");
        return new ParameterSelection
        {
            Frozen = flags.List("freeze_parameters"),
            FrozenPattern = flags.Text("freeze_parameters_regex"),
            FrozenRatio = flags.Number("freeze_parameters_ratio") ?? 0,
            Trained = flags.List("trainable_parameters"),
            TrainedPattern = flags.Text("trainable_parameters_regex"),
        };
    }

    private static LossScale Scale(string text)
    {
        try
        {
            return LossScale.Parse(text);
        }
        catch (FormatException error)
        {
            throw new UsageException(error.Message);
        }
    }
}
