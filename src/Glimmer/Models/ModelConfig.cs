using System.Text.Json;

namespace Glimmer.Models;

/// <summary>The forward passes that exist.</summary>
public enum ModelArchitecture
{
    /// <summary>GLM-4.5, 4.5-Air, 4.6, 4.7: grouped-query attention; also dense <c>llama</c> checkpoints, which are a special case of it.</summary>
    Glm4Moe,
    /// <summary>GLM-4.7-Flash: multi-head latent attention (MLA).</summary>
    Glm4MoeLite,
    /// <summary>GLM-5, 5.1, 5.2: MLA over keys chosen by the lightning indexer (DSA).</summary>
    GlmMoeDsa,
}

/// <summary>What <c>config.json</c> says about a model, with the names of the file.</summary>
/// <remarks>
/// <para>Defaults are those of the classes <c>Glm4MoeConfig</c>, <c>Glm4MoeLiteConfig</c>, <c>GlmMoeDsaConfig</c> and <c>LlamaConfig</c> of transformers 5.24, except
/// that sizes must be present. A key that is present with a value we do not compute is an error, never ignored.</para>
/// <para>Sizes: hidden D, heads H, key/value heads Hkv, routed experts E, chosen experts K, vocabulary V.</para>
/// </remarks>
public sealed record ModelConfig
{
    /// <summary>Which forward pass runs.</summary>
    public required ModelArchitecture Architecture { get; init; }

    /// <summary><c>model_type</c> as the file spells it: <c>glm4_moe</c>, <c>glm4_moe_lite</c>, <c>glm_moe_dsa</c> or <c>llama</c>.</summary>
    public required string ModelType { get; init; }

    /// <summary>V: rows of the embedding.</summary>
    public required int VocabSize { get; init; }

    /// <summary>D: width of the residual stream.</summary>
    public required int HiddenSize { get; init; }

    /// <summary>Decoder layers of the trunk, without the MTP layer.</summary>
    public required int NumHiddenLayers { get; init; }

    /// <summary>Width of the dense feed-forward layers.</summary>
    public required int IntermediateSize { get; init; }

    /// <summary>H: query heads.</summary>
    public required int NumAttentionHeads { get; init; }

    /// <summary>Hkv: key/value heads of grouped-query attention (nominal for MLA).</summary>
    public required int NumKeyValueHeads { get; init; }

    /// <summary>Width of a head of grouped-query attention.</summary>
    public int HeadDim { get; init; }

    /// <summary>Whether q, k and v (MLA: the latent projections and o) have biases.</summary>
    public bool AttentionBias { get; init; }

    /// <summary>Whether q and k heads are normalised before the rotation.</summary>
    public bool UseQkNorm { get; init; }

    /// <summary>Base of the rotary frequencies.</summary>
    public float RopeTheta { get; init; } = 10000;

    /// <summary>How many dimensions of a head are rotated.</summary>
    public int RotaryDim { get; init; }

    /// <summary>Added to mean squares in every RMSNorm but the latent ones.</summary>
    public float RmsNormEps { get; init; } = 1e-5f;

    /// <summary>Added to mean squares in <c>q_a_layernorm</c> and <c>kv_a_layernorm</c>: <c>mla_latent_norm_eps</c>, by default <see cref="RmsNormEps"/>.</summary>
    /// <remarks>transformers uses 1e-6 there, the engines the models were trained and are served with use rms_norm_eps.</remarks>
    public float MlaLatentNormEps { get; init; }

    /// <summary>Longest context the model was made for.</summary>
    public int MaxPositionEmbeddings { get; init; } = 131072;

    /// <summary>Whether the output matrix is the embedding. The tensors of the checkpoint decide for <c>llama</c>.</summary>
    public bool TieWordEmbeddings { get; init; }

    /// <summary>Standard deviation of freshly initialised matrices.</summary>
    public float InitializerRange { get; init; } = 0.02f;

