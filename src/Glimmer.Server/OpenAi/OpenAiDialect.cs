using System.Text.Json;
using Glimmer.Server.Http;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Glimmer.Server.OpenAi;

/// <summary>OpenAI's API: chat completions, completions, responses, models. Its error shape is also that of paths which no API owns.</summary>
/// <param name="state">The server.</param>
internal sealed class OpenAiDialect(ServerState state) : IDialect
{
    /// <inheritdoc/>
    public string Name => "openai";

    /// <inheritdoc/>
    public bool Owns(PathString path) => true;

    /// <inheritdoc/>
    public void Map(IEndpointRouteBuilder routes)
    {
        var chat = new ChatCompletions(state);
        var completions = new Completions(state);
        var models = new ModelList(state);
        foreach (string prefix in (ReadOnlySpan<string>)["/v1", ""])
        {
            routes.Post(prefix + "/chat/completions", chat.HandleAsync);
            routes.Post(prefix + "/completions", completions.HandleAsync);
        }

        var responses = new Responses(state);
        routes.Post("/v1/responses", responses.CreateAsync);
        routes.Get("/v1/responses/{id}", responses.GetAsync);
        routes.MapMethods("/v1/responses/{id}", ["DELETE"], responses.DeleteAsync).WithMetadata(Access.Client);
        routes.Post("/v1/responses/{id}/cancel", responses.CancelAsync, Access.Uncounted);
        routes.Get("/v1/models", models.ListAsync);
        routes.Get("/v1/models/{**id}", models.OneAsync);
    }

    /// <inheritdoc/>
    public byte[] ErrorBody(ApiException error, int status, string requestId) => JsonText.Write(json =>
    {
        json.WriteStartObject();
        WriteError(json, error);
        json.WriteEndObject();
    });

    /// <summary>Adds an error to a stream that has begun.</summary>
    public static void AddError(EventStream stream, Exception error)
    {
        ApiException known = ErrorBoundary.Known(error);
        stream.Add(json =>
        {
            json.WriteStartObject();
            WriteError(json, known);
            json.WriteEndObject();
        });
    }

    /// <summary>Writes the member <c>error</c>.</summary>
    public static void WriteError(Utf8JsonWriter json, ApiException error)
    {
        json.WriteStartObject("error");
        json.WriteString("message", error.Message);
        json.WriteString("type", Type(error.Kind));
        json.WriteString("param", error.Parameter);
        json.WriteString("code", error.Code);
        json.WriteEndObject();
    }

    private static string Type(ApiErrorKind kind) => kind switch
    {
        ApiErrorKind.Unauthenticated => "authentication_error",
        ApiErrorKind.Forbidden => "permission_error",
        ApiErrorKind.RateLimited => "rate_limit_error",
        ApiErrorKind.Internal or ApiErrorKind.Unavailable or ApiErrorKind.Overloaded or ApiErrorKind.Timeout or ApiErrorKind.NotImplemented => "server_error",
        _ => "invalid_request_error",
    };
}
