using Glimmer.Chat;
using Glimmer.Formats;
using Glimmer.Models;
using Glimmer.Tensors;
using Glimmer.Tokenization;

namespace Glimmer.Inference.Inspection;

/// <summary>What was found in a checkpoint, or in one of its files, and what is wrong with it.</summary>
public sealed record CheckpointReport
{
    /// <summary>Path as it was given.</summary>
    public required string Path { get; init; }

    /// <summary>What the path is.</summary>
    public required CheckpointKind Kind { get; init; }

    /// <summary>Names and sizes of the files that were looked at.</summary>
    public IReadOnlyList<(string Name, long Bytes)> Files { get; init; } = [];

    /// <summary>Version and number of parts of a GGUF file.</summary>
    public (int Version, int Parts)? Gguf { get; init; }

    /// <summary>The architecture as the file spells it, supported or not.</summary>
    public string? Architecture { get; init; }

    /// <summary>The configuration; null when there is none or it is not supported.</summary>
    public ModelConfig? Config { get; init; }

    /// <summary>Parameters that the configuration makes.</summary>
    public ParameterCount? Parameters { get; init; }

    /// <summary>How the checkpoint wants to be sampled.</summary>
    public GenerationConfig? Generation { get; init; }

    /// <summary>The tensors, under their checkpoint names as far as the architecture is known.</summary>
    public IReadOnlyList<TensorInfo> Tensors { get; init; } = [];

    /// <summary>Whether the weights of the MTP layer are there.</summary>
    public bool HasNextToken { get; init; }

    /// <summary>The tokenizer, if there is one.</summary>
    public Tokenizer? Tokenizer { get; init; }

    /// <summary>The chat template, if there is one.</summary>
    public ChatTemplate? Template { get; init; }

    /// <summary>Ids that end a generation.</summary>
    public IReadOnlyList<int> StopTokens { get; init; } = [];

    /// <summary>What is wrong, one sentence or more each; empty for a checkpoint that is valid as far as it goes.</summary>
    public IReadOnlyList<string> Problems { get; init; } = [];

    /// <summary>Elements of all stored tensors.</summary>
    public long StoredElements => Tensors.Sum(tensor => tensor.Count);

    /// <summary>Bytes of all stored tensors.</summary>
    public long StoredBytes => Tensors.Sum(tensor => tensor.SizeBytes);

    /// <summary>Tensors by type, the largest share first.</summary>
    public IReadOnlyList<TypeShare> Types =>
        [.. Tensors.GroupBy(tensor => tensor.Type).Select(group => new TypeShare(group.Key, group.Count(), group.Sum(t => t.Count), group.Sum(t => t.SizeBytes))).OrderByDescending(share => share.Bytes)];
}

/// <summary>The tensors of one type.</summary>
/// <param name="Type">Element type.</param>
/// <param name="Tensors">Number of tensors.</param>
/// <param name="Elements">Elements of all of them.</param>
/// <param name="Bytes">Bytes of all of them.</param>
public readonly record struct TypeShare(DType Type, int Tensors, long Elements, long Bytes);

/// <summary>What an inspected path is.</summary>
public enum CheckpointKind
{
    /// <summary>A folder in the Hugging Face layout, or one that holds a model in GGUF.</summary>
    Folder,
    /// <summary>A GGUF file.</summary>
    Gguf,
    /// <summary>One safetensors file.</summary>
    Safetensors,
    /// <summary>The index of a sharded checkpoint.</summary>
    Index,
    /// <summary>A config.json alone.</summary>
    Config,
    /// <summary>A tokenizer.json alone.</summary>
    Tokenizer,
    /// <summary>A chat template alone.</summary>
    Template,
}
