using System.Text;
using System.Text.Json.Nodes;
using Glimmer.Formats;
using Glimmer.Inference;
using Glimmer.Kernels;
using Glimmer.Models;
using Glimmer.Models.Upcycling;
using Glimmer.Tensors;
using Glimmer.Tokenization;

namespace Glimmer.Training.Upcycling;

/// <summary>
/// Makes a GLM of a dense model: writes the addition to a trunk that turns it into a <c>glm4_moe</c> with routed experts, GLM-4.7's control tokens and chat template, an MTP layer and low-rank factors.
/// </summary>
/// <remarks>
/// The trunk's file stays as it is. Its feed-forward network becomes the shared expert; new down-projections and the factors B are zero, so at first the logits of the trunk's tokens are the trunk's, bit for
/// bit. The MTP layer starts from a copy of the trunk's last layer, which is read from the same file. Sparse upcycling: Komatsuzaki et al. 2022 (arXiv 2212.05055), here with small experts beside the dense
/// network.
/// </remarks>
public static class Upcycler
{
    /// <summary>Writes the start state: fp32, seeded.</summary>
    /// <param name="trunkPath">A GGUF file of a dense <c>llama</c> model with tied embeddings.</param>
    /// <param name="folder">Folder to write to; it is created.</param>
    /// <param name="options">What is added.</param>
    /// <exception cref="UnsupportedModelException">The trunk is of another kind.</exception>
    /// <exception cref="ArgumentException">A size does not fit the trunk.</exception>
    public static void Write(string trunkPath, string folder, UpcycleOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        using Checkpoint trunk = Checkpoint.Open(trunkPath);
        Check(trunk, options);
        Tokenizer tokenizer = TokenizerFiles.FromGguf(trunk.Gguf!);
        ControlToken[] controls = [.. ControlTokens.All.Where(token => tokenizer.TokenToId(token.Text) is null)];
        Directory.CreateDirectory(folder);
        TokenizerAdditions.Write(
            Path.Combine(folder, TokenizerAdditions.FileName), controls.Select((token, i) => new AddedToken(trunk.Config.VocabSize + i, token.Text, token.IsSpecial)));
        WriteText(folder, "chat_template.jinja", Template());
        string configJson = ConfigJson(trunk, options, controls);
        WriteText(folder, "generation_config.json", GenerationJson(trunk, tokenizer, controls));
        ModelConfig config = ModelConfig.Parse(Encoding.UTF8.GetBytes(configJson));
        WriteTensors(trunk, tokenizer, config, controls, folder, options);
        WriteText(folder, "config.json", configJson); // last: with it the folder is a model
        if (options.Rank > 0)
            WriteAdapter(folder, trunk, options);
    }

    /// <summary>The chat template of upcycled models: what GLM-4.7's renders, written for this project.</summary>
    public static string Template()
    {
        using Stream stream = typeof(Upcycler).Assembly.GetManifestResourceStream("chat_template.jinja") ?? throw new InvalidOperationException("The assembly does not contain 'chat_template.jinja'.");
        using var reader = new StreamReader(stream, Encoding.UTF8);
        return reader.ReadToEnd().ReplaceLineEndings("\n").TrimEnd('\n');
    }

