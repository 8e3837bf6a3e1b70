namespace Glimmer.Inference.Constraints;

/// <summary>Whether a turn holds tool calls.</summary>
public enum ToolChoice
{
    /// <summary>Text, calls or both.</summary>
    Auto,

    /// <summary>A call comes first; text and further calls may follow it.</summary>
    Required,

    /// <summary>No call.</summary>
    None,
}

/// <summary>Where a turn starts.</summary>
public enum ReasoningStart
{
    /// <summary>After any reasoning: the turn has none.</summary>
    Closed,

    /// <summary>Inside of a think block that the prompt has opened.</summary>
    Open,

    /// <summary>Before a think block that the model may write or leave out.</summary>
    Optional,
}

/// <summary>What a turn with tools may be.</summary>
public sealed record ToolCallOptions
{
    /// <summary>Whether the turn holds calls.</summary>
    public ToolChoice Choice { get; init; } = ToolChoice.Auto;

    /// <summary>The one tool that is called, once and with nothing beside it; null for any. It takes the place of <see cref="Choice"/>.</summary>
    public string? Name { get; init; }

    /// <summary>Whether more than one call may be made. Otherwise the turn ends with the first.</summary>
    public bool Parallel { get; init; } = true;

    /// <summary>JSON Schema that a turn without calls satisfies as a whole; then calls stand without text beside them. Null for free text.</summary>
    public string? TextSchema { get; init; }

    /// <summary>Where the turn starts.</summary>
    public ReasoningStart Reasoning { get; init; } = ReasoningStart.Closed;
}
