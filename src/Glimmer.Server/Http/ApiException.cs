namespace Glimmer.Server.Http;

/// <summary>What went wrong, in the same terms for every API.</summary>
public enum ApiErrorKind
{
    /// <summary>The request makes no sense, or asks for what is not supported: 400.</summary>
    Invalid,
    /// <summary>No key, or a wrong one: 401.</summary>
    Unauthenticated,
    /// <summary>The key may not do this: 403.</summary>
    Forbidden,
    /// <summary>No such route, model or object: 404.</summary>
    NotFound,
    /// <summary>The route knows other methods: 405.</summary>
    MethodNotAllowed,
    /// <summary>The body came too slowly: 408.</summary>
    RequestTimeout,
    /// <summary>The body is too large: 413.</summary>
    TooLarge,
    /// <summary>The body's type or encoding is not understood: 415.</summary>
    UnsupportedMedia,
    /// <summary>A limit of this key: 429.</summary>
    RateLimited,
    /// <summary>Our fault: 500.</summary>
    Internal,
    /// <summary>Not built into this server: 501.</summary>
    NotImplemented,
    /// <summary>Loading, stopping or swapping weights: 503.</summary>
    Unavailable,
    /// <summary>The queue is full: 503, at Anthropic 529.</summary>
    Overloaded,
    /// <summary>It took too long: 504.</summary>
    Timeout,
}

/// <summary>A request cannot be answered. The dialect of the path gives it its shape and status.</summary>
public sealed class ApiException : Exception
{
    /// <summary>Creates the exception.</summary>
    /// <param name="kind">What went wrong.</param>
    /// <param name="message">For the client: what, where, expected, what to do. No paths, no keys.</param>
    /// <param name="parameter">The field it is about.</param>
    /// <param name="code">A word for programs.</param>
    public ApiException(ApiErrorKind kind, string message, string? parameter = null, string? code = null) : base(message) =>
        (Kind, Parameter, Code) = (kind, parameter, code);

    /// <summary>What went wrong.</summary>
    public ApiErrorKind Kind { get; }

    /// <summary>The field it is about.</summary>
    public string? Parameter { get; }

    /// <summary>A word for programs, such as <c>context_length_exceeded</c>.</summary>
    public string? Code { get; }

    /// <summary>Tokens of a prompt that is too long.</summary>
    public int? PromptTokens { get; init; }

    /// <summary>The limit that the prompt exceeds.</summary>
    public int? ContextLength { get; init; }

    /// <summary>When to try again.</summary>
    public TimeSpan? RetryAfter { get; init; }

    /// <summary>A field has a wrong value.</summary>
    public static ApiException Invalid(string message, string? parameter = null, string? code = null) => new(ApiErrorKind.Invalid, message, parameter, code);

    /// <summary>The prompt does not fit; each dialect has its own wording.</summary>
    public static ApiException PromptTooLong(int promptTokens, int contextLength) =>
        new(ApiErrorKind.Invalid, $"This model's maximum context length is {contextLength} tokens. However, you requested {promptTokens} tokens in the prompt. Shorten it.", "messages", "context_length_exceeded")
        {
            PromptTokens = promptTokens,
            ContextLength = contextLength,
        };
}
