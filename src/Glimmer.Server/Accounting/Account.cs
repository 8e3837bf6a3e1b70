using System.Security.Cryptography;
using System.Text;
using Glimmer.Server.Http;
using Microsoft.AspNetCore.Http;

namespace Glimmer.Server.Accounting;

/// <summary>To whom a request is charged.</summary>
/// <param name="Key">A short name of its key.</param>
/// <param name="Model">The model's name as the client wrote it.</param>
/// <param name="Dialect">The API.</param>
public sealed record Account(string Key, string Model, string Dialect)
{
    /// <summary>The account of a request. The key itself is not kept, only the beginning of its hash.</summary>
    internal static Account Of(HttpContext context, string model, string dialect)
    {
        string? key = AccessCheck.KeyOf(context.Request);
        return new Account(key is null ? "-" : Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(key)).AsSpan(0, 4)), model, dialect);
    }
}
