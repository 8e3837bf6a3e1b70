namespace Glimmer.Training.Upcycling;

/// <summary>A control token of GLM-4.7 that an upcycled model gets.</summary>
/// <param name="Text">The token.</param>
/// <param name="IsSpecial">Whether decoding drops it.</param>
/// <param name="Like">Text of the trunk's vocabulary whose rows are averaged to the first values of its row; control tokens of the trunk count as such.</param>
internal sealed record ControlToken(string Text, bool IsSpecial, string Like);

/// <summary>The 36 added tokens of GLM-4.7, in its order, with what their rows start from.</summary>
/// <remarks>
/// A row is both input and output. A token that ends what the assistant writes starts near the trunk's end of a turn, one that opens a turn near its beginning; the others near words that say what
/// they do. <c>&lt;|endoftext|&gt;</c> is left out where the trunk has it: it keeps its row.
/// </remarks>
internal static class ControlTokens
{
    public static IReadOnlyList<ControlToken> All { get; } =
    [
        new("<|endoftext|>", true, "<|endoftext|>"),
        new("[MASK]", true, " mask"),
        new("[gMASK]", true, " start"),
        new("[sMASK]", true, " mask"),
        new("<sop>", true, "<|im_start|>"),
        new("<eop>", true, "<|im_end|>"),
        new("<|system|>", true, "<|im_start|>system"),
        new("<|user|>", true, "<|im_end|>user"),
        new("<|assistant|>", true, "<|im_start|>assistant"),
        new("<|observation|>", true, "<|im_end|> result"),
        new("<|begin_of_image|>", true, " image"),
        new("<|end_of_image|>", true, " image"),
        new("<|begin_of_video|>", true, " video"),
        new("<|end_of_video|>", true, " video"),
        new("<|begin_of_audio|>", true, " audio"),
        new("<|end_of_audio|>", true, " audio"),
        new("<|begin_of_transcription|>", true, " text"),
        new("<|end_of_transcription|>", true, " text"),
        new("<|code_prefix|>", false, " code"),
        new("<|code_middle|>", false, " code"),
        new("<|code_suffix|>", false, " code"),
        new("<think>", false, " think"),
        new("</think>", false, ":\n"),
        new("<tool_call>", false, " call"),
        new("</tool_call>", false, ")\n"),
        new("<tool_response>", false, " output"),
        new("</tool_response>", false, "\n"),
        new("<arg_key>", false, "("),
        new("</arg_key>", false, "="),
        new("<arg_value>", false, "\""),
        new("</arg_value>", false, "\","),
        new("/nothink", false, " no"),
        new("<|begin_of_box|>", false, " answer"),
        new("<|end_of_box|>", false, "\n"),
        new("<|image|>", false, " image"),
        new("<|video|>", false, " video"),
    ];
}