    /// <summary>Width of one routed expert.</summary>
    public int MoeIntermediateSize { get; init; }

    /// <summary>E: routed experts of a sparse layer.</summary>
    public int NRoutedExperts { get; init; }

    /// <summary>Shared experts; together they are one feed-forward layer of width NSharedExperts * MoeIntermediateSize.</summary>
    public int NSharedExperts { get; init; }

    /// <summary>K: experts a token is sent to.</summary>
    public int NumExpertsPerTok { get; init; }

    /// <summary>Factor on the router weights.</summary>
    public float RoutedScalingFactor { get; init; } = 1;

    /// <summary>Whether the weights of the chosen experts are divided by their sum.</summary>
    public bool NormTopkProb { get; init; } = true;

    /// <summary>Groups the experts are divided into.</summary>
    public int NGroup { get; init; } = 1;

    /// <summary>Groups a token may choose experts from.</summary>
    public int TopkGroup { get; init; } = 1;

    /// <summary>Whether layer i is a mixture of experts, one entry a trunk layer.</summary>
    public required IReadOnlyList<bool> SparseLayers { get; init; }

    /// <summary>MTP layers stored behind the trunk.</summary>
    public int NumNextnPredictLayers { get; init; }

    /// <summary>Width of the query latent; null when queries are projected directly.</summary>
    public int? QLoraRank { get; init; }

    /// <summary>Width of the key/value latent.</summary>
    public int KvLoraRank { get; init; }

    /// <summary>Unrotated part of an MLA query/key head.</summary>
    public int QkNopeHeadDim { get; init; }

    /// <summary>Rotated part of an MLA query/key head.</summary>
    public int QkRopeHeadDim { get; init; }

    /// <summary>Width of an MLA value head.</summary>
    public int VHeadDim { get; init; }

    /// <summary>Heads of the lightning indexer.</summary>
    public int IndexNHeads { get; init; }

    /// <summary>Width of an indexer head.</summary>
    public int IndexHeadDim { get; init; }

    /// <summary>Keys a query attends to at most.</summary>
    public int IndexTopk { get; init; }

    /// <summary>Whether layer i has its own indexer (the others reuse the last one's choice), one entry a trunk layer; empty without DSA.</summary>
    public IReadOnlyList<bool> IndexerLayers { get; init; } = [];

    /// <summary>Whether MTP draft steps after the first reuse the first step's key choice (GLM-5.2).</summary>
    public bool IndexShareForMtpIteration { get; init; }

    /// <summary>Padding token, if any.</summary>
    public int? PadTokenId { get; init; }

    /// <summary>Ids that end a generation, where <c>generation_config.json</c> does not say otherwise.</summary>
    public IReadOnlyList<int> EosTokenIds { get; init; } = [];

    /// <summary>Whether a layer is a mixture of experts; the MTP layer behind the trunk always is.</summary>
    public bool IsSparse(int layer) => layer >= NumHiddenLayers || SparseLayers[layer];

    /// <summary>Whether a layer chooses keys with an indexer of its own; the MTP layer behind the trunk always does.</summary>
    public bool HasIndexer(int layer) => Architecture == ModelArchitecture.GlmMoeDsa && (layer >= NumHiddenLayers || IndexerLayers[layer]);

    /// <summary>Parses <c>config.json</c>.</summary>
    /// <param name="json">UTF-8 text of the file.</param>
    /// <param name="where">Name of the file for messages.</param>
    /// <exception cref="ModelFormatException">The text is no JSON object, or a value is missing, of the wrong kind or out of range.</exception>
    /// <exception cref="UnsupportedModelException">The architecture, or an option of it, is not computed here.</exception>
    public static ModelConfig Parse(ReadOnlyMemory<byte> json, string where = "config.json")
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(json);
            return ModelConfigParser.Parse(new ConfigReader(document.RootElement, where));
        }
        catch (JsonException error)
        {
            throw new ModelFormatException($"{where} is not valid JSON: {error.Message}", error);
        }
    }
}
