namespace Glimmer.Server.Accounting;

/// <summary>What one request used.</summary>
/// <param name="Time">When it ended.</param>
/// <param name="Key">A short name of the key it came with, from which the key cannot be found; <c>-</c> without one.</param>
/// <param name="Model">The model's name as the client wrote it.</param>
/// <param name="Dialect">The API.</param>
/// <param name="Prompt">Tokens of the prompt.</param>
/// <param name="Cached">Of these, from the prefix cache.</param>
/// <param name="Output">Tokens generated.</param>
/// <param name="Reasoning">Of these, reasoning.</param>
/// <param name="Milliseconds">From the request to its last token.</param>
/// <param name="End">How it ended.</param>
public sealed record UsageRecord(DateTimeOffset Time, string Key, string Model, string Dialect, long Prompt, long Cached, long Output, long Reasoning, long Milliseconds, string End);

/// <summary>What many requests used together.</summary>
/// <param name="Group">The key, day or model.</param>
/// <param name="Requests">Number of requests.</param>
/// <param name="Prompt">Tokens of prompts.</param>
/// <param name="Cached">Of these, from the prefix cache.</param>
/// <param name="Output">Tokens generated.</param>
/// <param name="Reasoning">Of these, reasoning.</param>
/// <param name="Cost">By the price table, in its currency.</param>
public sealed record UsageSum(string Group, long Requests, long Prompt, long Cached, long Output, long Reasoning, decimal Cost);
