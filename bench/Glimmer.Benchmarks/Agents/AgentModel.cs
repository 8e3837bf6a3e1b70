using System.Globalization;
using Glimmer.Chat;
using Glimmer.Inference;
using Glimmer.Server.Turns;
using Glimmer.Tokenization;
using Glimmer.Training;

namespace Glimmer.Benchmarks.Agents;

/// <summary>A model that runs: the embedded one, or a random one of a few million weights whose context holds every client's prompt.</summary>
internal sealed class AgentModel : IDisposable
{
    private const int ThinkingTokens = 16;
    private readonly LoadedModel _model;
    private readonly Engine _engine;
    private readonly string? _folder;

    private AgentModel(LoadedModel model, int context, string? folder)
    {
        (_model, _folder) = (model, folder);
        _engine = new Engine(model, new EngineOptions { ContextLength = context, CacheTokens = context * 2 });
        Served = new ServedModel(model, _engine);
    }

    /// <summary>What the server serves.</summary>
    public ServedModel Served { get; }

    /// <summary>What the server decides; a random model does not close its reasoning by itself.</summary>
    public TurnDefaults Defaults { get; private init; } = new();

    /// <summary>The model that the program carries.</summary>
    public static AgentModel Embedded(int context) => new(LoadedModel.Open(EmbeddedModel.FindDefault(), Environment.ProcessorCount), context, null);

    /// <summary>Writes and loads a random GLM. One token in 64 ends its answers, as its own generation_config.json says: they have 64 tokens on average.</summary>
    /// <param name="tokenizer">Folder of a vocabulary with GLM's markers.</param>
    /// <param name="template">File of a template.</param>
    /// <param name="context">Most positions.</param>
    public static AgentModel Random(string tokenizer, string template, int context)
    {
        Tokenizer vocabulary = Tokenizer.Load(tokenizer);
        string folder = Directory.CreateTempSubdirectory("glimmer-random-").FullName;
        ModelInitializer.Write(string.Create(CultureInfo.InvariantCulture,
            $$"""
            {"architectures": ["Glm4MoeForCausalLM"], "model_type": "glm4_moe", "vocab_size": {{vocabulary.VocabularySize}}, "hidden_size": 64, "intermediate_size": 128, "moe_intermediate_size": 32,
             "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 16, "n_shared_experts": 1, "n_routed_experts": 4, "num_experts_per_tok": 2,
             "routed_scaling_factor": 1.0, "n_group": 1, "topk_group": 1, "norm_topk_prob": true, "first_k_dense_replace": 1, "attention_bias": true, "use_qk_norm": true,
             "partial_rotary_factor": 0.5, "rope_theta": 10000.0, "hidden_act": "silu", "max_position_embeddings": {{context}}, "rms_norm_eps": 1e-05, "tie_word_embeddings": false,
             "initializer_range": 0.02}
            """), folder, 1);
        foreach (string file in Directory.EnumerateFiles(tokenizer))
            File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
        File.Copy(template, Path.Combine(folder, "chat_template.jinja"));
        IEnumerable<int> ends = Enumerable.Range(0, vocabulary.VocabularySize).Where(id => id % 64 == 7 && !vocabulary.IsAdded(id))
            .Concat(((string[])["<|endoftext|>", "<|user|>", "<|observation|>"]).Select(vocabulary.TokenToId).Where(id => id is not null).Select(id => id!.Value));
        File.WriteAllText(Path.Combine(folder, "generation_config.json"), $$"""{"do_sample": true, "temperature": 1.0, "eos_token_id": [{{string.Join(',', ends)}}]}""");
        return new AgentModel(LoadedModel.Open(folder, Environment.ProcessorCount), context, folder) { Defaults = new TurnDefaults { MaxThinkingTokens = ThinkingTokens, RandomSeed = 1 } };
    }

    public void Dispose()
    {
        _engine.Dispose();
        _model.Dispose();
        if (_folder is not null)
            Directory.Delete(_folder, true);
    }
}
