using Glimmer.Chat;
using Glimmer.Tests.Chat;
using Glimmer.Tokenization;

namespace Glimmer.Tests.Server;

/// <summary>A vocabulary with GLM's markers, trained on a sentence, and a template in GLM's manner, for tests that need no recorded data.</summary>
internal static class SmallVocabulary
{
    private static readonly TokenizerLayout s_layout = new()
    {
        AddedTokens =
        [
            ("<|endoftext|>", true), ("[gMASK]", true), ("<sop>", true), ("<|system|>", true), ("<|user|>", true), ("<|assistant|>", true), ("<|observation|>", true),
            ("<think>", false), ("</think>", false), ("<tool_call>", false), ("</tool_call>", false), ("<arg_key>", false), ("</arg_key>", false), ("<arg_value>", false), ("</arg_value>", false),
            ("<tool_response>", false), ("</tool_response>", false),
        ],
    };

    private static readonly BpeTrainingResult s_trained = BpeTrainer
        .Train(["The capital of Peru is Lima, and the capital of Chile is Santiago. get_weather city days true false null"], new BpeTrainerOptions { VocabularySize = 320 });

    /// <summary>The tokenizer.</summary>
    public static Tokenizer Tokenizer { get; } = s_trained.ToTokenizer(s_layout);

    /// <summary>The template.</summary>
    public static ChatTemplate Template { get; } = new(Templates.Compact);

    /// <summary>Writes the tokenizer into the folder of a model.</summary>
    public static void Write(string folder)
    {
        using FileStream file = File.Create(Path.Combine(folder, "tokenizer.json"));
        s_trained.WriteTokenizerJson(file, s_layout);
    }
}
