using Glimmer.Chat;
using Glimmer.Inference;

namespace Glimmer.Server.Turns;

/// <summary>What happens while a request is answered, in the same terms for every API.</summary>
/// <remarks>
/// Order: <see cref="TurnStarted"/>; then for each answer any of <see cref="TokenMade"/>, <see cref="ThinkingPart"/>, <see cref="TextPart"/>, <see cref="CallStarted"/>,
/// <see cref="CallArguments"/>, <see cref="CallEnded"/> and at the end exactly one <see cref="AnswerFinished"/>. Failures are exceptions.
/// </remarks>
public abstract record TurnEvent
{
    private protected TurnEvent()
    {
    }
}

/// <summary>The first token is there.</summary>
/// <param name="PromptTokens">Tokens of the prompt.</param>
/// <param name="CachedTokens">Of these, tokens that came from the prefix cache.</param>
/// <param name="PromptLogprobs">Log-probability of each prompt token after the first; empty when not asked for.</param>
/// <param name="PromptAlternatives">Alternatives to each prompt token after the first; empty when not asked for.</param>
public sealed record TurnStarted(int PromptTokens, int CachedTokens, IReadOnlyList<float> PromptLogprobs, IReadOnlyList<TokenAlternatives> PromptAlternatives) : TurnEvent;

/// <summary>Where a token of an answer belongs.</summary>
public enum TokenRegion
{
    /// <summary>Reasoning, its markers included.</summary>
    Thinking,
    /// <summary>Text and calls.</summary>
    Answer,
    /// <summary>The token that ended the answer.</summary>
    End,
}

/// <summary>A token. The events that its text settles follow.</summary>
/// <param name="Answer">Number of the answer.</param>
/// <param name="Token">The token with its log-probabilities.</param>
/// <param name="Region">Where it belongs.</param>
public sealed record TokenMade(int Answer, EngineToken Token, TokenRegion Region) : TurnEvent;

/// <summary>More reasoning.</summary>
/// <param name="Answer">Number of the answer.</param>
/// <param name="Text">The text.</param>
public sealed record ThinkingPart(int Answer, string Text) : TurnEvent;

/// <summary>More visible text.</summary>
/// <param name="Answer">Number of the answer.</param>
/// <param name="Text">The text.</param>
public sealed record TextPart(int Answer, string Text) : TurnEvent;

/// <summary>A call whose name is settled.</summary>
/// <param name="Answer">Number of the answer.</param>
/// <param name="Index">Number of the call in the answer.</param>
/// <param name="Id">Identifies the call.</param>
/// <param name="Name">The tool.</param>
public sealed record CallStarted(int Answer, int Index, string Id, string Name) : TurnEvent;

/// <summary>More of a call's arguments; joined they are JSON.</summary>
/// <param name="Answer">Number of the answer.</param>
/// <param name="Index">Number of the call.</param>
/// <param name="Json">The fragment.</param>
public sealed record CallArguments(int Answer, int Index, string Json) : TurnEvent;

/// <summary>A call is complete.</summary>
/// <param name="Answer">Number of the answer.</param>
/// <param name="Index">Number of the call.</param>
/// <param name="Call">The whole call.</param>
public sealed record CallEnded(int Answer, int Index, ToolCall Call) : TurnEvent;

/// <summary>The answer ended inside of a call that was announced: it is no call, and its text is part of the final message only.</summary>
/// <param name="Answer">Number of the answer.</param>
/// <param name="Index">Number of the call.</param>
/// <param name="RawText">What the model wrote.</param>
public sealed record CallCut(int Answer, int Index, string RawText) : TurnEvent;

/// <summary>Why an answer ended.</summary>
public enum TurnEnd
{
    /// <summary>A token that ends a turn.</summary>
    Stop,
    /// <summary>A stop text of the request.</summary>
    StopText,
    /// <summary>The most tokens asked for.</summary>
    Length,
    /// <summary>The context is full.</summary>
    ContextFull,
    /// <summary>Calls were made and the turn ended by itself.</summary>
    Calls,
    /// <summary>It was aborted by request.</summary>
    Aborted,
}

/// <summary>Tokens of a request.</summary>
/// <param name="Prompt">Of the prompt.</param>
/// <param name="Cached">Of these, from the prefix cache.</param>
/// <param name="Output">Generated, reasoning included.</param>
/// <param name="Reasoning">Generated as reasoning.</param>
public readonly record struct TurnUsage(int Prompt, int Cached, int Output, int Reasoning)
{
    /// <summary>Prompt and output together.</summary>
    public int Total => Prompt + Output;
}

/// <summary>How long a request took, under the names of llama.cpp's server.</summary>
/// <param name="Prompt">Prompt tokens that were computed.</param>
/// <param name="Cached">Prompt tokens that came from the prefix cache.</param>
/// <param name="PromptTime">From admission to the first token.</param>
/// <param name="Output">Tokens of all answers so far.</param>
/// <param name="OutputTime">From the first token to the last.</param>
public readonly record struct TurnTimings(int Prompt, int Cached, TimeSpan PromptTime, int Output, TimeSpan OutputTime)
{
    /// <summary>Of requests that ran together: their tokens, and the longest of their times.</summary>
    public static TurnTimings operator +(TurnTimings a, TurnTimings b) => new(
        a.Prompt + b.Prompt, a.Cached + b.Cached, a.PromptTime > b.PromptTime ? a.PromptTime : b.PromptTime, a.Output + b.Output, a.OutputTime > b.OutputTime ? a.OutputTime : b.OutputTime);
}

/// <summary>An answer is complete.</summary>
/// <param name="Answer">Number of the answer.</param>
/// <param name="End">Why.</param>
/// <param name="StopText">The stop text that was found.</param>
/// <param name="StopToken">The token that ended the answer; null when none did.</param>
/// <param name="Message">The whole message.</param>
/// <param name="Usage">Its tokens; the prompt counts in each answer.</param>
public sealed record AnswerFinished(int Answer, TurnEnd End, string? StopText, int? StopToken, ParsedMessage Message, TurnUsage Usage) : TurnEvent;
