using System.Collections.ObjectModel;
using Glimmer.Models;

namespace Glimmer.Inference;

/// <summary>How the next token is chosen from the logits. The defaults take the most likely token.</summary>
/// <remarks>Stages run in this order: repetition, frequency and presence penalty, logit bias, constraint mask, temperature, top-k, top-p, min-p.</remarks>
public sealed record SamplingOptions
{
    /// <summary>Divides the logits; 0 takes the most likely token.</summary>
    public float Temperature { get; init; }

    /// <summary>Keeps the k most likely tokens, the lower id among equals; 0 keeps all.</summary>
    public int TopK { get; init; }

    /// <summary>Keeps the most likely tokens until their probabilities reach this mass; 1 keeps all.</summary>
    public float TopP { get; init; } = 1;

    /// <summary>Keeps tokens at least this likely relative to the most likely one; 0 keeps all.</summary>
    public float MinP { get; init; }

    /// <summary>Divides positive and multiplies negative logits of tokens that occurred in prompt or output; 1 does nothing.</summary>
    public float RepetitionPenalty { get; init; } = 1;

    /// <summary>Subtracted from a token's logit for each time it was generated.</summary>
    public float FrequencyPenalty { get; init; }

    /// <summary>Subtracted from a token's logit if it was generated at all.</summary>
    public float PresencePenalty { get; init; }

    /// <summary>Added to the logits of these tokens; null for none. Negative infinity forbids a token.</summary>
    public IReadOnlyDictionary<int, float>? LogitBias { get; init; }

    /// <summary>Seed of the random draws: the same seed gives the same text.</summary>
    public ulong Seed { get; init; }

    /// <summary>What a checkpoint asks for: its own values when it says <c>do_sample</c>, else the most likely token.</summary>
    public static SamplingOptions For(GenerationConfig generation)
    {
        ArgumentNullException.ThrowIfNull(generation);
        var options = new SamplingOptions { RepetitionPenalty = generation.RepetitionPenalty ?? 1 };
        if (!generation.DoSample)
            return options;
        return options with { Temperature = generation.Temperature ?? 1, TopK = generation.TopK ?? 0, TopP = generation.TopP ?? 1, MinP = generation.MinP ?? 0 };
    }

    /// <summary>Throws when a value makes no sense.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Names the option and its range.</exception>
    public void Check()
    {
        Require(Temperature >= 0 && float.IsFinite(Temperature), nameof(Temperature), Temperature, "0 or a positive number");
        Require(TopK >= 0, nameof(TopK), TopK, "0 (off) or a positive count");
        Require(TopP > 0 && TopP <= 1, nameof(TopP), TopP, "more than 0 and at most 1");
        Require(MinP >= 0 && MinP <= 1, nameof(MinP), MinP, "from 0 to 1");
        Require(RepetitionPenalty > 0 && float.IsFinite(RepetitionPenalty), nameof(RepetitionPenalty), RepetitionPenalty, "a positive number");
        Require(float.IsFinite(FrequencyPenalty), nameof(FrequencyPenalty), FrequencyPenalty, "a number");
        Require(float.IsFinite(PresencePenalty), nameof(PresencePenalty), PresencePenalty, "a number");
        foreach ((int token, float bias) in LogitBias ?? ReadOnlyDictionary<int, float>.Empty)
            Require(token >= 0 && !float.IsNaN(bias) && !float.IsPositiveInfinity(bias), nameof(LogitBias), $"{token}: {bias}", "token ids with numbers");
    }

    private static void Require(bool condition, string name, object value, string expected)
    {
        if (!condition)
            throw new ArgumentOutOfRangeException(name, value, $"{name} must be {expected}.");
    }
}
