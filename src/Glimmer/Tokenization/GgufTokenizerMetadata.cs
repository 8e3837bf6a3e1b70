namespace Glimmer.Tokenization;

/// <summary>The <c>tokenizer.*</c> metadata of a GGUF file, as far as byte-level tokenizers need it.</summary>
public sealed record GgufTokenizerMetadata
{
    /// <summary><c>tokenizer.ggml.model</c>; only <c>gpt2</c> (byte-level BPE) is supported.</summary>
    public string? Model { get; init; }

    /// <summary><c>tokenizer.ggml.pre</c>: the name of the pre-tokenizer.</summary>
    public string? Pre { get; init; }

    /// <summary><c>tokenizer.ggml.tokens</c>: the token of every id, in the byte alphabet.</summary>
    public IReadOnlyList<string> Tokens { get; init; } = [];

    /// <summary><c>tokenizer.ggml.token_type</c>, one a token: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte. Null: absent.</summary>
    public IReadOnlyList<int>? TokenTypes { get; init; }

    /// <summary><c>tokenizer.ggml.merges</c>: "left right" in order of rank. Null: absent.</summary>
    public IReadOnlyList<string>? Merges { get; init; }

    /// <summary><c>tokenizer.ggml.bos_token_id</c>.</summary>
    public long? BosTokenId { get; init; }

    /// <summary><c>tokenizer.ggml.eos_token_id</c>.</summary>
    public long? EosTokenId { get; init; }

    /// <summary><c>tokenizer.ggml.eot_token_id</c>: end of a turn.</summary>
    public long? EotTokenId { get; init; }

    /// <summary><c>tokenizer.ggml.eom_token_id</c>: end of a message that calls tools.</summary>
    public long? EomTokenId { get; init; }

    /// <summary><c>tokenizer.ggml.padding_token_id</c>.</summary>
    public long? PaddingTokenId { get; init; }

    /// <summary><c>tokenizer.ggml.unknown_token_id</c>.</summary>
    public long? UnknownTokenId { get; init; }

    /// <summary><c>tokenizer.ggml.add_bos_token</c>. Absent: true for <c>llama-bpe</c>, otherwise false.</summary>
    public bool? AddBosToken { get; init; }

    /// <summary><c>tokenizer.ggml.add_eos_token</c>. Absent: false.</summary>
    public bool? AddEosToken { get; init; }

    /// <summary><c>tokenizer.chat_template</c>.</summary>
    public string? ChatTemplate { get; init; }
}
