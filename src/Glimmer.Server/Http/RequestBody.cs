using System.Buffers;
using System.IO.Compression;
using System.Text;
using Glimmer.Chat;
using Microsoft.AspNetCore.Http;
using ZstdSharp;

namespace Glimmer.Server.Http;

/// <summary>Reads the body of a request as a JSON object, within limits.</summary>
internal static class RequestBody
{
    private const int MaxDepth = 64;

    /// <summary>Reads the body.</summary>
    /// <param name="context">The request.</param>
    /// <param name="maxBytes">Most bytes, before and after decompression.</param>
    /// <exception cref="ApiException">It is too large, badly compressed, not JSON, nested too deeply, or no object.</exception>
    public static async Task<Fields> ReadAsync(HttpContext context, long maxBytes)
    {
        HttpRequest request = context.Request;
        if (request.ContentLength > maxBytes)
            throw TooLarge(maxBytes);
        byte[] bytes;
        try
        {
            bytes = await ReadBytesAsync(request, maxBytes, context.RequestAborted).ConfigureAwait(false);
        }
        catch (BadHttpRequestException error) when (error.StatusCode == StatusCodes.Status413PayloadTooLarge)
        {
            throw TooLarge(maxBytes);
        }
        catch (BadHttpRequestException error) when (error.StatusCode == StatusCodes.Status408RequestTimeout)
        {
            throw new ApiException(ApiErrorKind.RequestTimeout, "The body of the request came too slowly.");
        }
        catch (Exception error) when (error is InvalidDataException or ZstdException or InvalidOperationException or EndOfStreamException && request.Headers.ContentEncoding.Count > 0)
        {
            throw ApiException.Invalid($"The body is not valid {request.Headers.ContentEncoding}.");
        }

        return Parse(bytes);
    }

    private static Fields Parse(ReadOnlySpan<byte> bytes)
    {
        if (bytes.StartsWith("\ufeff"u8))
            bytes = bytes[3..];
        if (bytes.IsEmpty)
            throw ApiException.Invalid("The body of the request is empty; expected a JSON object.");
        CheckDepth(bytes);
        string text;
        try
        {
            text = new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(bytes);
        }
        catch (DecoderFallbackException)
        {
            throw ApiException.Invalid("The body is not valid UTF-8.");
        }

        if (!DataValue.TryParse(text, out DataValue? value))
            throw ApiException.Invalid("The body is not valid JSON.");
        return value is DataObject data ? new Fields(data) : throw ApiException.Invalid("The body must be a JSON object.");
    }

    // Before parsing: brackets outside of strings.
    private static void CheckDepth(ReadOnlySpan<byte> json)
    {
        int depth = 0;
        bool isText = false;
        for (int i = 0; i < json.Length; i++)
        {
            switch (json[i])
            {
                case (byte)'\\' when isText:
                    i++;
                    break;
                case (byte)'"':
                    isText = !isText;
                    break;
                case (byte)'{' or (byte)'[' when !isText:
                    if (++depth > MaxDepth)
                        throw ApiException.Invalid($"The JSON of the body is nested more than {MaxDepth} levels deep.");
                    break;
                case (byte)'}' or (byte)']' when !isText:
                    depth--;
                    break;
            }
        }
    }

    private static async Task<byte[]> ReadBytesAsync(HttpRequest request, long maxBytes, CancellationToken cancellationToken)
    {
        string encoding = request.Headers.ContentEncoding.ToString().Trim().ToLowerInvariant();
        Stream body = request.Body;
        await using Stream? decoded = encoding switch
        {
            "" or "identity" => null,
            "gzip" or "x-gzip" => new GZipStream(body, CompressionMode.Decompress),
            "br" => new BrotliStream(body, CompressionMode.Decompress),
            "zstd" => new DecompressionStream(body),
            "deflate" => new ZLibStream(body, CompressionMode.Decompress),
            _ => throw new ApiException(ApiErrorKind.UnsupportedMedia, $"Content-Encoding '{encoding}' is not understood; use gzip, br, zstd, deflate or none."),
        };
        Stream source = decoded ?? body;
        using var buffer = new MemoryStream(request.ContentLength is { } length and < 1 << 20 ? (int)length : 4096);
        byte[] rented = ArrayPool<byte>.Shared.Rent(64 << 10);
        try
        {
            int read;
            while ((read = await source.ReadAsync(rented, cancellationToken).ConfigureAwait(false)) > 0)
            {
                if (buffer.Length + read > maxBytes)
                    throw TooLarge(maxBytes);
                buffer.Write(rented, 0, read);
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(rented);
        }

        return buffer.ToArray();
    }

    private static ApiException TooLarge(long maxBytes) =>
        new(ApiErrorKind.TooLarge, $"The body of the request is larger than {maxBytes} bytes, the most this server takes.");
}
