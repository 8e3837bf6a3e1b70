using System.Globalization;
using Glimmer.Chat;
using Glimmer.Environments.Evaluation;
using Glimmer.Environments.Scorers;

namespace Glimmer.Environments.Tasks;

/// <summary>GSM8K: grade-school maths in words, asked without examples, graded by the last number (main metric) and by the number after <c>####</c>.</summary>
/// <remarks>lm-eval asks base models with five examples; its graders are used here, its prompt is not.</remarks>
public sealed class Gsm8kTask : ITask
{
    private Gsm8kTask(IReadOnlyList<TaskSample> samples) => Samples = samples;

    /// <inheritdoc/>
    public string Name => "gsm8k";

    /// <inheritdoc/>
    public IReadOnlyList<TaskSample> Samples { get; }

    /// <inheritdoc/>
    public int DefaultMaxTokens => 512;

    /// <summary>Reads the data.</summary>
    /// <param name="path">JSON Lines with <c>question</c> and <c>answer</c>, as openai/grade-school-math has them.</param>
    /// <exception cref="ModelFormatException">The file is malformed.</exception>
    public static Gsm8kTask Open(string path) =>
        new([.. DataRows.Read(path, "question", "answer").Select((row, i) => new TaskSample(i.ToString(CultureInfo.InvariantCulture), row))]);

    /// <inheritdoc/>
    public TaskPrompt PromptFor(TaskSample sample, bool knowsTools)
    {
        ArgumentNullException.ThrowIfNull(sample);
        return new TaskPrompt(ChatMessage.User(sample.Data.GetProperty("question").GetString() + "\n\nWork it out step by step. Write the result alone on the last line, after \"#### \"."));
    }

    /// <inheritdoc/>
    public SampleGrade Grade(TaskSample sample, ParsedMessage? answer, bool knowsTools)
    {
        ArgumentNullException.ThrowIfNull(sample);
        string reference = sample.Data.GetProperty("answer").GetString()!, response = answer?.Content ?? "";
        Gsm8kVerdict flexible = Gsm8kGrader.Flexible(response, reference), strict = Gsm8kGrader.Strict(response, reference);
        string expected = reference[(reference.LastIndexOf("#### ", StringComparison.Ordinal) is >= 0 and int mark ? mark + 5 : 0)..];
        return new SampleGrade(
            [new Tally("flexible", flexible.IsCorrect ? 1 : 0, 1), new Tally("strict", strict.IsCorrect ? 1 : 0, 1)],
            $"last number {flexible.Extracted}, after #### {strict.Extracted}; expected {expected}");
    }
}
