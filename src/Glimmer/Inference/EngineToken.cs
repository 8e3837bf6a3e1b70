namespace Glimmer.Inference;

/// <summary>One token of an answer.</summary>
/// <param name="Answer">Number of the answer, 0 to <see cref="GenerationRequest.Count"/> - 1.</param>
/// <param name="Token">The token.</param>
/// <param name="Logprob">Log-probability under the model: of the untouched logits.</param>
/// <param name="SamplingLogprob">
/// Log-probability under the distribution it was drawn from, after all stages; with temperature 0 after penalties, bias and mask. Null when not asked for.
/// </param>
/// <param name="Alternatives">The most likely tokens; null when not asked for.</param>
/// <param name="Finish">Set with the last token of an answer.</param>
/// <param name="StopString">The stop string that ended the answer; null otherwise.</param>
public readonly record struct EngineToken(
    int Answer, int Token, float Logprob, float? SamplingLogprob, TokenAlternatives? Alternatives, FinishReason? Finish, string? StopString)
{
    /// <summary>
    /// The experts that the position before this token, whose logits it was drawn from, was routed to, [L, K]; empty when not asked for. The rows of
    /// <see cref="Generation.PromptRoutedExperts"/> and then those of all tokens are those of the sequence without its last position.
    /// </summary>
    public ReadOnlyMemory<int> RoutedExperts { get; init; }
}

/// <summary>The most likely tokens at a position, most likely first, the lower id among equals.</summary>
/// <param name="Model">Under the model: of the untouched logits.</param>
/// <param name="Sampling">Under the sampling distribution; fewer where the filters left fewer.</param>
/// <param name="Watched">Log-probabilities under the model of <see cref="GenerationRequest.WatchedTokens"/>, in their order.</param>
public sealed record TokenAlternatives(IReadOnlyList<TokenLogprob> Model, IReadOnlyList<TokenLogprob> Sampling, IReadOnlyList<float> Watched);
