using Glimmer.Server.Accounting;
using Glimmer.Server.Http;
using Glimmer.Server.Turns;
using Microsoft.AspNetCore.Http;

namespace Glimmer.Server.Anthropic;

/// <summary><c>POST /v1/messages</c> and <c>POST /v1/messages/count_tokens</c>.</summary>
/// <param name="state">The server.</param>
internal sealed class Messages(ServerState state)
{
    /// <summary>Answers a request.</summary>
    public async Task HandleAsync(HttpContext context)
    {
        Fields body = await RequestBody.ReadAsync(context, state.Options.MaxRequestBytes).ConfigureAwait(false);
        context.Response.Headers["request-id"] = RequestIds.Of(context);
        string model = body.Text("model") ?? "";
        bool isStream = body.Flag("stream") ?? false;
        state.Names.Require(model);
        TurnRunner runner = state.Runner;
        TurnRequest request = new MessagesReader(state.Options, runner.Model.Template).Read(body, RequestIds.Of(context), countOnly: false);
        Turn turn = await runner.StartAsync(request with { Account = Account.Of(context, model, "anthropic") }, context.RequestAborted).ConfigureAwait(false);
        var reply = new MessageReply(model.Length > 0 ? model : state.Options.ModelNames[0], KnowsFullContext(context.Request));
        if (isStream)
            await StreamAsync(context, turn, reply).ConfigureAwait(false);
        else
            await WholeAsync(context, turn, reply).ConfigureAwait(false);
    }

    /// <summary>Counts the tokens of a prompt; never waits for the engine.</summary>
    public async Task CountAsync(HttpContext context)
    {
        Fields body = await RequestBody.ReadAsync(context, state.Options.MaxRequestBytes).ConfigureAwait(false);
        context.Response.Headers["request-id"] = RequestIds.Of(context);
        state.Names.Require(body.Text("model"));
        TurnRunner runner = state.Runner;
        int tokens = runner.CountTokens(new MessagesReader(state.Options, runner.Model.Template).Read(body, RequestIds.Of(context), countOnly: true));
        await JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteNumber("input_tokens", tokens);
            json.WriteEndObject();
        }).ConfigureAwait(false);
    }

    private static async Task WholeAsync(HttpContext context, Turn turn, MessageReply reply)
    {
        AnswerFinished? finished = null;
        await foreach (TurnEvent item in turn.ReadAllAsync(context.RequestAborted).ConfigureAwait(false))
            finished = item as AnswerFinished ?? finished;
        await JsonResponse.WriteAsync(context, json => reply.WriteWhole(json, finished!)).ConfigureAwait(false);
    }

    private async Task StreamAsync(HttpContext context, Turn turn, MessageReply reply)
    {
        var stream = new EventStream(context);
        await stream.FlushAsync().ConfigureAwait(false);
        try
        {
            await foreach (TurnEvent? item in turn.ReadAllAsync(context.RequestAborted).WithSilence(state.Options.KeepAliveInterval, context.RequestAborted).ConfigureAwait(false))
            {
                if (item is null)
                    MessageReply.AddPing(stream);
                else
                    reply.Add(stream, item);
                await stream.FlushAsync().ConfigureAwait(false);
            }
        }
        catch (Exception error) when (!context.RequestAborted.IsCancellationRequested)
        {
            ApiException known = ErrorBoundary.Known(error);
            stream.Add("error", json =>
            {
                json.WriteStartObject();
                json.WriteString("type", "error");
                json.WriteStartObject("error");
                json.WriteString("type", AnthropicDialect.Type(known.Kind));
                json.WriteString("message", AnthropicDialect.Message(known));
                json.WriteEndObject();
                json.WriteEndObject();
            });
            await stream.FlushAsync().ConfigureAwait(false);
        }
    }

    // The word for a full context came with this version; older clients do not know it.
    private static bool KnowsFullContext(HttpRequest request) => string.CompareOrdinal(request.Headers["anthropic-version"].ToString(), "2026-10-21") >= 0;
}
