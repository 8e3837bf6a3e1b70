using System.Buffers;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Glimmer.Server.Http;

/// <summary>Writes server-sent events. Every event is flushed; a client that does not read holds the writer, and after a while loses the connection.</summary>
/// <param name="context">The request.</param>
internal sealed class EventStream(HttpContext context)
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(120);
    private readonly ArrayBufferWriter<byte> _buffer = new(512);

    /// <summary>Whether the answer has begun: errors are events from then on.</summary>
    public bool IsOpen { get; private set; }

    /// <summary>Sends the headers.</summary>
    public void Open()
    {
        if (IsOpen)
            return;
        IsOpen = true;
        context.Response.ContentType = "text/event-stream; charset=utf-8";
        context.Response.Headers.CacheControl = "no-cache";
        context.Response.Headers["x-accel-buffering"] = "no";
        context.Features.Get<IHttpResponseBodyFeature>()?.DisableBuffering();
    }

    /// <summary>Adds an event without a name to what is sent next.</summary>
    public void Add(Action<Utf8JsonWriter> write) => Add(null, write);

    /// <summary>Adds an event to what is sent next.</summary>
    /// <param name="name">Its <c>event:</c> line; null for none.</param>
    /// <param name="write">Its data.</param>
    public void Add(string? name, Action<Utf8JsonWriter> write)
    {
        if (name is not null)
        {
            _buffer.Write("event: "u8);
            _buffer.Write(System.Text.Encoding.UTF8.GetBytes(name));
            _buffer.Write("\n"u8);
        }

        _buffer.Write("data: "u8);
        JsonText.Write(_buffer, write);
        _buffer.Write("\n\n"u8);
    }

    /// <summary>Adds bytes as they are: a comment, <c>data: [DONE]</c>, part of an array.</summary>
    public void AddRaw(ReadOnlySpan<byte> bytes) => _buffer.Write(bytes);

    /// <summary>Sends what was added.</summary>
    /// <exception cref="OperationCanceledException">The client is gone or does not read.</exception>
    public async Task FlushAsync()
    {
        Open();
        if (_buffer.WrittenCount == 0)
            return;
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted);
        patience.CancelAfter(s_patience);
        try
        {
            await context.Response.Body.WriteAsync(_buffer.WrittenMemory, patience.Token).ConfigureAwait(false);
            await context.Response.Body.FlushAsync(patience.Token).ConfigureAwait(false);
            _buffer.ResetWrittenCount();
        }
        catch (OperationCanceledException) when (!context.RequestAborted.IsCancellationRequested)
        {
            context.Abort();
            throw;
        }
    }
}
