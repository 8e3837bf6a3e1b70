using System.Text.Json;
using Glimmer.Formats;
using Glimmer.Inference.Inspection;
using Glimmer.Models;
using Glimmer.Tensors;
using Glimmer.Tokenization;

namespace Glimmer.Cli;

/// <summary>An inspection as JSON.</summary>
internal static class InspectionJson
{
    /// <summary>Writes one object.</summary>
    public static void Write(Utf8JsonWriter writer, CheckpointReport? report, HardwareReport? hardware, bool tensors)
    {
        writer.WriteStartObject();
        if (report is not null)
            Write(writer, report, tensors);
        if (hardware is not null)
        {
            writer.WriteStartObject("hardware");
            writer.WriteString("processor", hardware.Processor);
            writer.WriteNumber("cores", hardware.Cores);
            writer.WriteString("kernels", hardware.Kernels.ToString());
            writer.WriteString("integer_products", hardware.IntegerProducts);
            writer.WriteNumber("vector_bits", hardware.VectorBits);
            writer.WriteNumber("memory_bytes", hardware.MemoryBytes);
            writer.WriteNumber("available_bytes", hardware.AvailableBytes);
            writer.WriteString("huge_pages", hardware.HugePages);
            writer.WriteStartArray("weight_forms");
            foreach (DType form in hardware.WeightForms)
                writer.WriteStringValue(form.ToString());
            writer.WriteEndArray();
            writer.WriteString("kv_cache_type", hardware.CacheType.ToString());
            writer.WriteString("runtime", hardware.Runtime);
            writer.WriteEndObject();
        }

        writer.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter writer, CheckpointReport report, bool tensors)
    {
        writer.WriteString("path", report.Path);
        writer.WriteString("kind", report.Kind.ToString().ToLowerInvariant());
        writer.WriteString("architecture", report.Architecture);
        writer.WriteString("model_type", report.Config?.ModelType);
        if (report.Gguf is { } gguf)
        {
            writer.WriteStartObject("gguf");
            writer.WriteNumber("version", gguf.Version);
            writer.WriteNumber("parts", gguf.Parts);
            writer.WriteEndObject();
        }

        if (report.Parameters is { } count)
        {
            writer.WriteStartObject("parameters");
            writer.WriteNumber("total", count.Total);
            writer.WriteNumber("trunk", count.Trunk);
            writer.WriteNumber("mtp", count.NextToken);
            writer.WriteNumber("active", count.Active);
            writer.WriteNumber("active_without_head", count.Active - count.ActiveHead);
            writer.WriteEndObject();
        }

        writer.WriteStartObject("weights");
        writer.WriteNumber("tensors", report.Tensors.Count);
        writer.WriteNumber("numbers", report.StoredElements);
        writer.WriteNumber("bytes", report.StoredBytes);
        writer.WriteStartArray("types");
        foreach (TypeShare share in report.Types)
        {
            writer.WriteStartObject();
            writer.WriteString("type", share.Type.ToString());
            writer.WriteNumber("tensors", share.Tensors);
            writer.WriteNumber("numbers", share.Elements);
            writer.WriteNumber("bytes", share.Bytes);
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
        writer.WriteEndObject();
        if (report.Config is { } config)
            Config(writer, report, config);
        Tokens(writer, report);
        writer.WriteStartArray("files");
        foreach ((string name, long bytes) in report.Files)
        {
            writer.WriteStartObject();
            writer.WriteString("name", name);
            writer.WriteNumber("bytes", bytes);
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
        if (tensors)
            Tensors(writer, report.Tensors);
        writer.WriteStartArray("problems");
        foreach (string problem in report.Problems)
            writer.WriteStringValue(problem);
        writer.WriteEndArray();
    }

    // Names of config.json, but for the list of layers, which is counted.
    private static void Config(Utf8JsonWriter writer, CheckpointReport report, ModelConfig config)
    {
        writer.WriteStartObject("config");
        writer.WriteNumber("num_hidden_layers", config.NumHiddenLayers);
        writer.WriteNumber("sparse_layers", config.SparseLayers.Count(isSparse => isSparse));
        writer.WriteNumber("hidden_size", config.HiddenSize);
        writer.WriteNumber("intermediate_size", config.IntermediateSize);
        writer.WriteNumber("num_attention_heads", config.NumAttentionHeads);
        writer.WriteNumber("num_key_value_heads", config.NumKeyValueHeads);
        if (config.Architecture == ModelArchitecture.Glm4Moe)
        {
            writer.WriteNumber("head_dim", config.HeadDim);
        }
        else
        {
            if (config.QLoraRank is { } rank)
                writer.WriteNumber("q_lora_rank", rank);
            writer.WriteNumber("kv_lora_rank", config.KvLoraRank);
            writer.WriteNumber("qk_nope_head_dim", config.QkNopeHeadDim);
            writer.WriteNumber("qk_rope_head_dim", config.QkRopeHeadDim);
            writer.WriteNumber("v_head_dim", config.VHeadDim);
        }

        if (config.Architecture == ModelArchitecture.GlmMoeDsa)
        {
            writer.WriteNumber("index_topk", config.IndexTopk);
            writer.WriteNumber("indexer_layers", config.IndexerLayers.Count(own => own));
        }

        writer.WriteNumber("n_routed_experts", config.NRoutedExperts);
        writer.WriteNumber("n_shared_experts", config.NSharedExperts);
        writer.WriteNumber("num_experts_per_tok", config.NumExpertsPerTok);
        writer.WriteNumber("moe_intermediate_size", config.MoeIntermediateSize);
        writer.WriteNumber("num_nextn_predict_layers", config.NumNextnPredictLayers);
        writer.WriteBoolean("mtp_weights", report.HasNextToken);
        writer.WriteNumber("max_position_embeddings", config.MaxPositionEmbeddings);
        writer.WriteNumber("vocab_size", config.VocabSize);
        writer.WriteBoolean("tie_word_embeddings", config.TieWordEmbeddings);
        writer.WriteNumber("rope_theta", config.RopeTheta);
        writer.WriteNumber("rotary_dim", config.RotaryDim);
        writer.WriteEndObject();
    }

    private static void Tokens(Utf8JsonWriter writer, CheckpointReport report)
    {
        if (report.Tokenizer is { } tokenizer)
        {
            writer.WriteStartObject("tokenizer");
            writer.WriteNumber("vocabulary", tokenizer.VocabularySize);
            writer.WriteString("pre_tokenizer", tokenizer.PreTokenizer.ToString());
            writer.WriteStartArray("added_tokens");
            foreach (AddedToken token in tokenizer.AddedTokens)
            {
                writer.WriteStartObject();
                writer.WriteNumber("id", token.Id);
                writer.WriteString("text", token.Text);
                writer.WriteBoolean("special", token.IsSpecial);
                writer.WriteEndObject();
            }

            writer.WriteEndArray();
            writer.WriteEndObject();
        }

        writer.WriteStartArray("stop_tokens");
        foreach (int id in report.StopTokens)
        {
            writer.WriteStartObject();
            writer.WriteNumber("id", id);
            writer.WriteString("text", report.Tokenizer?.IdToToken(id));
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
        if (report.Template is not { } template)
            return;
        writer.WriteStartObject("chat_template");
        writer.WriteNumber("characters", template.Source.Length);
        writer.WriteBoolean("thinking", template.Grammar.Thinking);
        writer.WriteBoolean("tool_calls", template.Grammar.ToolCalls);
        writer.WriteEndObject();
    }

    private static void Tensors(Utf8JsonWriter writer, IReadOnlyList<TensorInfo> tensors)
    {
        writer.WriteStartArray("tensors");
        foreach (TensorInfo tensor in tensors)
        {
            writer.WriteStartObject();
            writer.WriteString("name", tensor.Name);
            writer.WriteString("type", tensor.Type.ToString());
            writer.WriteNumbers("shape", tensor.Shape.ToArray());
            writer.WriteNumber("bytes", tensor.SizeBytes);
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
    }
}
