namespace Glimmer.Inference;

/// <summary>When and how a generation runs.</summary>
public sealed record GenerationOptions
{
    /// <summary>How tokens are chosen.</summary>
    public SamplingOptions Sampling { get; init; } = new();

    /// <summary>Most tokens to generate.</summary>
    public int MaxTokens { get; init; } = 512;

    /// <summary>Tokens that end the generation; the one that occurs is reported as the last token.</summary>
    public IReadOnlyCollection<int> StopTokens { get; init; } = [];

    /// <summary>Tokens that are never generated: rows of the embedding that no token has (<see cref="LoadedModel.UnusedTokens"/>).</summary>
    public ReadOnlyMemory<int> ForbiddenTokens { get; init; }

    /// <summary>Tokens of the prompt that one forward pass takes at most.</summary>
    public int PrefillChunk { get; init; } = 256;

    /// <summary>Throws when a value makes no sense.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Names the option and its range.</exception>
    public void Check()
    {
        Sampling.Check();
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(MaxTokens);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(PrefillChunk);
    }
}

/// <summary>Why a generation ended.</summary>
public enum FinishReason
{
    /// <summary>A stop token came.</summary>
    Stop,
    /// <summary><see cref="GenerationOptions.MaxTokens"/> were generated.</summary>
    Length,
    /// <summary>The context is full.</summary>
    Context,
}

/// <summary>One step of a generation.</summary>
/// <param name="Token">The token.</param>
/// <param name="Logprob">Its log-probability under the model.</param>
/// <param name="Finish">Set with the last token.</param>
public readonly record struct GeneratedToken(int Token, float Logprob, FinishReason? Finish);
