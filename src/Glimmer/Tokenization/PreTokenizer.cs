namespace Glimmer.Tokenization;

/// <summary>The known pre-tokenizers: each cuts text into pieces that are encoded by themselves.</summary>
public enum PreTokenizer
{
    /// <summary>GLM's regex, which is Llama-3's: up to three digits a piece. GGUF: <c>glm4</c>, <c>chatglm-bpe</c>, <c>llama-bpe</c>.</summary>
    Glm,
    /// <summary>GLM's regex with one digit a piece. GGUF: <c>qwen2</c>.</summary>
    Qwen2,
    /// <summary>GPT-2's regex. GGUF: <c>gpt-2</c>.</summary>
    Gpt2,
    /// <summary>Every digit a piece of its own, then GPT-2's regex on the rest (SmolLM2). GGUF: <c>smollm</c>.</summary>
    DigitsGpt2,
    /// <summary>Every run of digits by itself, then GPT-2's regex on the runs and on the rest.</summary>
    DigitRunsGpt2,
}
