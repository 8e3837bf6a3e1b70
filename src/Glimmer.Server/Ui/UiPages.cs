using System.Globalization;
using System.Reflection;
using System.Text.Json;
using Glimmer.Server.Accounting;
using Glimmer.Server.Http;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Glimmer.Server.Ui;

/// <summary>The chat page at <c>/</c> and the page of usage: static files inside of the assembly, nothing from other hosts.</summary>
/// <param name="state">The server.</param>
internal sealed class UiPages(ServerState state)
{
    private const string Policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

    /// <summary>Adds the routes.</summary>
    public void Map(IEndpointRouteBuilder routes)
    {
        routes.Get("/", context => SendAsync(context, "index.html"), Access.Open);
        routes.Get("/usage", context => SendAsync(context, "usage.html"), Access.Open);
        routes.Get("/usage/data", UsageAsync);
        routes.Get("/ui/{**name}", context => SendAsync(context, (string?)context.Request.RouteValues["name"] ?? ""), Access.Open);
    }

    private static async Task SendAsync(HttpContext context, string name)
    {
        Assembly assembly = typeof(UiPages).Assembly;
        string? type = Path.GetExtension(name) switch
        {
            ".html" => "text/html; charset=utf-8",
            ".js" => "text/javascript; charset=utf-8",
            ".css" => "text/css; charset=utf-8",
            ".svg" => "image/svg+xml",
            _ => null,
        };
        await using Stream? file = type is null ? null : assembly.GetManifestResourceStream("ui/" + name);
        if (file is null)
            throw new ApiException(ApiErrorKind.NotFound, $"There is no file '{name}' here.");
        string tag = $"\"{assembly.ManifestModule.ModuleVersionId:n}\"";
        context.Response.Headers.ETag = tag;
        context.Response.Headers.CacheControl = "no-cache";
        context.Response.Headers.ContentSecurityPolicy = Policy;
        context.Response.Headers.XContentTypeOptions = "nosniff";
        context.Response.Headers["Referrer-Policy"] = "no-referrer";
        if (context.Request.Headers.IfNoneMatch == tag)
        {
            context.Response.StatusCode = StatusCodes.Status304NotModified;
            return;
        }

        context.Response.ContentType = type;
        context.Response.ContentLength = file.Length;
        if (!HttpMethods.IsHead(context.Request.Method))
            await file.CopyToAsync(context.Response.Body, context.RequestAborted).ConfigureAwait(false);
    }

    private async Task UsageAsync(HttpContext context)
    {
        UsageLog log = state.Usage ?? throw new ApiException(ApiErrorKind.NotFound, "This server keeps no log of usage. Start it with --usage-db.");
        IReadOnlyList<UsageRecord> records = await log.ReadAsync(cancellationToken: context.RequestAborted).ConfigureAwait(false);
        PriceTable prices = state.Options.Prices;
        await JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            Write(json, "day", prices.Sum(records, record => record.Time.UtcDateTime.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture)));
            Write(json, "model", prices.Sum(records, record => record.Model));
            Write(json, "key", prices.Sum(records, record => record.Key));
            json.WriteEndObject();
        }).ConfigureAwait(false);
    }

    private static void Write(Utf8JsonWriter json, string name, IReadOnlyList<UsageSum> sums)
    {
        json.WriteStartArray(name);
        foreach (UsageSum sum in sums)
        {
            json.WriteStartObject();
            json.WriteString("group", sum.Group);
            json.WriteNumber("requests", sum.Requests);
            json.WriteNumber("prompt", sum.Prompt);
            json.WriteNumber("cached", sum.Cached);
            json.WriteNumber("output", sum.Output);
            json.WriteNumber("reasoning", sum.Reasoning);
            json.WriteNumber("cost", sum.Cost);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }
}
