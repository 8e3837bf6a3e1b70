using System.Security.Cryptography;
using Microsoft.AspNetCore.Http;

namespace Glimmer.Server.Http;

/// <summary>Ids of requests and of the objects in their answers.</summary>
internal static class RequestIds
{
    private static readonly object s_key = new();

    /// <summary>The id of a request: sent back in headers, errors and logs.</summary>
    public static string Of(HttpContext context) => context.Items.TryGetValue(s_key, out object? id) ? (string)id! : Create(context);

    /// <summary>A new id with a prefix, such as <c>chatcmpl-</c>.</summary>
    public static string New(string prefix) => prefix + RandomNumberGenerator.GetHexString(24, lowercase: true);

    private static string Create(HttpContext context)
    {
        string id = New("req_");
        context.Items[s_key] = id;
        return id;
    }
}
