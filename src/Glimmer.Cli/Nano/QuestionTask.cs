using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using Glimmer.Chat;
using Glimmer.Data.Synthesis;
using Glimmer.Environments.Evaluation;

namespace Glimmer.Cli.Nano;

/// <summary>Questions whose answer is a number: right is an answer whose last whole number is it.</summary>
internal sealed partial class QuestionTask : ITask
{
    private readonly IReadOnlyList<SyntheticQuestion> _questions;

    public QuestionTask(string name, IReadOnlyList<SyntheticQuestion> questions)
    {
        (Name, _questions) = (name, questions);
        Samples = [.. questions.Select((_, i) => new TaskSample(i.ToString(CultureInfo.InvariantCulture), JsonElement.Parse("{}")))];
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <inheritdoc/>
    public IReadOnlyList<TaskSample> Samples { get; }

    /// <inheritdoc/>
    public int DefaultMaxTokens => 160;

    /// <inheritdoc/>
    public TaskPrompt PromptFor(TaskSample sample, bool knowsTools) => new(ChatMessage.User(Of(sample).Prompt));

    /// <inheritdoc/>
    public SampleGrade Grade(TaskSample sample, ParsedMessage? answer, bool knowsTools)
    {
        string expected = Of(sample).Answer, found = Number().Matches((answer?.Content ?? "").Replace(",", "", StringComparison.Ordinal)).LastOrDefault()?.Value ?? "none";
        return new SampleGrade([new Tally("accuracy", found == expected ? 1 : 0, 1)], $"last number {found}, expected {expected}");
    }

    private SyntheticQuestion Of(TaskSample sample) => _questions[int.Parse(sample.Id, CultureInfo.InvariantCulture)];

    [GeneratedRegex(@"(?<![\w.])-?\d+(?!\.?\d)")]
    private static partial Regex Number();
}
