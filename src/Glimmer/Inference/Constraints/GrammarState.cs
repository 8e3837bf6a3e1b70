namespace Glimmer.Inference.Constraints;

/// <summary>A stack of rules to return to, shared between states: after the current rule ends the text goes on at <paramref name="Return"/>.</summary>
internal sealed record ReturnStack(int Id, int Return, ReturnStack? Below);

/// <summary>
/// Where a text stands in a grammar: all threads (a grammar state with its stack) that the bytes so far allow. Equal sets are the same object while
/// the automaton keeps them, so that moves and masks are found once.
/// </summary>
internal sealed class GrammarState
{
    public required (Grammar.State State, ReturnStack? Stack)[] Threads { get; init; }

    /// <summary>Whether the text may end here.</summary>
    public required bool CanEnd { get; init; }

    /// <summary>Successor by byte: null when not known yet, <see cref="Dead"/> when there is none.</summary>
    public GrammarState?[]? Next { get; set; }

    /// <summary>The usual move, when it has been asked for.</summary>
    public CharacterRun? Run { get; set; }

    /// <summary>Successor by token id, for tokens that edges name.</summary>
    public Dictionary<int, GrammarState>? NextByToken { get; set; }

    /// <summary>The tokens allowed here, one bit a token, when they have been asked for.</summary>
    public ulong[]? Mask { get; set; }

    /// <summary>The state of every text that the grammar excludes.</summary>
    public static GrammarState Dead { get; } = new() { Threads = [], CanEnd = false };
}
