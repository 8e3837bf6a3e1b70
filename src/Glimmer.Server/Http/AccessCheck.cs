using System.Net;
using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;

namespace Glimmer.Server.Http;

/// <summary>Who may call: keys, and on an open loopback server only names of this machine, so that no page in a browser reaches it by a rebound name.</summary>
internal sealed class AccessCheck
{
    private readonly ServerOptions _options;
    private readonly byte[][] _keys;
    private readonly byte[]? _admin;

    public AccessCheck(ServerOptions options)
    {
        _options = options;
        _keys = [.. options.ApiKeys.Select(Hash)];
        _admin = options.AdminApiKey is { } key ? Hash(key) : null;
    }

    /// <summary>Throws unless the request may be answered.</summary>
    /// <param name="context">The request.</param>
    /// <param name="isAdmin">Whether it controls the server.</param>
    /// <exception cref="ApiException">The key is missing or wrong, or the origin is foreign.</exception>
    public void Require(HttpContext context, bool isAdmin)
    {
        CheckOrigin(context);
        if (isAdmin && _admin is not null)
        {
            RequireKey(context, [_admin], "the admin key of this server");
            return;
        }

        if (_keys.Length > 0)
        {
            // The admin key opens everything.
            RequireKey(context, _admin is null ? _keys : [.. _keys, _admin], "a key of this server");
            return;
        }

        if (isAdmin && context.Connection.RemoteIpAddress is { } peer && !IPAddress.IsLoopback(peer))
            throw new ApiException(ApiErrorKind.Forbidden, "Without an admin key this endpoint answers this machine only. Start the server with --admin-api-key.");
    }

    /// <summary>The key that a request carries, whichever way; null for none.</summary>
    public static string? KeyOf(HttpRequest request)
    {
        string authorization = request.Headers.Authorization.ToString();
        if (authorization.StartsWith("Bearer ", StringComparison.OrdinalIgnoreCase))
            return authorization["Bearer ".Length..].Trim();
        foreach (string header in (ReadOnlySpan<string>)["x-api-key", "x-goog-api-key"])
        {
            if (request.Headers.TryGetValue(header, out StringValues value) && !StringValues.IsNullOrEmpty(value))
                return value.ToString();
        }

        return request.Query.TryGetValue("key", out StringValues query) && !StringValues.IsNullOrEmpty(query) ? query.ToString() : null;
    }

    private static void RequireKey(HttpContext context, byte[][] keys, string what)
    {
        string? key = KeyOf(context.Request);
        if (key is null)
            throw new ApiException(ApiErrorKind.Unauthenticated, $"No key was sent. Send {what} as 'Authorization: Bearer ...', 'x-api-key' or 'x-goog-api-key'.", code: "invalid_api_key");
        byte[] hash = Hash(key);
        bool isKnown = false;
        // All are compared, each in constant time.
        foreach (byte[] known in keys)
            isKnown |= CryptographicOperations.FixedTimeEquals(hash, known);
        if (!isKnown)
            throw new ApiException(ApiErrorKind.Unauthenticated, $"The key is not {what}.", code: "invalid_api_key");
    }

    private void CheckOrigin(HttpContext context)
    {
        if (_keys.Length > 0)
            return;
        string origin = context.Request.Headers.Origin.ToString();
        if (origin.Length > 0 && !_options.AllowedOrigins.Contains(origin, StringComparer.OrdinalIgnoreCase)
            && !(Uri.TryCreate(origin, UriKind.Absolute, out Uri? uri) && ServerOptions.IsLoopback(uri.Host) && uri.Port == (context.Request.Host.Port ?? 80)))
            throw new ApiException(ApiErrorKind.Forbidden, "Pages of this origin may not call the server. Start it with --cors-allow-origins or with a key.");
        string host = context.Request.Host.Host;
        if (ServerOptions.IsLoopback(_options.Host) && host.Length > 0 && !ServerOptions.IsLoopback(host))
            throw new ApiException(ApiErrorKind.Forbidden, "The Host header names another machine. An open server answers to localhost only; set a key to use other names.");
    }

    private static byte[] Hash(string key) => SHA256.HashData(Encoding.UTF8.GetBytes(key));
}
