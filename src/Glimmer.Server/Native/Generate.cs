using System.Text.Json;
using System.Threading.Channels;
using Glimmer.Server.Accounting;
using Glimmer.Server.Http;
using Glimmer.Server.Turns;
using Microsoft.AspNetCore.Http;

namespace Glimmer.Server.Native;

/// <summary><c>POST /generate</c>: tokens in, tokens out, with log-probabilities. Chunks of a stream repeat everything so far, so that a reader may stop at any of them.</summary>
/// <param name="state">The server.</param>
internal sealed class Generate(ServerState state)
{
    /// <summary>Answers a request.</summary>
    public async Task HandleAsync(HttpContext context)
    {
        Fields body = await RequestBody.ReadAsync(context, state.Options.MaxRequestBytes).ConfigureAwait(false);
        (IReadOnlyList<GenerateRequest> requests, bool isBatch) = GenerateReader.Read(body, RequestIds.Of(context));
        bool isStream = body.Flag("stream") ?? false;
        TurnRunner runner = state.Runner;
        long start = state.Time.GetTimestamp();
        var answers = new List<GenerateAnswer>();
        var turns = new List<(Turn Turn, int First)>();
        using var cancelled = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted);
        try
        {
            foreach (GenerateRequest request in requests)
            {
                Turn turn = await runner.StartAsync(request.Turn with { Account = Account.Of(context, "", "native") }, cancelled.Token).ConfigureAwait(false);
                turns.Add((turn, answers.Count));
                for (int i = 0; i < request.Turn.Count; i++)
                    answers.Add(new GenerateAnswer(request, turn, runner.Model, state.Time, start));
            }
        }
        catch
        {
            // A batch is taken whole or not at all.
            await cancelled.CancelAsync().ConfigureAwait(false);
            foreach ((Turn turn, _) in turns)
                turn.Abandon();
            throw;
        }

        if (isStream)
            await StreamAsync(context, turns, answers, isBatch, cancelled).ConfigureAwait(false);
        else
        {
            await Task.WhenAll(turns.Select(turn => ReadAsync(turn.Turn, turn.First, answers, null, cancelled))).ConfigureAwait(false);
            await JsonResponse.WriteAsync(context, json => Write(json, answers, isBatch)).ConfigureAwait(false);
        }
    }

    private static void Write(Utf8JsonWriter json, List<GenerateAnswer> answers, bool isBatch)
    {
        if (!isBatch)
        {
            answers[0].Write(json);
            return;
        }

        json.WriteStartArray();
        foreach (GenerateAnswer answer in answers)
            answer.Write(json);
        json.WriteEndArray();
    }

    private static async Task ReadAsync(Turn turn, int first, List<GenerateAnswer> answers, ChannelWriter<(int Answer, byte[] Json)>? chunks, CancellationTokenSource cancelled)
    {
        try
        {
            await foreach (TurnEvent item in turn.ReadAllAsync(cancelled.Token).ConfigureAwait(false))
            {
                switch (item)
                {
                    case TurnStarted started:
                        for (int i = 0; i < turn.Request.Count; i++)
                            answers[first + i].Started = started;
                        break;
                    case TokenMade token:
                        answers[first + token.Answer].Add(token);
                        break;
                    case TextPart text:
                        GenerateAnswer answer = answers[first + text.Answer];
                        answer.Text.Append(text.Text);
                        chunks?.TryWrite((first + text.Answer, JsonText.Write(json => answer.Write(json, answers.Count > 1 ? first + text.Answer : null))));
                        break;
                    case AnswerFinished finished:
                        GenerateAnswer done = answers[first + finished.Answer];
                        done.Finished = finished;
                        chunks?.TryWrite((first + finished.Answer, JsonText.Write(json => done.Write(json, answers.Count > 1 ? first + finished.Answer : null))));
                        break;
                }
            }
        }
        catch
        {
            await cancelled.CancelAsync().ConfigureAwait(false);
            throw;
        }
    }

    private async Task StreamAsync(HttpContext context, List<(Turn Turn, int First)> turns, List<GenerateAnswer> answers, bool isBatch, CancellationTokenSource cancelled)
    {
        var stream = new EventStream(context);
        await stream.FlushAsync().ConfigureAwait(false);
        var chunks = Channel.CreateUnbounded<(int Answer, byte[] Json)>(new UnboundedChannelOptions { SingleReader = true });
        Task all = Task.WhenAll(turns.Select(turn => ReadAsync(turn.Turn, turn.First, answers, chunks.Writer, cancelled)));
        _ = all.ContinueWith(done => chunks.Writer.TryComplete(done.Exception?.InnerException), TaskScheduler.Default);
        try
        {
            await foreach ((_, byte[] json) in chunks.Reader.ReadAllAsync(context.RequestAborted).ConfigureAwait(false))
            {
                stream.AddRaw("data: "u8);
                stream.AddRaw(json);
                stream.AddRaw("\n\n"u8);
                await stream.FlushAsync().ConfigureAwait(false);
            }
        }
        catch (Exception error) when (!context.RequestAborted.IsCancellationRequested)
        {
            ApiException known = ErrorBoundary.Known(error);
            stream.Add(json => json.WriteRawValue(NativeDialect.Error(known)));
        }
        finally
        {
            await cancelled.CancelAsync().ConfigureAwait(false);
            await Task.WhenAny(all).ConfigureAwait(false);
        }

        stream.AddRaw("data: [DONE]\n\n"u8);
        await stream.FlushAsync().ConfigureAwait(false);
    }
}
