using Glimmer.Chat;
using Glimmer.Environments.Evaluation;
using Glimmer.Environments.Scorers.IfEval;

namespace Glimmer.Environments.Tasks;

/// <summary>IFEval: instructions that a program can check. Main metric: prompts whose instructions are all followed by the response as it is.</summary>
public sealed class IfEvalTask : ITask
{
    private IfEvalTask(IReadOnlyList<TaskSample> samples) => Samples = samples;

    /// <inheritdoc/>
    public string Name => "ifeval";

    /// <inheritdoc/>
    public IReadOnlyList<TaskSample> Samples { get; }

    /// <inheritdoc/>
    public int DefaultMaxTokens => 1280;

    /// <summary>Reads the data.</summary>
    /// <param name="path">JSON Lines with <c>key</c>, <c>prompt</c>, <c>instruction_id_list</c> and <c>kwargs</c>.</param>
    /// <exception cref="ModelFormatException">The file is malformed.</exception>
    public static IfEvalTask Open(string path) =>
        new([.. DataRows.Read(path, "key", "prompt", "instruction_id_list", "kwargs").Select(row => new TaskSample(row.GetProperty("key").GetRawText(), row))]);

    /// <inheritdoc/>
    public TaskPrompt PromptFor(TaskSample sample, bool knowsTools)
    {
        ArgumentNullException.ThrowIfNull(sample);
        return new TaskPrompt(ChatMessage.User(sample.Data.GetProperty("prompt").GetString()!));
    }

    /// <inheritdoc/>
    public SampleGrade Grade(TaskSample sample, ParsedMessage? answer, bool knowsTools)
    {
        ArgumentNullException.ThrowIfNull(sample);
        IfEvalVerdict verdict = IfEvalGrader.Grade(sample.Data, answer?.Content ?? "");
        int count = verdict.Strict.Count;
        string[] broken = [.. sample.Data.GetProperty("instruction_id_list").EnumerateArray().Where((_, i) => !verdict.Strict[i]).Select(id => id.GetString()!)];
        return new SampleGrade(
            [
                new Tally("prompt_strict", verdict.FollowsAll ? 1 : 0, 1),
                new Tally("instruction_strict", verdict.Strict.Count(follows => follows), count),
                new Tally("prompt_loose", verdict.FollowsAllLoosely ? 1 : 0, 1),
                new Tally("instruction_loose", verdict.Loose.Count(follows => follows), count),
            ],
            broken.Length == 0 ? null : "not followed: " + string.Join(", ", broken));
    }
}
