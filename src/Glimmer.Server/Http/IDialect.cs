using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Glimmer.Server.Http;

/// <summary>One API on the wire: its routes, and the shape of its errors.</summary>
internal interface IDialect
{
    /// <summary>Short name for logs and metrics: <c>openai</c>, <c>anthropic</c>, <c>gemini</c>, <c>native</c>.</summary>
    string Name { get; }

    /// <summary>Whether errors of this path have the dialect's shape, routes that do not exist included.</summary>
    bool Owns(PathString path);

    /// <summary>Adds the routes.</summary>
    void Map(IEndpointRouteBuilder routes);

    /// <summary>The status of an error; most dialects differ from <see cref="ErrorStatus.Of"/> in one or two.</summary>
    int Status(ApiException error) => ErrorStatus.Of(error.Kind);

    /// <summary>The body of an error, as JSON.</summary>
    /// <param name="error">What went wrong.</param>
    /// <param name="status">The status it has or would have had.</param>
    /// <param name="requestId">The id of the request.</param>
    byte[] ErrorBody(ApiException error, int status, string requestId);
}

/// <summary>HTTP status of an error.</summary>
internal static class ErrorStatus
{
    /// <summary>The usual status.</summary>
    public static int Of(ApiErrorKind kind) => kind switch
    {
        ApiErrorKind.Invalid => 400,
        ApiErrorKind.Unauthenticated => 401,
        ApiErrorKind.Forbidden => 403,
        ApiErrorKind.NotFound => 404,
        ApiErrorKind.MethodNotAllowed => 405,
        ApiErrorKind.RequestTimeout => 408,
        ApiErrorKind.TooLarge => 413,
        ApiErrorKind.UnsupportedMedia => 415,
        ApiErrorKind.RateLimited => 429,
        ApiErrorKind.Internal => 500,
        ApiErrorKind.NotImplemented => 501,
        ApiErrorKind.Timeout => 504,
        _ => 503,
    };
}
