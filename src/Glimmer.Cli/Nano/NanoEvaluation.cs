using System.Text.Json;
using System.Text.RegularExpressions;
using Glimmer.Data.Synthesis.Nano;
using Glimmer.Environments.Evaluation;
using Glimmer.Environments.Tasks;
using Glimmer.Inference;

namespace Glimmer.Cli.Nano;

/// <summary>The report card: benchmarks, held-out questions, perplexity, MTP acceptance and plain questions of one model.</summary>
internal sealed partial class NanoEvaluation(NanoOptions options, NanoBudget budget, NanoCorpus corpus, Terminal terminal)
{
    /// <summary>Sets whose answers should end by themselves in the form of GLM.</summary>
    public static IReadOnlyList<string> FormSets { get; } = ["bfcl_simple_python", "generated_tools", "one-digit", "two-digit", "word-problems"];

    private const int ArithmeticQuestions = 200;
    private const int GeneratedTools = 200;
    private const int IfEvalTokens = 512;
    private const int QuestionTokens = 200;

    /// <summary>Measures a model.</summary>
    /// <param name="path">The model.</param>
    /// <param name="name">Name of its folder of results.</param>
    /// <param name="small">Of the sets of questions only those that a comparison needs: arithmetic and generated tools.</param>
    public Dictionary<string, double> Run(string path, string name, bool small = false)
    {
        var figures = new Dictionary<string, double>(StringComparer.Ordinal);
        using LoadedModel model = LoadedModel.Open(path, options.Threads);
        Directory.CreateDirectory(options.In("answers", name));
        using (var engine = new Engine(model, new EngineOptions { MaxRunning = 32, MixedPrefillTokens = 256, Drafts = DraftSource.None }))
        {
            int wellFormed = 0, form = 0;
            foreach ((string set, ITask task, bool? thinking, int maxTokens, int all) in Sets(small))
            {
                EvaluationReport report = EvaluationRun.RunAsync(task, model, engine, new EvaluationOptions
                {
                    Limit = budget.Samples(all),
                    MaxTokens = maxTokens,
                    Thinking = thinking,
                    Concurrency = 32,
                    ResultsPath = options.In("answers", name, set + ".jsonl"),
                }, cancellationToken: terminal.Interrupted).GetAwaiter().GetResult();
                MetricResult metric = report.Metrics[0];
                (figures[set + ".right"], figures[set + ".n"]) = (metric.Hits, metric.Count);
                terminal.Output.WriteLine(FormattableString.Invariant($"  {name} {set}: {metric.Hits} of {metric.Count}, {report.Elapsed.TotalSeconds:f0} s"));
                if (!FormSets.Contains(set))
                    continue;
                form += report.Results.Count;
                wellFormed += report.Results.Count(result => result.Finish == "stop" && IsWellFormed(result.Output, thinking == true));
            }

            (figures["well_formed.right"], figures["well_formed.n"]) = (wellFormed, form);
        }

        Acceptance(model, name, figures);
        foreach (JsonElement row in DataRows.Read(Path.Combine(options.Data, "perplexity.jsonl"), "text"))
        {
            string text = row.TryGetProperty("name", out JsonElement id) ? id.GetString()! : "text";
            figures["perplexity." + text] = TextScore.Of(model, model.Tokenizer.Encode(row.GetProperty("text").GetString()!), cancellationToken: terminal.Interrupted).Perplexity;
        }

        return figures;
    }

    /// <summary>Whether an answer has the form of GLM: the thought closed where one was opened and nowhere else, every call closed and complete, no marker left over.</summary>
    /// <param name="output">What the model wrote behind the prompt.</param>
    /// <param name="thinking">Whether the prompt opened a thought.</param>
    public static bool IsWellFormed(string output, bool thinking)
    {
        string[] parts = output.Split("</think>");
        if (parts.Length != (thinking ? 2 : 1) || output.Contains("<think>", StringComparison.Ordinal))
            return false;
        string rest = Call().Replace(parts[^1], "");
        return !Marker().IsMatch(thinking ? parts[0] + rest : rest);
    }

