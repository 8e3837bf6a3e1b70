using Glimmer.Chat;

namespace Glimmer.Environments.Evaluation;

/// <summary>A benchmark: problems, what a model is asked, and how its answers are graded.</summary>
/// <remarks>Members are called from several threads at once. Grading needs no model, so that stored answers can be graded again.</remarks>
public interface ITask
{
    /// <summary>Name of the benchmark, with its category where it has several.</summary>
    string Name { get; }

    /// <summary>The problems, in the order of the data.</summary>
    IReadOnlyList<TaskSample> Samples { get; }

    /// <summary>Most tokens of an answer, where the user says nothing.</summary>
    int DefaultMaxTokens { get; }

    /// <summary>What the model is asked.</summary>
    /// <param name="sample">A problem.</param>
    /// <param name="knowsTools">Whether the model's chat template shows tools and has a form for calls; otherwise a task explains a form of its own.</param>
    TaskPrompt PromptFor(TaskSample sample, bool knowsTools);

    /// <summary>Grades an answer.</summary>
    /// <param name="sample">The problem.</param>
    /// <param name="answer">The answer without its reasoning; null when there is none, which is wrong in every metric.</param>
    /// <param name="knowsTools">As for the prompt.</param>
    SampleGrade Grade(TaskSample sample, ParsedMessage? answer, bool knowsTools);
}
