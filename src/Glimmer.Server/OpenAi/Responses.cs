using System.Text.Json;
using Glimmer.Chat;
using Glimmer.Server.Accounting;
using Glimmer.Server.Http;
using Glimmer.Server.Turns;
using Microsoft.AspNetCore.Http;

namespace Glimmer.Server.OpenAi;

/// <summary><c>/v1/responses</c>.</summary>
/// <param name="state">The server.</param>
internal sealed class Responses(ServerState state)
{
    private readonly ResponseStore _store = new(state.Time);

    /// <summary>Makes a response.</summary>
    public async Task CreateAsync(HttpContext context)
    {
        Fields body = await RequestBody.ReadAsync(context, state.Options.MaxRequestBytes).ConfigureAwait(false);
        string model = body.Text("model") ?? "";
        state.Names.Require(model);
        var tools = new ResponseTools(body);
        string? previous = body.Text("previous_response_id");
        IReadOnlyList<ChatMessage> earlier = previous is null ? [] : Stored(previous).Conversation;
        bool isStream = body.Flag("stream") ?? false;
        TurnRequest request = new ResponsesReader(state.Options).Read(body, RequestIds.Of(context), earlier, tools);
        Turn turn = await state.Runner.StartAsync(request with { Account = Account.Of(context, model, "responses") }, context.RequestAborted).ConfigureAwait(false);
        var reply = new ResponseReply(body, model.Length > 0 ? model : state.Options.ModelNames[0], tools, state.Time.GetUtcNow(), request, state.Runner.Model.Tokenizer);
        if (isStream)
            await StreamAsync(context, turn, reply).ConfigureAwait(false);
        else
        {
            await foreach (TurnEvent item in turn.ReadAllAsync(context.RequestAborted).ConfigureAwait(false))
                reply.Add(null, item);
            await JsonResponse.WriteAsync(context, reply.WriteResponse).ConfigureAwait(false);
        }

        if (body.Flag("store") == true && reply.Message is { } message)
        {
            bool hasInstructions = body.Text("instructions") is { Length: > 0 };
            _store.Add(reply.Id, JsonText.Write(reply.WriteResponse), [.. request.Messages.Skip(hasInstructions ? 1 : 0), message.ToChatMessage()]);
        }
    }

    /// <summary>Gives a stored response again.</summary>
    public async Task GetAsync(HttpContext context)
    {
        byte[] json = Stored(Id(context)).Json;
        context.Response.ContentType = "application/json";
        context.Response.ContentLength = json.Length;
        await context.Response.Body.WriteAsync(json, context.RequestAborted).ConfigureAwait(false);
    }

    /// <summary>Forgets a stored response.</summary>
    public Task DeleteAsync(HttpContext context)
    {
        string id = Id(context);
        _ = Stored(id);
        _store.Remove(id);
        return JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteString("id", id);
            json.WriteString("object", "response");
            json.WriteBoolean("deleted", true);
            json.WriteEndObject();
        });
    }

    /// <summary>Would cancel a response made in the background; there are none.</summary>
    public Task CancelAsync(HttpContext context)
    {
        _ = Stored(Id(context));
        throw ApiException.Invalid("Only responses made in the background can be cancelled, and this server makes none. Close the connection to cancel a running one.", "response_id");
    }

    private static async Task SendAsync(EventStream stream) => await stream.FlushAsync().ConfigureAwait(false);

    private async Task StreamAsync(HttpContext context, Turn turn, ResponseReply reply)
    {
        var stream = new EventStream(context);
        reply.AddOpening(stream);
        await SendAsync(stream).ConfigureAwait(false);
        try
        {
            await foreach (TurnEvent? item in turn.ReadAllAsync(context.RequestAborted).WithSilence(state.Options.KeepAliveInterval, context.RequestAborted).ConfigureAwait(false))
            {
                if (item is null)
                    stream.AddRaw(": keep-alive\n\n"u8);
                else
                    reply.Add(stream, item);
                await SendAsync(stream).ConfigureAwait(false);
            }
        }
        catch (Exception error) when (!context.RequestAborted.IsCancellationRequested)
        {
            reply.AddFailure(stream, ErrorBoundary.Known(error));
            await SendAsync(stream).ConfigureAwait(false);
        }
    }

    private StoredResponse Stored(string id) => _store.Find(id)
        ?? throw new ApiException(ApiErrorKind.NotFound, $"There is no stored response '{id}'. Responses are kept for an hour, when 'store' is true.", "previous_response_id");

    private static string Id(HttpContext context) => (string?)context.Request.RouteValues["id"] ?? "";
}
