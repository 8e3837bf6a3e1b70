using Glimmer.Chat;

namespace Glimmer.Server.Turns;

/// <summary>Where defaults of sampling come from.</summary>
public enum SamplingDefaults
{
    /// <summary>The checkpoint's own <c>generation_config.json</c>; a checkpoint that does not sample takes the most likely token.</summary>
    Model,
    /// <summary>Temperature 1 and nothing else, as OpenAI's API.</summary>
    OpenAi,
}

/// <summary>What the server decides where a request does not.</summary>
public sealed record TurnDefaults
{
    /// <summary>Whether models think when a request does not say; null leaves it to the template.</summary>
    public bool? Thinking { get; init; }

    /// <summary>Whether reasoning of earlier turns stays in the prompt of a request with tools, so that the prefix of an agent's conversation does not change.</summary>
    public bool PreserveThinkingWithTools { get; init; } = true;

    /// <summary>Where defaults of sampling come from.</summary>
    public SamplingDefaults Sampling { get; init; } = SamplingDefaults.Model;

    /// <summary>Whether a request for more tokens than the context has left is refused instead of cut.</summary>
    public bool StrictMaxTokens { get; init; }

    /// <summary>Most tokens of reasoning of any request; null for no limit.</summary>
    public int? MaxThinkingTokens { get; init; }

    /// <summary>Longest wait of a request for its first token; null for no limit.</summary>
    public TimeSpan? QueueTimeout { get; init; } = TimeSpan.FromSeconds(600);

    /// <summary>Longest time of a request; null for no limit.</summary>
    public TimeSpan? RequestTimeout { get; init; }

    /// <summary>Variables for the template where a request does not set them; null for none.</summary>
    public DataObject? TemplateVariables { get; init; }

    /// <summary>Seed of the seeds that requests without one get; null draws it at the start.</summary>
    public ulong? RandomSeed { get; init; }
}
