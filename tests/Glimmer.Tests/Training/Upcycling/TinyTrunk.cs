using Glimmer.Inference;
using Glimmer.Models;
using Glimmer.Tensors;
using Glimmer.Tokenization;
using Glimmer.Training;
using Glimmer.Training.Upcycling;

namespace Glimmer.Tests.Training.Upcycling;

/// <summary>A dense llama model of a few thousand weights in GGUF with a small byte-level vocabulary, and an addition to it.</summary>
internal static class TinyTrunk
{
    private const string Config = """
        {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 320, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 2,
         "num_key_value_heads": 1, "head_dim": 32, "rope_theta": 10000.0, "hidden_act": "silu", "max_position_embeddings": 256, "rms_norm_eps": 1e-05, "tie_word_embeddings": true,
         "initializer_range": 0.2}
        """;

    public static UpcycleOptions Options => new() { Experts = 4, ExpertWidth = 8, FirstSparseLayer = 1, Rank = 4, DraftTokens = 100 };

    /// <summary>Writes the trunk, Q8_0, and returns its path.</summary>
    public static string Write(TemporaryFolder folder)
    {
        ModelInitializer.Write(Config, folder["hf"], seed: 3);
        BpeTrainingResult trained = BpeTrainer.Train(
            ["The capital of Peru is Lima, and the capital of Chile is Santiago. What is 3 + 4? The answer is seven."],
            new BpeTrainerOptions { VocabularySize = 319, PreTokenizer = PreTokenizer.Gpt2 });
        TokenizerFiles.Save(trained, new TokenizerLayout { AddedTokens = [("<|endoftext|>", true)], IgnoreMerges = false }, folder["hf"]);
        string path = folder["trunk.gguf"];
        CheckpointConverter.Convert(folder["hf"], path, DType.Q8_0);
        return path;
    }

    /// <summary>Writes trunk and addition and returns the folder of the addition.</summary>
    public static string Upcycle(TemporaryFolder folder, UpcycleOptions? options = null)
    {
        string addition = folder["addition"];
        Upcycler.Write(Write(folder), addition, options ?? Options);
        return addition;
    }
}
