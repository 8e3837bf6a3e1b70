using System.Text;
using System.Text.Json;
using Glimmer.Chat;
using Glimmer.Inference;
using Glimmer.Server.Accounting;
using Glimmer.Server.Http;
using Glimmer.Server.OpenAi;
using Glimmer.Server.Turns;
using Microsoft.AspNetCore.Http;

namespace Glimmer.Server.Gemini;

/// <summary><c>POST /{version}/models/{model}:{method}</c>.</summary>
/// <param name="state">The server.</param>
internal sealed class Content(ServerState state)
{
    private static readonly TimeSpan s_keepAlive = TimeSpan.FromSeconds(10);

    /// <summary>Answers a request.</summary>
    public async Task HandleAsync(HttpContext context)
    {
        string call = Uri.UnescapeDataString((string?)context.Request.RouteValues["call"] ?? "");
        int colon = call.LastIndexOf(':');
        string name = colon < 0 ? call : call[..colon];
        string method = colon < 0 ? "" : call[(colon + 1)..];
        if (method is not ("generateContent" or "streamGenerateContent" or "countTokens"))
            throw new ApiException(ApiErrorKind.NotFound, $"There is no method '{method}'; expected generateContent, streamGenerateContent or countTokens.");
        state.Names.Require(name);
        Fields body = await RequestBody.ReadAsync(context, state.Options.MaxRequestBytes).ConfigureAwait(false);
        TurnRunner runner = state.Runner;
        if (method == "countTokens")
        {
            Fields counted = body.Object("generateContentRequest") ?? body;
            int tokens = runner.CountTokens(ContentReader.Read(counted, RequestIds.Of(context), state.Options.Images));
            await JsonResponse.WriteAsync(context, json =>
            {
                json.WriteStartObject();
                json.WriteNumber("totalTokens", tokens);
                json.WriteEndObject();
            }).ConfigureAwait(false);
            return;
        }

        TurnRequest request = ContentReader.Read(body, RequestIds.Of(context), state.Options.Images);
        Turn turn = await runner.StartAsync(request with { Account = Account.Of(context, name, "gemini") }, context.RequestAborted).ConfigureAwait(false);
        var reply = new ContentReply(name, ContentReader.IncludesThoughts(body), runner.Model) { TopLogprobs = request.Logprobs ? request.TopLogprobs : null };
        if (method == "generateContent")
            await WholeAsync(context, turn, reply).ConfigureAwait(false);
        else
            await StreamAsync(context, turn, reply, context.Request.Query["alt"] == "sse").ConfigureAwait(false);
    }

    private static async Task WholeAsync(HttpContext context, Turn turn, ContentReply reply)
    {
        var answers = new WholeAnswer[turn.Request.Count];
        for (int i = 0; i < answers.Length; i++)
            answers[i] = new WholeAnswer();
        await foreach (TurnEvent item in turn.ReadAllAsync(context.RequestAborted).ConfigureAwait(false))
        {
            if (item is TokenMade token)
                answers[token.Answer].Tokens.Add(token);
            else if (item is AnswerFinished finished)
                answers[finished.Answer].Finished = finished;
        }

        await JsonResponse.WriteAsync(context, json => reply.WriteWhole(json, answers)).ConfigureAwait(false);
    }

    // No comments keep this stream alive: some of the vendor's own clients break at them. An empty text does.
    private static async Task StreamAsync(HttpContext context, Turn turn, ContentReply reply, bool isEvents)
    {
        var stream = new EventStream(context);
        bool isFirst = true;
        if (isEvents)
            await stream.FlushAsync().ConfigureAwait(false);
        else
        {
            stream.Open();
            context.Response.ContentType = "application/json";
            stream.AddRaw("["u8);
        }

        try
        {
            await foreach (TurnEvent? item in turn.ReadAllAsync(context.RequestAborted).WithSilence(s_keepAlive, context.RequestAborted).ConfigureAwait(false))
            {
                if (reply.Chunk(item) is { } chunk)
                {
                    Add(chunk);
                    await stream.FlushAsync().ConfigureAwait(false);
                }
            }
        }
        catch (Exception error) when (!context.RequestAborted.IsCancellationRequested)
        {
            ApiException known = ErrorBoundary.Known(error);
            Add(json => json.WriteRawValue(GeminiDialect.Error(known, ErrorStatus.Of(known.Kind))));
        }

        if (!isEvents)
            stream.AddRaw("]"u8);
        await stream.FlushAsync().ConfigureAwait(false);

        void Add(Action<Utf8JsonWriter> write)
        {
            if (isEvents)
                stream.Add(write);
            else
            {
                if (!isFirst)
                    stream.AddRaw(",\n"u8);
                stream.AddRaw(JsonText.Write(write));
            }

            isFirst = false;
        }
    }
}
