using System.Globalization;
using System.Text.Json;
using Glimmer.Server.Http;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Glimmer.Server.Gemini;

/// <summary>Google's Gemini API: generateContent, streamGenerateContent, countTokens, models.</summary>
/// <param name="state">The server.</param>
internal sealed class GeminiDialect(ServerState state) : IDialect
{
    private static readonly string[] s_versions = ["v1beta", "v1", "v1alpha"];

    /// <inheritdoc/>
    public string Name => "gemini";

    /// <inheritdoc/>
    public bool Owns(PathString path)
    {
        string text = path.Value ?? "";
        return text.StartsWith("/v1beta/", StringComparison.Ordinal) || text.StartsWith("/v1alpha/", StringComparison.Ordinal)
            || ((text.StartsWith("/v1/models/", StringComparison.Ordinal) || text.StartsWith("/v1/tunedModels/", StringComparison.Ordinal)) && text.Contains(':', StringComparison.Ordinal));
    }

    /// <inheritdoc/>
    public void Map(IEndpointRouteBuilder routes)
    {
        var content = new Content(state);
        foreach (string version in s_versions)
        {
            routes.Post($"/{version}/models/{{**call}}", content.HandleAsync);
            routes.Post($"/{version}/tunedModels/{{**call}}", content.HandleAsync);
        }

        foreach (string version in (ReadOnlySpan<string>)["v1beta", "v1alpha"])
        {
            routes.Get($"/{version}/models", ListAsync);
            routes.Get($"/{version}/models/{{**name}}", OneAsync);
        }
    }

    /// <inheritdoc/>
    public byte[] ErrorBody(ApiException error, int status, string requestId) => Error(error, status);

    /// <summary>The body of an error.</summary>
    public static byte[] Error(ApiException error, int status) => JsonText.Write(json =>
    {
        json.WriteStartObject();
        json.WriteStartObject("error");
        json.WriteNumber("code", status);
        json.WriteString("message", Message(error));
        json.WriteString("status", Word(error.Kind));
        if (error.RetryAfter is { } wait)
        {
            json.WriteStartArray("details");
            json.WriteStartObject();
            json.WriteString("@type", "type.googleapis.com/google.rpc.RetryInfo");
            json.WriteString("retryDelay", string.Create(CultureInfo.InvariantCulture, $"{Math.Ceiling(wait.TotalSeconds):0}s"));
            json.WriteEndObject();
            json.WriteEndArray();
        }

        json.WriteEndObject();
        json.WriteEndObject();
    });

    /// <summary>The vendor's word for an error.</summary>
    private static string Word(ApiErrorKind kind) => kind switch
    {
        ApiErrorKind.Unauthenticated => "UNAUTHENTICATED",
        ApiErrorKind.Forbidden => "PERMISSION_DENIED",
        ApiErrorKind.NotFound => "NOT_FOUND",
        ApiErrorKind.RateLimited => "RESOURCE_EXHAUSTED",
        ApiErrorKind.Internal => "INTERNAL",
        ApiErrorKind.NotImplemented => "UNIMPLEMENTED",
        ApiErrorKind.Unavailable or ApiErrorKind.Overloaded => "UNAVAILABLE",
        ApiErrorKind.Timeout or ApiErrorKind.RequestTimeout => "DEADLINE_EXCEEDED",
        _ => "INVALID_ARGUMENT",
    };

    private static string Message(ApiException error) => error.PromptTokens is { } prompt
        ? $"The input token count ({prompt}) exceeds the maximum number of tokens allowed ({error.ContextLength})."
        : error.Message;

    private Task ListAsync(HttpContext context) => JsonResponse.WriteAsync(context, json =>
    {
        json.WriteStartObject();
        json.WriteStartArray("models");
        foreach (string name in state.Names.Listed)
            Write(json, name);
        json.WriteEndArray();
        json.WriteEndObject();
    });

    private Task OneAsync(HttpContext context)
    {
        string name = Uri.UnescapeDataString((string?)context.Request.RouteValues["name"] ?? "");
        state.Names.Require(name);
        return JsonResponse.WriteAsync(context, json => Write(json, name));
    }

    private void Write(Utf8JsonWriter json, string name)
    {
        json.WriteStartObject();
        json.WriteString("name", "models/" + name);
        json.WriteString("version", "1");
        json.WriteString("displayName", name);
        if (state.IsReady)
        {
            json.WriteNumber("inputTokenLimit", state.Runner.Model.Source.ContextLength);
            json.WriteNumber("outputTokenLimit", state.Runner.Model.Source.ContextLength);
        }

        json.WriteStartArray("supportedGenerationMethods");
        json.WriteStringValue("generateContent");
        json.WriteStringValue("streamGenerateContent");
        json.WriteStringValue("countTokens");
        json.WriteEndArray();
        json.WriteEndObject();
    }
}
