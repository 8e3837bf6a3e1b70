using Glimmer.Server.Http;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Glimmer.Server.Anthropic;

/// <summary>Anthropic's Messages API, as Claude Code and the vendor's SDKs use it. Versions and beta headers are not looked at, except where a word of the answer depends on the version.</summary>
/// <param name="state">The server.</param>
internal sealed class AnthropicDialect(ServerState state) : IDialect
{
    /// <inheritdoc/>
    public string Name => "anthropic";

    /// <inheritdoc/>
    public bool Owns(PathString path) => path.StartsWithSegments("/v1/messages", StringComparison.Ordinal) || path.StartsWithSegments("/v1/complete", StringComparison.Ordinal);

    /// <inheritdoc/>
    public void Map(IEndpointRouteBuilder routes)
    {
        var messages = new Messages(state);
        routes.Post("/v1/messages", messages.HandleAsync);
        routes.Post("/v1/messages/count_tokens", messages.CountAsync, Access.Uncounted);
    }

    /// <inheritdoc/>
    public int Status(ApiException error) => error.Kind == ApiErrorKind.Overloaded ? 529 : ErrorStatus.Of(error.Kind);

    /// <inheritdoc/>
    public byte[] ErrorBody(ApiException error, int status, string requestId) => JsonText.Write(json =>
    {
        json.WriteStartObject();
        json.WriteString("type", "error");
        json.WriteStartObject("error");
        json.WriteString("type", Type(error.Kind));
        json.WriteString("message", Message(error));
        json.WriteEndObject();
        json.WriteString("request_id", requestId);
        json.WriteEndObject();
    });

    /// <summary>The vendor's word for an error.</summary>
    public static string Type(ApiErrorKind kind) => kind switch
    {
        ApiErrorKind.Unauthenticated => "authentication_error",
        ApiErrorKind.Forbidden => "permission_error",
        ApiErrorKind.NotFound => "not_found_error",
        ApiErrorKind.TooLarge => "request_too_large",
        ApiErrorKind.RateLimited => "rate_limit_error",
        ApiErrorKind.Timeout => "timeout_error",
        ApiErrorKind.Overloaded => "overloaded_error",
        ApiErrorKind.Internal or ApiErrorKind.Unavailable or ApiErrorKind.NotImplemented => "api_error",
        _ => "invalid_request_error",
    };

    /// <summary>The message; Claude Code reads the words of an overflow and makes room.</summary>
    public static string Message(ApiException error) =>
        error.PromptTokens is { } prompt ? $"prompt is too long: {prompt} tokens > {error.ContextLength} maximum" : error.Message;
}
