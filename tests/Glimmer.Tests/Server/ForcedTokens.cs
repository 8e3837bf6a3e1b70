using Glimmer.Inference;
using Glimmer.Server.Turns;

namespace Glimmer.Tests.Server;

/// <summary>A real engine, cache and pages included, whose model is made to say what a script says: a constraint allows one token at each place.</summary>
/// <param name="engine">The engine; not owned.</param>
/// <param name="script">From a request to its answer, the stop token included.</param>
internal sealed class ForcedTokens(Engine engine, Func<GenerationRequest, IReadOnlyList<int>> script) : ITokenSource
{
    private readonly EngineTokens _tokens = new(engine);

    public int ContextLength => engine.ContextLength;

    public EngineStatistics? Statistics => engine.Statistics;

    /// <summary>What was asked and answered, in order.</summary>
    public List<(int[] Prompt, int[] Answer, ITokenStream Stream)> Turns { get; } = [];

    public ITokenStream Submit(GenerationRequest request, CancellationToken cancellationToken)
    {
        int[] answer = [.. script(request)];
        ITokenStream stream = _tokens.Submit(request with { Constraint = () => new Forced(answer), MaxTokens = answer.Length }, cancellationToken);
        Turns.Add((request.Prompt.ToArray(), answer, stream));
        return stream;
    }

    private sealed class Forced(int[] tokens) : ITokenConstraint
    {
        private int _next;

        public void Mask(Span<ulong> allowed)
        {
            allowed.Clear();
            int token = tokens[Math.Min(_next, tokens.Length - 1)];
            allowed[token >> 6] = 1UL << (token & 63);
        }

        public void Accept(int token) => _next++;
    }
}
