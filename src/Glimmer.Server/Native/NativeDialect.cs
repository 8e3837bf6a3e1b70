using System.Text;
using Glimmer.Server.Http;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Glimmer.Server.Native;

/// <summary>The server's own endpoints, in the manner of SGLang: health, and what trainers and operators need.</summary>
/// <param name="state">The server.</param>
internal sealed class NativeDialect(ServerState state) : IDialect
{
    private static readonly string[] s_paths = ["/health"];

    /// <inheritdoc/>
    public string Name => "native";

    /// <inheritdoc/>
    public bool Owns(PathString path) => s_paths.Any(own => path.StartsWithSegments(own, StringComparison.Ordinal));

    /// <inheritdoc/>
    public void Map(IEndpointRouteBuilder routes)
    {
        routes.Get("/health", HealthAsync, Access.Open);
        routes.Get("/v1", AliveAsync, Access.Open);
    }

    /// <inheritdoc/>
    public byte[] ErrorBody(ApiException error, int status, string requestId) => JsonText.Write(json =>
    {
        json.WriteStartObject();
        json.WriteStartObject("error");
        json.WriteString("message", error.Message);
        json.WriteEndObject();
        json.WriteEndObject();
    });

    private async Task HealthAsync(HttpContext context)
    {
        context.Response.StatusCode = state.IsReady ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable;
        await AliveAsync(context, state.IsReady ? "ok\n"u8.ToArray() : "not ready\n"u8.ToArray()).ConfigureAwait(false);
    }

    // Some clients look whether anybody is there before they ask.
    private static Task AliveAsync(HttpContext context) => AliveAsync(context, Encoding.UTF8.GetBytes("Glimmer\n"));

    private static async Task AliveAsync(HttpContext context, byte[] text)
    {
        context.Response.ContentType = "text/plain; charset=utf-8";
        context.Response.ContentLength = text.Length;
        if (!HttpMethods.IsHead(context.Request.Method))
            await context.Response.Body.WriteAsync(text, context.RequestAborted).ConfigureAwait(false);
    }
}
