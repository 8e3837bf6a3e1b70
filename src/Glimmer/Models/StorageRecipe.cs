using Glimmer.Tensors;

namespace Glimmer.Models;

/// <summary>Which element type each matrix of a GGUF file gets: one type for all, or a mixture that spends more bits where they matter most.</summary>
/// <param name="Name">As <c>glimmer quantize --type</c> takes it.</param>
/// <param name="Type">Type of most matrices.</param>
/// <param name="Sensitive">Type of the output matrix, of value projections and of some down projections; null for one type everywhere.</param>
/// <param name="FileType">Number in <c>general.file_type</c>, or null.</param>
/// <remarks>The mixtures are those that llama.cpp calls Q4_K_M, Q5_K_M (src/llama-quant.cpp): value and down projections of the first and last eighth of the layers and of every third one between.</remarks>
public sealed record StorageRecipe(string Name, DType Type, DType? Sensitive, uint? FileType)
{
    private static readonly StorageRecipe[] s_mixtures = [new("q4_k_m", DType.Q4_K, DType.Q6_K, 15), new("q5_k_m", DType.Q5_K, DType.Q6_K, 17)];

    /// <summary>Names of all recipes.</summary>
    public static IReadOnlyList<string> Names { get; } = [.. StorageTypes.Names, .. s_mixtures.Select(mixture => mixture.Name)];

    /// <summary>One type everywhere.</summary>
    public static StorageRecipe Of(DType type) => new(type.ToString().ToLowerInvariant(), type, null, StorageTypes.GgufFileType(type));

    /// <summary>The recipe of a name.</summary>
    /// <exception cref="UnsupportedModelException">There is none.</exception>
    public static StorageRecipe Parse(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        if (Array.Find(s_mixtures, mixture => string.Equals(mixture.Name, name, StringComparison.OrdinalIgnoreCase)) is { } found)
            return found;
        return Names.Contains(name, StringComparer.OrdinalIgnoreCase)
            ? Of(StorageTypes.Parse(name))
            : throw new UnsupportedModelException($"'{name}' is no type that can be written; {string.Join(", ", Names)} are.");
    }

    /// <summary>The type of a matrix by its name in GGUF files, before rows that do not fit its blocks get a smaller one.</summary>
    /// <param name="name">Name.</param>
    /// <param name="layers">Layers of the model.</param>
    internal DType TypeOf(string name, int layers)
    {
        if (Sensitive is not { } more)
            return Type;
        if (name == "output.weight")
            return more;
        string[] parts = name.Split('.');
        if (parts.Length != 4 || parts[0] != "blk" || !int.TryParse(parts[1], out int layer))
            return Type;
        bool chosen = layer < layers / 8 || layer >= 7 * layers / 8 || (layer - (layers / 8)) % 3 == 2;
        bool sensitive = parts[2] is "attn_v" or "attn_v_b" or "attn_kv_a_mqa" || parts[2].StartsWith("ffn_down", StringComparison.Ordinal);
        return chosen && sensitive ? more : Type;
    }
}
