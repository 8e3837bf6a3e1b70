using System.Globalization;

namespace Glimmer.Models.Megatron;

/// <summary>A rank of tensor and expert parallelism, and its part of each tensor.</summary>
/// <remarks>
/// Tensor parallel: rows of embedding, output matrix, q, k, v, the up-projections of MLA and eh_proj; own gate rows, then own up rows of a joined gate and up; columns of the output projection and of down. Expert parallel:
/// expert e is the local one <c>e - rank * E / size</c>, whole. All else is the same on every rank. The element order is Megatron-core 0.16.1's.
/// </remarks>
/// <param name="Tensor">Rank of tensor parallelism.</param>
/// <param name="TensorSize">Ranks of tensor parallelism.</param>
/// <param name="Expert">Rank of expert parallelism.</param>
/// <param name="ExpertSize">Ranks of expert parallelism.</param>
internal readonly record struct MegatronRank(int Tensor, int TensorSize, int Expert, int ExpertSize)
{
    private const string Experts = ".mlp.experts.linear_fc";

    private static readonly string[] s_rows =
        ["embedding.word_embeddings.weight", "output_layer.weight", ".linear_qkv.weight", ".linear_qkv.bias", ".eh_proj.weight", ".linear_q_proj.weight", ".linear_q_up_proj.weight", ".linear_kv_up_proj.weight"];

    private static readonly string[] s_gated = [".mlp.linear_fc1.weight", ".shared_experts.linear_fc1.weight"];
    private static readonly string[] s_columns = [".linear_proj.weight", ".mlp.linear_fc2.weight", ".shared_experts.linear_fc2.weight"];

    /// <summary>Every rank, tensor rank by tensor rank.</summary>
    public static IEnumerable<MegatronRank> All(int tensorSize, int expertSize)
    {
        for (int t = 0; t < tensorSize; t++)
        {
            for (int e = 0; e < expertSize; e++)
                yield return new MegatronRank(t, tensorSize, e, expertSize);
        }
    }

    /// <summary>Folder of the rank below the one of the iteration.</summary>
    public string Folder => string.Create(CultureInfo.InvariantCulture, $"mp_rank_{Tensor:00}_000_{Expert:000}");

    /// <summary>Whether this is the first rank that holds the tensor, from which it is read.</summary>
    /// <param name="name">Name in the layout of all ranks together.</param>
    public bool IsFirst(string name) => (Expert == 0 || name.Contains(Experts, StringComparison.Ordinal)) && (Tensor == 0 || IsSliced(name));

    /// <summary>This rank's part of a tensor; null when it has none.</summary>
    /// <param name="tensor">The whole tensor; its padding, if any, included in <paramref name="rows"/>.</param>
    /// <param name="rows">Rows with padding.</param>
    /// <param name="expertCount">Experts of a layer.</param>
    /// <exception cref="UnsupportedModelException">A size is no multiple of the number of ranks.</exception>
    public MegatronSlice? Of(MegatronTensor tensor, int rows, int expertCount)
    {
        if (tensor.Name.Contains(Experts, StringComparison.Ordinal))
            return OfExpert(tensor, expertCount);
        if (TensorSize == 1 || !IsSliced(tensor.Name))
            return new MegatronSlice(tensor.Name, rows, tensor.Pieces, 0, tensor.Shape[^1]);
        if (Ends(tensor.Name, s_columns))
        {
            int width = Divide(tensor.Shape[1], tensor.Name);
            return new MegatronSlice(tensor.Name, rows, tensor.Pieces, Tensor * width, width);
        }

        if (Ends(tensor.Name, s_gated))
        {
            var halves = new List<MegatronPiece>();
            foreach (MegatronPiece piece in tensor.Pieces)
            {
                int own = Divide(piece.Count, tensor.Name);
                halves.Add(piece with { First = piece.First + (Tensor * own), Count = own });
            }

            return new MegatronSlice(tensor.Name, halves.Sum(piece => piece.Count), halves, 0, tensor.Shape[^1]);
        }

        int count = Divide(rows, tensor.Name);
        return new MegatronSlice(tensor.Name, count, Between(tensor.Pieces, Tensor * count, count), 0, tensor.Shape[^1]);
    }

    private MegatronSlice? OfExpert(MegatronTensor tensor, int expertCount)
    {
        if (expertCount % ExpertSize != 0)
            throw new UnsupportedModelException($"{expertCount} experts cannot be divided among {ExpertSize} ranks.");
        int at = tensor.Name.LastIndexOf(".weight", StringComparison.Ordinal) + ".weight".Length, own = expertCount / ExpertSize;
        int local = int.Parse(tensor.Name.AsSpan(at), CultureInfo.InvariantCulture) - (Expert * own);
        return local < 0 || local >= own ? null : new MegatronSlice(string.Create(CultureInfo.InvariantCulture, $"{tensor.Name[..at]}{local}"), tensor.Shape[0], tensor.Pieces, 0, tensor.Shape[^1]);
    }

    private static List<MegatronPiece> Between(IReadOnlyList<MegatronPiece> pieces, int from, int count)
    {
        var own = new List<MegatronPiece>();
        int at = 0;
        foreach (MegatronPiece piece in pieces)
        {
            int start = Math.Max(from, at), end = Math.Min(from + count, at + piece.Count);
            if (start < end)
                own.Add(piece with { First = piece.First + start - at, Count = end - start });
            at += piece.Count;
        }

        return own;
    }

    private int Divide(int size, string name) => size % TensorSize == 0 ? size / TensorSize
        : throw new UnsupportedModelException($"'{name}' has {size} rows or columns, which cannot be divided among {TensorSize} ranks of tensor parallelism.{(name is "embedding.word_embeddings.weight" or "output_layer.weight" ? " Pad the vocabulary: --make_vocab_size_divisible_by." : "")}");

    private static bool IsSliced(string name) => !name.Contains(Experts, StringComparison.Ordinal) && (Ends(name, s_rows) || Ends(name, s_gated) || Ends(name, s_columns));

    private static bool Ends(string name, string[] ends) => Array.Exists(ends, end => name.EndsWith(end, StringComparison.Ordinal));
}

/// <summary>A rank's part of a tensor.</summary>
/// <param name="Name">Name on that rank: experts are counted from its first one.</param>
/// <param name="Rows">Rows, zero rows at the end included.</param>
/// <param name="Pieces">Where they come from.</param>
/// <param name="FirstColumn">First column.</param>
/// <param name="Columns">Number of columns; not looked at for vectors.</param>
internal sealed record MegatronSlice(string Name, int Rows, IReadOnlyList<MegatronPiece> Pieces, int FirstColumn, int Columns);
