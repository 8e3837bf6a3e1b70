using System.Runtime.CompilerServices;
using Glimmer.Inference;

namespace Glimmer.Server.Turns;

/// <summary>A request that the engine has accepted.</summary>
public sealed class Turn
{
    private readonly TurnRunner _runner;
    private readonly TurnPrompt _prompt;
    private readonly bool _startsInReasoning;
    private readonly ITokenStream _stream;

    internal Turn(TurnRunner runner, TurnRequest request, TurnPrompt prompt, bool startsInReasoning, ITokenStream stream) =>
        (_runner, Request, _prompt, _startsInReasoning, _stream) = (runner, request, prompt, startsInReasoning, stream);

    /// <summary>What was asked for.</summary>
    public TurnRequest Request { get; }

    /// <summary>The prompt as ids.</summary>
    public IReadOnlyList<int> Prompt => _prompt.Ids;

    /// <summary>What happens, in order. Ends when all answers are complete; a reader that stops early cancels the generation.</summary>
    /// <exception cref="OperationCanceledException">The client is gone, or the request was aborted.</exception>
    public async IAsyncEnumerable<TurnEvent> ReadAllAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var answers = new AnswerReader[Request.Count];
        for (int i = 0; i < answers.Length; i++)
            answers[i] = new AnswerReader(_runner.Model, Request, _prompt, _startsInReasoning, i);
        var events = new List<TurnEvent>();
        bool isStarted = false, isComplete = false;
        int open = answers.Length;
        try
        {
            await foreach (EngineToken token in _stream.ReadAllAsync(cancellationToken).ConfigureAwait(false))
            {
                if (!isStarted)
                {
                    isStarted = true;
                    yield return Started();
                }

                AnswerReader answer = answers[token.Answer];
                if (answer.IsFinished)
                    continue;
                answer.CachedTokens = _stream.CachedTokens;
                events.Clear();
                answer.Read(token, events);
                foreach (TurnEvent item in events)
                    yield return item;
                if (answer.IsFinished && --open == 0)
                    break;
            }

            if (!isStarted)
                yield return Started();
            foreach (AnswerReader answer in answers.Where(answer => !answer.IsFinished))
            {
                events.Clear();
                answer.Complete(events);
                foreach (TurnEvent item in events)
                    yield return item;
            }

            isComplete = open == 0;
        }
        finally
        {
            // Also when answers ended before the engine's own end: at a call that is to be the only one.
            if (!isComplete || answers.Any(answer => answer.EndedEarly))
                _stream.Cancel();
        }
    }

    private TurnStarted Started() => new(_prompt.Ids.Length, _stream.CachedTokens, _stream.PromptLogprobs);
}