    private static void Check(Checkpoint trunk, UpcycleOptions options)
    {
        ModelConfig config = trunk.Config;
        if (trunk.Gguf is null || config.ModelType != "llama" || trunk.Weights.Find("lm_head.weight") is not null)
            throw new UnsupportedModelException($"'{trunk.Path}' is no dense llama model in GGUF with tied embeddings; only such a trunk can be upcycled.");
        ArgumentOutOfRangeException.ThrowIfLessThan(options.Experts, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(options.ExpertsPerToken, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(options.ExpertsPerToken, options.Experts);
        ArgumentOutOfRangeException.ThrowIfNegative(options.FirstSparseLayer);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(options.FirstSparseLayer, config.NumHiddenLayers);
        ArgumentOutOfRangeException.ThrowIfNegative(options.Rank);
        ArgumentOutOfRangeException.ThrowIfNegative(options.DraftTokens);
        if (options.ExpertWidth < 1 || config.IntermediateSize % options.ExpertWidth != 0)
            throw new ArgumentException($"The width of an expert is {options.ExpertWidth}; it must divide {config.IntermediateSize}, the width of the feed-forward network that becomes the shared expert.");
    }

    private static string ConfigJson(Checkpoint trunk, UpcycleOptions options, ControlToken[] controls)
    {
        ModelConfig config = trunk.Config;
        var json = new JsonObject
        {
            ["architectures"] = new JsonArray("Glm4MoeForCausalLM"),
            ["model_type"] = "glm4_moe",
            ["vocab_size"] = config.VocabSize + controls.Length,
            ["hidden_size"] = config.HiddenSize,
            ["intermediate_size"] = config.IntermediateSize,
            ["num_hidden_layers"] = config.NumHiddenLayers,
            ["num_attention_heads"] = config.NumAttentionHeads,
            ["num_key_value_heads"] = config.NumKeyValueHeads,
            ["head_dim"] = config.HeadDim,
            ["first_k_dense_replace"] = options.FirstSparseLayer,
            ["n_routed_experts"] = options.Experts,
            ["num_experts_per_tok"] = options.ExpertsPerToken,
            ["n_shared_experts"] = config.IntermediateSize / options.ExpertWidth,
            ["moe_intermediate_size"] = options.ExpertWidth,
            ["n_group"] = 1,
            ["topk_group"] = 1,
            ["norm_topk_prob"] = true,
            ["routed_scaling_factor"] = 1.0,
            ["num_nextn_predict_layers"] = options.NextToken ? 1 : 0,
            ["hidden_act"] = "silu",
            ["max_position_embeddings"] = config.MaxPositionEmbeddings,
            ["rms_norm_eps"] = config.RmsNormEps,
            ["rope_parameters"] = new JsonObject { ["rope_type"] = "default", ["rope_theta"] = config.RopeTheta, ["partial_rotary_factor"] = 1.0 },
            ["use_qk_norm"] = false,
            ["attention_bias"] = false,
            ["tie_word_embeddings"] = true,
            ["initializer_range"] = 0.02,
            ["dtype"] = "float32",
        };
        TrunkReference.Of(trunk.Path, options.NextToken ? config.NumHiddenLayers - 1 : -1).WriteTo(json);
        return Text(json);
    }

    // An answer ends at the token that opens the next turn.
    private static string GenerationJson(Checkpoint trunk, Tokenizer tokenizer, ControlToken[] controls)
    {
        var ends = new JsonArray();
        foreach (string end in (ReadOnlySpan<string>)["<|endoftext|>", "<|user|>", "<|observation|>"])
            ends.Add((JsonNode)(tokenizer.TokenToId(end) ?? trunk.Config.VocabSize + Array.FindIndex(controls, token => token.Text == end)));
        return Text(new JsonObject { ["eos_token_id"] = ends });
    }

    private static void WriteTensors(Checkpoint trunk, Tokenizer tokenizer, ModelConfig config, ControlToken[] controls, string folder, UpcycleOptions options)
    {
        string added = ParameterLoader.AddedRowsOf("model.embed_tokens.weight"), list = NextTokenHead.DraftTokensOf(config.NumHiddenLayers);
        bool drafts = options.NextToken && options.DraftTokens > 0;
        TensorInfo[] infos =
        [
            new(added, DType.F32, [controls.Length, config.HiddenSize]),
            .. NewTensors(trunk, config).Select(tensor => new TensorInfo(tensor.Name, DType.F32, tensor.Shape)),
            .. drafts ? [new TensorInfo(list, DType.I32, [Math.Min(options.DraftTokens, trunk.Config.VocabSize)])] : Array.Empty<TensorInfo>(),
        ];
        using SafetensorsWriter writer = SafetensorsWriter.Create(folder, infos, metadata: new Dictionary<string, string> { ["format"] = "pt" });
        for (int i = 0; i < infos.Length; i++)
        {
            using Tensor values = Tensor.Allocate(infos[i].Type, infos[i].Shape);
            if (infos[i].Name == added)
                FillRows(trunk, tokenizer, controls, values.F32, options.Seed, config.HiddenSize);
            else if (infos[i].Name == list)
                TokenFrequency.MostFrequent(tokenizer, trunk.Config.VocabSize, values.I32.Length, options.FrequencyTexts).CopyTo(values.I32);
            else
                Fill(trunk, config, infos[i], values.F32, options.Seed, i);
            writer.BeginTensor(infos[i].Name);
            writer.Write(values.Bytes);
        }

        writer.Complete();
    }

    // What the configuration asks for and the trunk does not have.
    private static IEnumerable<LayoutTensor> NewTensors(Checkpoint trunk, ModelConfig config)
    {
        TrunkReference reference = new(Path.GetFileName(trunk.Path), 0, "", config.NumHiddenLayers - 1);
        var there = trunk.Weights.Tensors.SelectMany(tensor => reference.NamesOf(tensor.Name, config)).ToHashSet(StringComparer.Ordinal);
        return CheckpointLayout.All(config, config.NumNextnPredictLayers > 0).Where(tensor => !tensor.IsOptional && !there.Contains(tensor.Name));
    }

    private static void Fill(Checkpoint trunk, ModelConfig config, TensorInfo info, Span<float> values, ulong seed, int tensor)
    {
        string mtp = string.Create(System.Globalization.CultureInfo.InvariantCulture, $"model.layers.{config.NumHiddenLayers}.");
        if (info.Name.EndsWith("down_proj.weight", StringComparison.Ordinal) || info.Name.EndsWith("bias", StringComparison.Ordinal))
        {
            values.Clear();
        }
        else if (info.Name == mtp + "eh_proj.weight")
        {
            // Both halves pass through: the layer sees the sum of the next token and the state.
            values.Clear();
            for (int i = 0; i < config.HiddenSize; i++)
                values[(i * 2 * config.HiddenSize) + i] = values[(i * 2 * config.HiddenSize) + config.HiddenSize + i] = 1;
        }
        else if (info.Name == mtp + "shared_head.norm.weight")
        {
            trunk.Weights.ReadFloat32("model.norm.weight", values);
        }
        else if (info.Name.StartsWith(mtp, StringComparison.Ordinal) && info.Name.EndsWith("layernorm.weight", StringComparison.Ordinal))
        {
            trunk.Weights.ReadFloat32(info.Name.Replace(mtp, string.Create(System.Globalization.CultureInfo.InvariantCulture, $"model.layers.{config.NumHiddenLayers - 1}."), StringComparison.Ordinal), values);
        }
        else if (info.Shape.Length == 1)
        {
            values.Fill(1);
        }
        else
        {
            for (int i = 0; i < values.Length; i++)
                values[i] = (float)(config.InitializerRange * Normal(seed, ((long)tensor << 32) + i));
        }
    }

    private static void FillRows(Checkpoint trunk, Tokenizer tokenizer, ControlToken[] controls, Span<float> rows, ulong seed, int dim)
    {
        const float Noise = 0.1f; // of the row's own size: tokens that start from the same words must differ
        var row = new float[dim];
        for (int t = 0; t < controls.Length; t++)
        {
            int[] like = tokenizer.Encode(controls[t].Like, new EncodeOptions { AddedTokens = AddedTokenMatching.All });
            Span<float> sum = rows.Slice(t * dim, dim);
            sum.Clear();
            foreach (int id in like)
            {
                trunk.Weights.ReadFloat32Rows("model.embed_tokens.weight", id, 1, row);
                for (int i = 0; i < dim; i++)
                    sum[i] += row[i] / like.Length;
            }

            double square = 0;
            foreach (float value in sum)
                square += (double)value * value;
            float size = Noise * (float)Math.Sqrt(square / dim);
            for (int i = 0; i < dim; i++)
                sum[i] += size * (float)Normal(seed, (1L << 62) + ((long)t << 32) + i);
        }
    }

    private static void WriteAdapter(string folder, Checkpoint trunk, UpcycleOptions options)
    {
        using var team = new ThreadTeam(1);
        using Checkpoint made = Checkpoint.Open(folder);
        using CausalLm model = made.LoadModel(team);
        using LoraAdapter adapter = LoraAdapter.Create(model, new LoraOptions
        {
            Rank = options.Rank,
            Alpha = options.Alpha,
            Seed = options.Seed,
            TargetModules = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
            Layers = [.. Enumerable.Range(0, model.Config.NumHiddenLayers + 1)], // the MTP layer too
        });
        adapter.Save(folder, Path.GetFileName(trunk.Path));
    }

    // Box-Muller.
    private static double Normal(ulong seed, long place)
    {
        double radius = Math.Sqrt(-2 * Math.Log(CounterRandom.Uniform(seed, DrawPurpose.Initialisation, place, 0)));
        return radius * Math.Cos(2 * Math.PI * CounterRandom.Uniform(seed, DrawPurpose.Initialisation, place, 1));
    }

    private static string Text(JsonObject json) => json.ToJsonString(new System.Text.Json.JsonSerializerOptions { WriteIndented = true }) + "\n";

    private static void WriteText(string folder, string name, string text) => AtomicFile.WriteAllBytes(Path.Combine(folder, name), Encoding.UTF8.GetBytes(text));
}
