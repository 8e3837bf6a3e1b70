namespace Glimmer.Training.Batching;

/// <summary>A document (or a piece of one) with what the model has to predict at each of its tokens.</summary>
public sealed class TrainingDocument
{
    /// <summary>Creates a document.</summary>
    /// <param name="tokens">Token ids, [T].</param>
    /// <param name="targets">Token to predict at each position, [T]; negative for none.</param>
    /// <param name="weights">Weight of each position's loss, [T]; null for 1 everywhere.</param>
    /// <exception cref="ArgumentException">The lengths differ, there is no token, or a weight is negative or not finite.</exception>
    public TrainingDocument(int[] tokens, int[] targets, float[]? weights = null)
    {
        if (tokens.Length == 0 || targets.Length != tokens.Length || (weights is not null && weights.Length != tokens.Length))
            throw new ArgumentException($"A document needs as many targets and weights as tokens, and at least one; here are {tokens.Length} tokens, {targets.Length} targets and {weights?.Length ?? tokens.Length} weights.");
        if (weights is not null && Array.Exists(weights, weight => !(weight >= 0 && float.IsFinite(weight))))
            throw new ArgumentException("A weight of a loss is negative or not finite.", nameof(weights));
        Tokens = tokens;
        Targets = targets;
        Weights = weights ?? [.. Enumerable.Repeat(1f, tokens.Length)];
    }

    /// <summary>Token ids, [T].</summary>
    public int[] Tokens { get; }

    /// <summary>Token to predict at each position, [T]; negative for none.</summary>
    public int[] Targets { get; }

    /// <summary>Weight of each position's loss, [T].</summary>
    public float[] Weights { get; }

    /// <summary>Name of the source, whose loss may be reported on its own; null for none.</summary>
    public string? Channel { get; init; }

    /// <summary>A document of which every token but the first is to be predicted.</summary>
    /// <param name="tokens">Token ids.</param>
    /// <param name="mask">Whether a token is a target: for fine-tuning, the tokens that the assistant wrote. Null for all.</param>
    public static TrainingDocument NextToken(int[] tokens, IReadOnlyList<bool>? mask = null) =>
        new(tokens, [.. Enumerable.Range(1, tokens.Length).Select(i => i < tokens.Length && (mask is null || mask[i]) ? tokens[i] : -1)]);

    /// <summary>A part of the document; its last token keeps its target, which lies behind the part.</summary>
    /// <param name="start">First token.</param>
    /// <param name="length">Number of tokens.</param>
    public TrainingDocument Slice(int start, int length) => new(Tokens[start..(start + length)], Targets[start..(start + length)], Weights[start..(start + length)]) { Channel = Channel };

    /// <summary>The target <paramref name="depth"/> tokens further ahead than the next one, for MTP; -1 when it lies outside the document.</summary>
    internal (int Target, float Weight) Ahead(int position, int depth) =>
        position + depth < Targets.Length && Targets[position + depth] >= 0 ? (Targets[position + depth], Weights[position + depth]) : (-1, 0);

    /// <summary>The input of MTP at a position: the token <paramref name="depth"/> further on, 0 where there is none.</summary>
    internal int TokenAhead(int position, int depth) => position + depth < Tokens.Length ? Tokens[position + depth] : 0;
}
