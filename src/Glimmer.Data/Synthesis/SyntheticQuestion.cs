namespace Glimmer.Data.Synthesis;

/// <summary>A question of a report card, from the test split.</summary>
/// <param name="Task">What is asked.</param>
/// <param name="Key">Key of its problem.</param>
/// <param name="Prompt">What the user says.</param>
/// <param name="Answer">The exact answer; right is an answer whose text, or last number where the answer is one, equals it.</param>
public sealed record SyntheticQuestion(string Task, ulong Key, string Prompt, string Answer)
{
    /// <summary>The same question as a text to go on with, for models that have seen no conversations; the answer follows up to the end of the line.</summary>
    public string? Completion { get; init; }

    /// <summary>Tools on offer, as in <see cref="TrainingRecord.Tools"/>.</summary>
    public IReadOnlyList<string> Tools { get; init; } = [];

    /// <summary>The call that answers it, as in a <c>tool_call</c> message; null where no tool is needed.</summary>
    public string? Call { get; init; }

    /// <summary>What the tool answers to the call.</summary>
    public string? CallResult { get; init; }
}
