using Glimmer.Tokenization;

namespace Glimmer.Data.Synthesis.Miniature;

/// <summary>The tokenizer of the miniature: a byte-level vocabulary trained on its own text, with GLM's 36 control tokens behind it and every digit a token.</summary>
public static class MiniatureTokenizer
{
    /// <summary>GLM's control tokens in the order of its vocabularies, and whether each is special.</summary>
    public static IReadOnlyList<(string Text, bool IsSpecial)> ControlTokens { get; } =
    [
        ("<|endoftext|>", true), ("[MASK]", true), ("[gMASK]", true), ("[sMASK]", true), ("<sop>", true), ("<eop>", true), ("<|system|>", true), ("<|user|>", true), ("<|assistant|>", true),
        ("<|observation|>", true), ("<|begin_of_image|>", true), ("<|end_of_image|>", true), ("<|begin_of_video|>", true), ("<|end_of_video|>", true), ("<|begin_of_audio|>", true),
        ("<|end_of_audio|>", true), ("<|begin_of_transcription|>", true), ("<|end_of_transcription|>", true), ("<|code_prefix|>", false), ("<|code_middle|>", false), ("<|code_suffix|>", false),
        ("<think>", false), ("</think>", false), ("<tool_call>", false), ("</tool_call>", false), ("<tool_response>", false), ("</tool_response>", false), ("<arg_key>", false), ("</arg_key>", false),
        ("<arg_value>", false), ("</arg_value>", false), ("/nothink", false), ("<|begin_of_box|>", false), ("<|end_of_box|>", false), ("<|image|>", false), ("<|video|>", false),
    ];

    /// <summary>What is in the written file beside the vocabulary.</summary>
    public static TokenizerLayout Layout { get; } = new() { AddedTokens = ControlTokens };

    /// <summary>Trains the vocabulary.</summary>
    /// <param name="corpus">The corpus.</param>
    /// <param name="size">Tokens in all, control tokens included.</param>
    /// <param name="sampleBytes">Bytes of text to learn from, of all stages.</param>
    /// <param name="threads">Threads; the result does not depend on them.</param>
    /// <param name="cancellation">Ends the training.</param>
    public static BpeTrainingResult Train(MiniatureCorpus corpus, int size = 4096, long sampleBytes = 8_000_000, int? threads = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(corpus);
        ArgumentOutOfRangeException.ThrowIfLessThan(size, BpeTrainerOptions.ByteCharacters.Count + ControlTokens.Count);
        string[] control = [.. ControlTokens.Select(token => token.Text)];
        IEnumerable<string> texts = Enum.GetValues<MiniatureStage>().SelectMany(stage => corpus.Stream(stage, sampleBytes / 3))
            // Control tokens are no text: what stands between them is.
            .SelectMany(document => document.Text.Split(control, StringSplitOptions.RemoveEmptyEntries));
        // Qwen's pattern is GLM's with one digit a piece: no token can hold two.
        var options = new BpeTrainerOptions { VocabularySize = size - ControlTokens.Count, MinFrequency = 2, PreTokenizer = PreTokenizer.Qwen2, Threads = threads };
        return BpeTrainer.Train(texts, options, cancellation: cancellation);
    }
}