    /// <summary>The plain questions of the report card.</summary>
    public IReadOnlyList<string> Questions => [.. DataRows.Read(Path.Combine(options.Data, "questions.jsonl"), "question").Select(row => row.GetProperty("question").GetString()!)];

    /// <summary>The answers to them.</summary>
    public IReadOnlyList<NanoAnswers.Answer> AnswersOf(string name, LoadedModel model) =>
        NanoAnswers.RunAsync(model, Questions, options.In("answers", name, "questions.jsonl"), QuestionTokens, double.PositiveInfinity, thinking: false, terminal.Interrupted).GetAwaiter().GetResult();

    // The first draft of each step, greedy, on plain chat prompts that training does not see.
    private void Acceptance(LoadedModel model, string name, Dictionary<string, double> figures)
    {
        IReadOnlyList<NanoAnswers.Answer> answers = AnswersOf(name, model);
        if (model.Model.NextToken is null)
            return;
        using var engine = new Engine(model, new EngineOptions { Drafts = DraftSource.NextTokenLayer, MaxDrafts = 1, MaxRunning = 8 });
        Task.WhenAll(answers.Select(async answer =>
        {
            int[] prompt = model.EncodeChat([Chat.ChatMessage.User(Questions[answer.Prompt])], new Chat.ChatTemplateOptions { EnableThinking = false }, out _);
            await foreach (EngineToken _ in engine.Submit(new GenerationRequest { Prompt = prompt, MaxTokens = QuestionTokens, StopTokens = model.StopTokens, Sampling = new SamplingOptions { Temperature = 0 } }, terminal.Interrupted).ReadAllAsync(terminal.Interrupted).ConfigureAwait(false))
            {
            }
        })).GetAwaiter().GetResult();
        (figures["acceptance.right"], figures["acceptance.n"]) = (engine.Statistics.AcceptedTokens, engine.Statistics.DraftedTokens);
    }

    private IEnumerable<(string Set, ITask Task, bool? Thinking, int MaxTokens, int All)> Sets(bool small)
    {
        yield return ("one-digit", new QuestionTask("one-digit", corpus.ArithmeticEvaluation("one-digit", ArithmeticQuestions)), true, 0, ArithmeticQuestions);
        yield return ("two-digit", new QuestionTask("two-digit", corpus.ArithmeticEvaluation("two-digit", ArithmeticQuestions)), true, 0, ArithmeticQuestions);
        yield return ("generated_tools", BfclTask.Open(GeneratedToolFile()), false, 200, GeneratedTools);
        if (small)
            yield break;
        yield return ("word-problems", new QuestionTask("word-problems", corpus.ArithmeticEvaluation("word-problems", ArithmeticQuestions)), true, 0, ArithmeticQuestions);
        BfclTask bfcl = BfclTask.Open(Path.Combine(options.Data, "BFCL_simple_python.jsonl"));
        yield return ("bfcl_simple_python", bfcl, false, 200, bfcl.Samples.Count);
        IfEvalTask ifEval = IfEvalTask.Open(Path.Combine(options.Data, "ifeval_input_data.jsonl"));
        yield return ("ifeval", ifEval, false, IfEvalTokens, ifEval.Samples.Count);
    }

    private string GeneratedToolFile()
    {
        string path = options.In("data", "BFCL_simple_generated.jsonl"), answers = options.In("data", "possible_answer", "BFCL_simple_generated.jsonl");
        Directory.CreateDirectory(Path.GetDirectoryName(answers)!);
        IReadOnlyList<(string Row, string Answer)> rows = corpus.ToolEvaluation(GeneratedTools);
        File.WriteAllLines(path, rows.Select(row => row.Row));
        File.WriteAllLines(answers, rows.Select(row => row.Answer));
        return path;
    }

    [GeneratedRegex(@"<tool_call>[^<>\s]+(?:<arg_key>[^<>]+</arg_key><arg_value>(?s:.*?)</arg_value>)*</tool_call>")]
    private static partial Regex Call();

    [GeneratedRegex(@"</?(?:think|tool_call|tool_response|arg_key|arg_value)>|<\|[a-z_]+\|>|\[gMASK\]|<sop>|/nothink")]
    private static partial Regex Marker();
}
