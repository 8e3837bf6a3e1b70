using System.Text;

namespace Glimmer.Inference;

/// <summary>How likely a text is under a model. The first token has no prediction and is not scored.</summary>
/// <param name="Tokens">All tokens of the text.</param>
/// <param name="LogProbabilities">Natural logarithms; entry i belongs to token i + 1.</param>
/// <param name="ScoredBytes">
/// Bytes of all tokens without those of the first one, decoded by itself: if it ends inside a character, its part of that counts as U+FFFD, three bytes. So do the recordings
/// that figures are compared with.
/// </param>
public sealed record TextScore(IReadOnlyList<int> Tokens, IReadOnlyList<float> LogProbabilities, long ScoredBytes)
{
    /// <summary>Sum of the log-probabilities, in fp64.</summary>
    public double Sum { get; } = LogProbabilities.Sum(value => (double)value);

    /// <summary><c>exp(-Sum / scored tokens)</c>.</summary>
    public double Perplexity => Math.Exp(-Sum / LogProbabilities.Count);

    /// <summary>Nats in bits, over the bytes of the scored tokens: comparable between tokenizers.</summary>
    public double BitsPerByte => -Sum / Math.Log(2) / ScoredBytes;

    /// <summary>Scores a text.</summary>
    /// <param name="model">The model.</param>
    /// <param name="tokens">At least two tokens, for example of <c>model.Tokenizer.Encode</c>.</param>
    /// <param name="progress">Told how many tokens are done.</param>
    /// <param name="cancellationToken">Ends the scoring between two passes.</param>
    /// <exception cref="ArgumentException">There are fewer than two tokens.</exception>
    public static TextScore Of(LoadedModel model, int[] tokens, IProgress<int>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(tokens);
        if (tokens.Length < 2)
            throw new ArgumentException($"The text has {tokens.Length} tokens; at least two are needed, because the first has no prediction.");
        float[] values = TextScorer.LogProbabilities(model.Model, model.Compute, tokens, progress: progress, cancellationToken: cancellationToken);
        long bytes = -Encoding.UTF8.GetByteCount(model.Tokenizer.Decode(tokens.AsSpan(0, 1)));
        foreach (int token in tokens)
            bytes += model.Tokenizer.TokenBytes(token).Length;
        return new TextScore(tokens, values, bytes);
    }
}
