using System.Text.Json;
using System.Text.RegularExpressions;
using Glimmer.Chat;
using Glimmer.Environments.Evaluation;
using Glimmer.Environments.Scorers.Bfcl;

namespace Glimmer.Environments.Tasks;

/// <summary>A single-turn category of the Berkeley Function Calling Leaderboard: calls are compared with accepted answers, not run.</summary>
/// <remarks>
/// Models whose template knows tools get the functions as tools, others get them in a system message that asks for <c>[f(a=1)]</c>. In <c>irrelevance</c> no call is right, in
/// <c>relevance</c> any.
/// </remarks>
public sealed partial class BfclTask : ITask
{
    private readonly string _category;
    private readonly BfclLanguage _language;
    private readonly Dictionary<string, JsonElement> _answers;

    private BfclTask(string category, IReadOnlyList<TaskSample> samples, Dictionary<string, JsonElement> answers)
    {
        (_category, Samples, _answers) = (category, samples, answers);
        _language = BfclChecker.LanguageOf(category);
    }

    /// <inheritdoc/>
    public string Name => "bfcl_" + _category;

    /// <inheritdoc/>
    public IReadOnlyList<TaskSample> Samples { get; }

    /// <inheritdoc/>
    public int DefaultMaxTokens => 512;

    /// <summary>Reads the data of a category.</summary>
    /// <param name="path">JSON Lines with <c>id</c>, <c>question</c> and <c>function</c>, in a file named after its category: <c>BFCL_simple_python.jsonl</c>, <c>BFCL_v4_multiple.json</c>. The answers lie under the same name in <c>possible_answer</c> beside it.</param>
    /// <exception cref="ModelFormatException">A file is missing or malformed.</exception>
    /// <exception cref="UnsupportedModelException">The category runs over several turns.</exception>
    public static BfclTask Open(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        Match name = CategoryName().Match(Path.GetFileName(path));
        if (!name.Success)
            throw new ModelFormatException($"'{path}': the name of the file must tell the category, such as BFCL_simple_python.jsonl.");
        string category = name.Groups[1].Value;
        if (category.Contains("multi_turn", StringComparison.Ordinal))
            throw new UnsupportedModelException($"'{path}': multi-turn categories run calls on stateful classes, which are not part of this command; give a single-turn category.");
        TaskSample[] samples = [.. DataRows.Read(path, "id", "question", "function").Select(row => new TaskSample(row.GetProperty("id").GetString() ?? "", row))];
        Dictionary<string, JsonElement> answers = NeedsNoAnswers(category) ? [] : Answers(path);
        foreach (TaskSample sample in samples)
        {
            if (!NeedsNoAnswers(category) && !answers.ContainsKey(sample.Id))
                throw new ModelFormatException($"'{path}' asks '{sample.Id}', for which possible_answer has no answer.");
        }

        return new BfclTask(category, samples, answers);
    }

    /// <inheritdoc/>
    public TaskPrompt PromptFor(TaskSample sample, bool knowsTools)
    {
        ArgumentNullException.ThrowIfNull(sample);
        JsonElement functions = sample.Data.GetProperty("function");
        List<ChatMessage> messages = [.. sample.Data.GetProperty("question")[0].EnumerateArray().Select(message => ChatMessage.FromJson(message))];
        if (knowsTools)
            return new TaskPrompt(messages, BfclTools.From(functions, _language));
        string system = Instructions + BfclTools.Describe(functions, _language);
        if (messages[0].Role == "system")
            messages[0] = ChatMessage.System($"{system}\n\n{messages[0].Content?.AsString}");
        else
            messages.Insert(0, ChatMessage.System(system));
        return new TaskPrompt(messages);
    }

    /// <inheritdoc/>
    public SampleGrade Grade(TaskSample sample, ParsedMessage? answer, bool knowsTools)
    {
        ArgumentNullException.ThrowIfNull(sample);
        if (answer is null)
            return Result(false, "no answer");
        IReadOnlyList<BfclCall> calls;
        string? error = null;
        if (knowsTools)
            calls = [.. answer.ToolCalls.Select(call => new BfclCall(call.Name, PythonValue.From(call.Arguments)))];
        else
            BfclDecoder.TryDecode(answer.Content ?? "", Format(_language), out calls, out error);
        string made = calls.Count == 0 ? "no calls" + (error is null ? "" : $" ({error})") : string.Join("; ", calls);
        if (NeedsNoAnswers(_category))
            return Result(calls.Count == 0 == _category.Contains("irrelevance", StringComparison.Ordinal), made);
        if (error is not null)
            return Result(false, made);
        BfclVerdict verdict = new BfclChecker(_language).Check(_category, sample.Data.GetProperty("function"), calls, _answers[sample.Id]);
        return Result(verdict.IsValid, verdict.IsValid ? made : $"{made}: {verdict.ErrorType}: {verdict.Message}");
    }

    private const string Instructions =
        """
        You can call functions. Answer with the calls that the request needs and with nothing else, in the form
        [function_name(parameter=value, other_parameter=value), other_function(parameter=value)]
        Write strings in quotes. Use the names and types of the descriptions below, and give every required parameter. If no function fits, or a required value is missing, say so in a sentence instead.

        Functions, as JSON:

        """;

    private static SampleGrade Result(bool isRight, string explanation) => new([new Tally("accuracy", isRight ? 1 : 0, 1)], explanation);

    private static bool NeedsNoAnswers(string category) => category.Contains("relevance", StringComparison.Ordinal);

    private static BfclFormat Format(BfclLanguage language) => language switch
    {
        BfclLanguage.Java => BfclFormat.Java,
        BfclLanguage.JavaScript => BfclFormat.JavaScript,
        _ => BfclFormat.Python,
    };

    private static Dictionary<string, JsonElement> Answers(string path)
    {
        string file = Path.Combine(Path.GetDirectoryName(Path.GetFullPath(path))!, "possible_answer", Path.GetFileName(path));
        if (!File.Exists(file))
            throw new ModelFormatException($"The accepted answers '{file}' are missing; they belong beside the data.");
        var answers = new Dictionary<string, JsonElement>(StringComparer.Ordinal);
        foreach (JsonElement row in DataRows.Read(file, "id", "ground_truth"))
            answers[row.GetProperty("id").GetString() ?? ""] = row.GetProperty("ground_truth");
        return answers;
    }

    [GeneratedRegex(@"^BFCL_(?:v\d+_)?(.+)\.jsonl?$")]
    private static partial Regex CategoryName();
}
