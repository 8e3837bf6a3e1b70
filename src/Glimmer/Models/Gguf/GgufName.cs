using System.Globalization;

namespace Glimmer.Models.Gguf;

/// <summary>Where a tensor occurs.</summary>
internal enum GgufScope
{
    /// <summary>Once in the model.</summary>
    Global,
    /// <summary>In every layer, the MTP layer too.</summary>
    Layer,
    /// <summary>In dense layers.</summary>
    Dense,
    /// <summary>In mixture-of-experts layers, the MTP layer too.</summary>
    Sparse,
    /// <summary>In layers with an indexer of their own.</summary>
    Indexer,
    /// <summary>In the MTP layer.</summary>
    Nextn,
}

/// <summary>How the file stores the rows of a tensor.</summary>
internal enum GgufForm
{
    /// <summary>As the checkpoint has them.</summary>
    AsIs,
    /// <summary>Rows of each query head interleaved: file row h*d + 2i + s is checkpoint row h*d + s*d/2 + i (architecture llama).</summary>
    QueryRows,
    /// <summary>The same for key heads.</summary>
    KeyRows,
    /// <summary>One tensor for all experts, stacked in id order; the checkpoint name holds <c>{1}</c> for the expert.</summary>
    ExpertStack,
    /// <summary>kv_b_proj split into attn_k_b (key rows of each head, transposed) and attn_v_b (value rows).</summary>
    LatentKv,
}

/// <summary>One line of a name table: GGUF name, checkpoint name and shape. <c>{0}</c> stands for the layer.</summary>
/// <param name="Gguf">Name in the file; of attn_k_b for <see cref="GgufForm.LatentKv"/>.</param>
/// <param name="Hf">Name in Hugging Face checkpoints.</param>
/// <param name="Scope">Where it occurs.</param>
/// <param name="Shape">Shape of the checkpoint tensor, slowest dimension first (of one expert for stacks).</param>
/// <param name="Form">How rows are stored.</param>
/// <param name="When">Only for models for which this holds.</param>
/// <param name="Optional">May be missing.</param>
internal sealed record GgufName(
    string Gguf, string Hf, GgufScope Scope, Func<ModelSizes, long[]> Shape, GgufForm Form = GgufForm.AsIs, Func<ModelSizes, bool>? When = null,
    bool Optional = false)
{
    /// <summary>Layers of a model that have this tensor; a single 0 for global ones.</summary>
    public IEnumerable<int> LayersOf(ModelSizes sizes)
    {
        if (When is not null && !When(sizes))
            return [];
        IEnumerable<int> all = Enumerable.Range(0, sizes.Layers + sizes.NextnLayers);
        return Scope switch
        {
            GgufScope.Global => [0],
            GgufScope.Layer => all,
            GgufScope.Dense => all.Where(i => i < sizes.DenseLayers && i < sizes.Layers),
            GgufScope.Sparse => all.Where(i => i >= sizes.DenseLayers || i >= sizes.Layers),
            GgufScope.Indexer => all.Where(sizes.IndexerLayers.Contains),
            _ => all.Where(i => i >= sizes.Layers),
        };
    }

    /// <summary>The name in the file.</summary>
    public string GgufIn(int layer) => Gguf.Replace("{0}", layer.ToString(CultureInfo.InvariantCulture), StringComparison.Ordinal);

    /// <summary>The name in the checkpoint.</summary>
    public string HfIn(int layer, int expert = 0) => Hf
        .Replace("{0}", layer.ToString(CultureInfo.InvariantCulture), StringComparison.Ordinal)
        .Replace("{1}", expert.ToString(CultureInfo.InvariantCulture), StringComparison.Ordinal);
}
