using Glimmer.Server.Accounting;
using Glimmer.Server.Http;
using Glimmer.Server.Turns;
using Microsoft.AspNetCore.Http;

namespace Glimmer.Server.OpenAi;

/// <summary><c>POST /v1/completions</c>: continues texts or tokens, without a chat template.</summary>
/// <param name="state">The server.</param>
internal sealed class Completions(ServerState state)
{
    /// <summary>Answers a request.</summary>
    public async Task HandleAsync(HttpContext context)
    {
        Fields body = await RequestBody.ReadAsync(context, state.Options.MaxRequestBytes).ConfigureAwait(false);
        string name = body.Text("model") ?? "";
        state.Names.Require(name);
        TurnRunner runner = state.Runner;
        CompletionRequest request = CompletionRequestReader.Read(body, runner.Model, RequestIds.Of(context));
        // All prompts are computed together; leaving cancels those that are not read yet.
        using var leaving = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted);
        var turns = new List<Turn>();
        try
        {
            foreach (TurnRequest turn in request.Turns)
            {
                string id = request.Turns.Count > 1 ? $"{turn.Id}-{turns.Count}" : turn.Id;
                turns.Add(await runner.StartAsync(turn with { Id = id, Account = Account.Of(context, name, "openai") }, leaving.Token).ConfigureAwait(false));
            }

            var reply = new CompletionReply(name.Length > 0 ? name : state.Options.ModelNames[0], request, runner.Model, state.Time.GetUtcNow());
            if (request.Form.Stream)
                await StreamAsync(context, turns, reply).ConfigureAwait(false);
            else
                await WholeAsync(context, turns, reply).ConfigureAwait(false);
        }
        finally
        {
            await leaving.CancelAsync().ConfigureAwait(false);
            foreach (Turn turn in turns)
                turn.Abandon();
        }
    }

    private static async Task WholeAsync(HttpContext context, List<Turn> turns, CompletionReply reply)
    {
        for (int prompt = 0; prompt < turns.Count; prompt++)
        {
            await foreach (TurnEvent item in turns[prompt].ReadAllAsync(context.RequestAborted).ConfigureAwait(false))
                reply.Add(turns[prompt], prompt, item);
        }

        await JsonResponse.WriteAsync(context, reply.WriteWhole).ConfigureAwait(false);
    }

    private async Task StreamAsync(HttpContext context, List<Turn> turns, CompletionReply reply)
    {
        var stream = new EventStream(context);
        await stream.FlushAsync().ConfigureAwait(false);
        try
        {
            for (int prompt = 0; prompt < turns.Count; prompt++)
            {
                Turn turn = turns[prompt];
                await foreach (TurnEvent? item in turn.ReadAllAsync(context.RequestAborted).WithSilence(state.Options.KeepAliveInterval, context.RequestAborted).ConfigureAwait(false))
                {
                    if (item is null)
                        stream.AddRaw(": keep-alive\n\n"u8);
                    else if (reply.Add(turn, prompt, item) is { } choice)
                        reply.AddChunk(stream, choice);
                    await stream.FlushAsync().ConfigureAwait(false);
                }
            }

            reply.AddUsage(stream);
        }
        catch (Exception error) when (!context.RequestAborted.IsCancellationRequested)
        {
            OpenAiDialect.AddError(stream, error);
        }

        stream.AddRaw("data: [DONE]\n\n"u8);
        await stream.FlushAsync().ConfigureAwait(false);
    }
}
