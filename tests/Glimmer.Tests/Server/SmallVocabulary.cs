using Glimmer.Chat;
using Glimmer.Tests.Chat;
using Glimmer.Tokenization;

namespace Glimmer.Tests.Server;

/// <summary>A vocabulary with GLM's markers, trained on a sentence, and a template in GLM's manner, for tests that need no recorded data.</summary>
internal static class SmallVocabulary
{
    /// <summary>The tokenizer.</summary>
    public static Tokenizer Tokenizer { get; } = BpeTrainer
        .Train(["The capital of Peru is Lima, and the capital of Chile is Santiago. get_weather city days true false null"], new BpeTrainerOptions { VocabularySize = 320 })
        .ToTokenizer(new TokenizerLayout
        {
            AddedTokens =
            [
                ("<|endoftext|>", true), ("[gMASK]", true), ("<sop>", true), ("<|system|>", true), ("<|user|>", true), ("<|assistant|>", true), ("<|observation|>", true),
                ("<think>", false), ("</think>", false), ("<tool_call>", false), ("</tool_call>", false), ("<arg_key>", false), ("</arg_key>", false), ("<arg_value>", false), ("</arg_value>", false), ("<tool_response>", false), ("</tool_response>", false),
            ],
        });

    /// <summary>The template.</summary>
    public static ChatTemplate Template { get; } = new(Templates.Compact);
}
