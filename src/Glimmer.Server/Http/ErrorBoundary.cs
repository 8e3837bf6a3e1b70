using Glimmer.Inference.Constraints;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Glimmer.Server.Http;

/// <summary>Turns whatever goes wrong into an answer in the shape of the path's API, and says nothing to clients that are gone.</summary>
/// <param name="dialects">The APIs; the last one takes paths that no other owns.</param>
/// <param name="log">Where unexpected errors go.</param>
internal sealed partial class ErrorBoundary(IReadOnlyList<IDialect> dialects, ILogger log)
{
    /// <summary>The API whose shape an error of this path has.</summary>
    public IDialect DialectOf(PathString path) => dialects.FirstOrDefault(dialect => dialect.Owns(path)) ?? dialects[^1];

    /// <summary>Runs the rest of the pipeline.</summary>
    public async Task InvokeAsync(HttpContext context, RequestDelegate next)
    {
        string id = RequestIds.Of(context);
        context.Response.Headers["x-request-id"] = id;
        try
        {
            await next(context).ConfigureAwait(false);
            if (!context.Response.HasStarted && context.Response.StatusCode is 404 or 405 && context.Response.ContentLength is null && context.Response.ContentType is null)
                await WriteAsync(context, NoRoute(context)).ConfigureAwait(false);
        }
        catch (Exception error) when (!context.RequestAborted.IsCancellationRequested)
        {
            ApiException known = Known(error);
            if (known.Kind == ApiErrorKind.Internal)
                LogFailure(id, error);
            if (context.Response.HasStarted)
                context.Abort(); // Dialects put errors into their streams themselves; what arrives here has no place left.
            else
                await WriteAsync(context, known).ConfigureAwait(false);
        }
        catch (Exception error)
        {
            LogGone(id, error.GetType().Name);
        }
    }

    /// <summary>Any error as one that clients may see. What is not meant for them says nothing but its id.</summary>
    public static ApiException Known(Exception error) => error switch
    {
        ApiException known => known,
        BadHttpRequestException { StatusCode: 413 } => new ApiException(ApiErrorKind.TooLarge, "The request is larger than this server takes."),
        BadHttpRequestException { StatusCode: 408 } => new ApiException(ApiErrorKind.RequestTimeout, "The request came too slowly."),
        BadHttpRequestException bad => ApiException.Invalid($"The request is malformed: {bad.Message}"),
        ConstraintException constraint => ApiException.Invalid(constraint.Message),
        ObjectDisposedException => new ApiException(ApiErrorKind.Unavailable, "The server is stopping."),
        OperationCanceledException => new ApiException(ApiErrorKind.Timeout, "The request took longer than this server allows, or was aborted."),
        _ => new ApiException(ApiErrorKind.Internal, "Internal error. The server's log has the details under this request's id."),
    };

    /// <summary>Writes an error.</summary>
    public async Task WriteAsync(HttpContext context, ApiException error)
    {
        IDialect dialect = DialectOf(context.Request.Path);
        int status = dialect.Status(error);
        byte[] body = dialect.ErrorBody(error, status, RequestIds.Of(context));
        context.Response.StatusCode = status;
        context.Response.ContentType = "application/json";
        if (error.RetryAfter is { } wait)
            context.Response.Headers.RetryAfter = ((int)Math.Ceiling(wait.TotalSeconds)).ToString(System.Globalization.CultureInfo.InvariantCulture);
        context.Response.ContentLength = body.Length;
        if (!HttpMethods.IsHead(context.Request.Method))
            await context.Response.Body.WriteAsync(body, context.RequestAborted).ConfigureAwait(false);
    }

    private static ApiException NoRoute(HttpContext context) => context.Response.StatusCode == 405
        ? new ApiException(ApiErrorKind.MethodNotAllowed, $"{context.Request.Path} does not answer {context.Request.Method}.")
        : new ApiException(ApiErrorKind.NotFound, $"There is no {context.Request.Method} {context.Request.Path} here.", code: "not_found");

    [LoggerMessage(LogLevel.Error, "Request {id} failed.")]
    private partial void LogFailure(string id, Exception error);

    [LoggerMessage(LogLevel.Debug, "The client of request {id} is gone ({reason}).")]
    private partial void LogGone(string id, string reason);
}
