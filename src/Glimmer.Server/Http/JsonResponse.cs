using System.Text.Json;
using Microsoft.AspNetCore.Http;

namespace Glimmer.Server.Http;

/// <summary>Answers with JSON.</summary>
internal static class JsonResponse
{
    /// <summary>Writes a whole answer.</summary>
    public static async Task WriteAsync(HttpContext context, Action<Utf8JsonWriter> write, int status = StatusCodes.Status200OK)
    {
        byte[] body = JsonText.Write(write);
        context.Response.StatusCode = status;
        context.Response.ContentType = "application/json";
        context.Response.ContentLength = body.Length;
        if (!HttpMethods.IsHead(context.Request.Method))
            await context.Response.Body.WriteAsync(body, context.RequestAborted).ConfigureAwait(false);
    }
}
