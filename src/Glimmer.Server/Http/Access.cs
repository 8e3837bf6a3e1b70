using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Glimmer.Server.Http;

/// <summary>Who may use a route; in its metadata.</summary>
internal sealed class Access
{
    private Access()
    {
    }

    /// <summary>Anybody: health.</summary>
    public static Access Open { get; } = new();

    /// <summary>Clients with a key.</summary>
    public static Access Client { get; } = new();

    /// <summary>Clients with a key, whose requests cost little: limits of rate do not count them.</summary>
    public static Access Uncounted { get; } = new();

    /// <summary>Whoever controls the server.</summary>
    public static Access Admin { get; } = new();
}

/// <summary>Adds routes whose handlers are plain delegates, with the access they need.</summary>
internal static class Routes
{
    /// <summary>A route for GET.</summary>
    public static void Get(this IEndpointRouteBuilder routes, string pattern, RequestDelegate handler, Access? access = null) =>
        routes.MapMethods(pattern, ["GET", "HEAD"], handler).WithMetadata(access ?? Access.Client);

    /// <summary>A route for POST.</summary>
    public static void Post(this IEndpointRouteBuilder routes, string pattern, RequestDelegate handler, Access? access = null) =>
        routes.MapMethods(pattern, ["POST"], handler).WithMetadata(access ?? Access.Client);
}
