using Microsoft.AspNetCore.Http;

namespace Glimmer.Server.Http;

/// <summary>Tells browsers that pages of named origins may call (CORS). Without origins nothing is said, and browsers refuse.</summary>
internal static class CrossOrigin
{
    /// <summary>Sets the headers for an allowed origin, and answers the browser's question before the call.</summary>
    /// <returns>Whether the request is answered.</returns>
    public static bool Handle(HttpContext context, IReadOnlyList<string> origins)
    {
        string origin = context.Request.Headers.Origin.ToString();
        if (origins.Count == 0 || origin.Length == 0)
            return false;
        IHeaderDictionary headers = context.Response.Headers;
        headers.Vary = "Origin";
        bool isAny = origins.Contains("*");
        if (!isAny && !origins.Contains(origin, StringComparer.OrdinalIgnoreCase))
            return false;
        headers.AccessControlAllowOrigin = isAny ? "*" : origin;
        headers.AccessControlExposeHeaders = "x-request-id, request-id, retry-after";
        if (!HttpMethods.IsOptions(context.Request.Method) || !context.Request.Headers.ContainsKey("Access-Control-Request-Method"))
            return false;
        headers.AccessControlAllowMethods = "GET, POST, PUT, DELETE";
        headers.AccessControlAllowHeaders = context.Request.Headers.AccessControlRequestHeaders;
        headers.AccessControlMaxAge = "600";
        context.Response.StatusCode = StatusCodes.Status204NoContent;
        return true;
    }
}
