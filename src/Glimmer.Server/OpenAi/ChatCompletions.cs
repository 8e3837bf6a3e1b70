using System.Text;
using System.Text.Json;
using Glimmer.Chat;
using Glimmer.Server.Accounting;
using Glimmer.Server.Http;
using Glimmer.Server.Turns;
using Microsoft.AspNetCore.Http;

namespace Glimmer.Server.OpenAi;

/// <summary><c>POST /v1/chat/completions</c>.</summary>
/// <param name="state">The server.</param>
internal sealed class ChatCompletions(ServerState state)
{
    /// <summary>Answers a request.</summary>
    public async Task HandleAsync(HttpContext context)
    {
        Fields body = await RequestBody.ReadAsync(context, state.Options.MaxRequestBytes).ConfigureAwait(false);
        (TurnRequest request, ReplyForm form) = ChatRequestReader.Read(body, state, RequestIds.Of(context));
        state.Names.Require(form.Model);
        TurnRunner runner = state.Runner;
        Turn turn = await runner.StartAsync(request with { Account = Account.Of(context, form.Model, "openai") }, context.RequestAborted).ConfigureAwait(false);
        var reply = new ChatReply(form.Model.Length > 0 ? form.Model : state.Options.ModelNames[0], form, runner.Model, state.Time.GetUtcNow());
        if (form.Stream)
            await StreamAsync(context, turn, reply).ConfigureAwait(false);
        else
            await WholeAsync(context, turn, reply).ConfigureAwait(false);
    }

    private static async Task WholeAsync(HttpContext context, Turn turn, ChatReply reply)
    {
        var answers = new WholeAnswer[turn.Request.Count];
        for (int i = 0; i < answers.Length; i++)
            answers[i] = new WholeAnswer();
        IReadOnlyList<float> promptLogprobs = [];
        await foreach (TurnEvent item in turn.ReadAllAsync(context.RequestAborted).ConfigureAwait(false))
        {
            switch (item)
            {
                case TurnStarted started:
                    promptLogprobs = started.PromptLogprobs;
                    break;
                case TokenMade token:
                    answers[token.Answer].Tokens.Add(token);
                    break;
                case CallStarted call:
                    answers[call.Answer].CallIds.Add(call.Id);
                    break;
                case AnswerFinished finished:
                    answers[finished.Answer].Finished = finished;
                    break;
            }
        }

        await JsonResponse.WriteAsync(context, json => reply.WriteWhole(json, turn, answers, promptLogprobs)).ConfigureAwait(false);
    }

    private async Task StreamAsync(HttpContext context, Turn turn, ChatReply reply)
    {
        var stream = new EventStream(context);
        for (int answer = 0; answer < turn.Request.Count; answer++)
            reply.AddRole(stream, answer);
        await stream.FlushAsync().ConfigureAwait(false);
        try
        {
            await foreach (TurnEvent? item in turn.ReadAllAsync(context.RequestAborted).WithSilence(state.Options.KeepAliveInterval, context.RequestAborted).ConfigureAwait(false))
            {
                if (item is null)
                    stream.AddRaw(": keep-alive\n\n"u8);
                else
                    reply.Add(stream, turn, item);
                await stream.FlushAsync().ConfigureAwait(false);
            }

            reply.AddUsage(stream, turn);
        }
        catch (Exception error) when (!context.RequestAborted.IsCancellationRequested)
        {
            OpenAiDialect.AddError(stream, error);
        }

        stream.AddRaw("data: [DONE]\n\n"u8);
        await stream.FlushAsync().ConfigureAwait(false);
    }
}

/// <summary>What is collected of one answer that is sent whole.</summary>
internal sealed class WholeAnswer
{
    /// <summary>Its tokens.</summary>
    public List<TokenMade> Tokens { get; } = [];

    /// <summary>Ids of its calls as announced.</summary>
    public List<string> CallIds { get; } = [];

    /// <summary>Its end.</summary>
    public AnswerFinished? Finished { get; set; }
}
