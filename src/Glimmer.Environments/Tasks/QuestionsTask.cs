using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using Glimmer.Chat;
using Glimmer.Environments.Evaluation;

namespace Glimmer.Environments.Tasks;

/// <summary>Questions with one exact answer, counted in all and for each kind of question, as the generated corpora write them.</summary>
/// <remarks>
/// Right is an answer whose text (without its final stop) equals the expected one; where that is a number, the last number of the answer counts. Questions with tools are right when the call is:
/// its name, its arguments. Models that have seen no conversations are asked by a text to go on with, and answer up to the end of the line.
/// </remarks>
public sealed partial class QuestionsTask : ITask
{
    private readonly bool _asText;

    private QuestionsTask(IReadOnlyList<TaskSample> samples, bool asText) => (Samples, _asText) = (samples, asText);

    /// <inheritdoc/>
    public string Name => _asText ? "questions_as_text" : "questions";

    /// <inheritdoc/>
    public IReadOnlyList<TaskSample> Samples { get; }

    /// <inheritdoc/>
    public int DefaultMaxTokens => _asText ? 48 : 256;

    /// <summary>Reads the questions.</summary>
    /// <param name="path">JSON Lines with <c>task</c>, <c>prompt</c> and <c>answer</c>, and <c>completion</c>, <c>tools</c>, <c>call</c> where a question has them.</param>
    /// <param name="asText">Ask by the texts of <c>completion</c>; questions without one are left out.</param>
    /// <exception cref="ModelFormatException">The file is malformed, or holds no question of the kind.</exception>
    public static QuestionsTask Open(string path, bool asText)
    {
        IEnumerable<JsonElement> rows = DataRows.Read(path, "task", "prompt", "answer");
        if (asText)
            rows = rows.Where(row => row.TryGetProperty("completion", out _));
        TaskSample[] samples = [.. rows.Select((row, i) => new TaskSample(string.Create(CultureInfo.InvariantCulture, $"{row.GetProperty("task").GetString()}-{i}"), row))];
        return samples.Length > 0 ? new QuestionsTask(samples, asText) : throw new ModelFormatException($"'{path}' holds no question with a completion.");
    }

    /// <inheritdoc/>
    public TaskPrompt PromptFor(TaskSample sample, bool knowsTools)
    {
        ArgumentNullException.ThrowIfNull(sample);
        if (_asText)
            return new TaskPrompt([]) { Text = sample.Data.GetProperty("completion").GetString(), Stop = ["\n"] };
        ToolDefinition[] tools = sample.Data.TryGetProperty("tools", out JsonElement list)
            ? [.. list.EnumerateArray().Select(tool => new ToolDefinition((DataObject)DataValue.From(tool)))] : [];
        return new TaskPrompt([ChatMessage.User(sample.Data.GetProperty("prompt").GetString()!)], tools);
    }

    /// <inheritdoc/>
    public SampleGrade Grade(TaskSample sample, ParsedMessage? answer, bool knowsTools)
    {
        ArgumentNullException.ThrowIfNull(sample);
        string kind = sample.Data.GetProperty("task").GetString()!, expected = sample.Data.GetProperty("answer").GetString()!;
        bool isRight;
        string found;
        if (!_asText && sample.Data.TryGetProperty("call", out JsonElement call))
        {
            ToolCall? made = answer?.ToolCalls is [var only] ? only : null;
            found = made is null ? answer?.Content ?? "" : $"{made.Name}({made.ArgumentsJson})";
            isRight = made is not null && made.Name == call.GetProperty("name").GetString() && SameArguments(made.ArgumentsJson, call.GetProperty("arguments"));
            return new SampleGrade([Tally("right", isRight), Tally(kind, isRight), Tally(kind + ": one call", made is not null)], $"found {found}");
        }

        found = Normal(answer?.Content ?? "");
        if (WholeNumber().IsMatch(expected) && !_asText)
            found = LastNumber().Matches(found) is { Count: > 0 } numbers ? numbers[^1].Value : found;
        isRight = found == Normal(expected);
        return new SampleGrade([Tally("right", isRight), Tally(kind, isRight)], $"found {found}; expected {expected}");
    }

    private static Tally Tally(string metric, bool isRight) => new(metric, isRight ? 1 : 0, 1);

    private static string Normal(string text) => text.Trim().TrimEnd('.', '。').Trim();

    private static bool SameArguments(string made, JsonElement expected)
    {
        try
        {
            using JsonDocument arguments = JsonDocument.Parse(made);
            return JsonElement.DeepEquals(arguments.RootElement, expected);
        }
        catch (JsonException)
        {
            return false; // cut off
        }
    }

    [GeneratedRegex(@"^-?\d+$")]
    private static partial Regex WholeNumber();

    [GeneratedRegex(@"-?\d+")]
    private static partial Regex LastNumber();
}
