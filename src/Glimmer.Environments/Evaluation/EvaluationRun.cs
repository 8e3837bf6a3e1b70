using System.Globalization;
using Glimmer.Chat;
using Glimmer.Inference;
using Glimmer.Models;
using Glimmer.Tokenization;

namespace Glimmer.Environments.Evaluation;

/// <summary>Runs a task on a model: renders each sample's prompt with the checkpoint's template, generates greedily for many samples at once, grades, sums up.</summary>
/// <remarks>
/// The engine gives every answer the bits it would have alone, so results depend on neither concurrency nor interruptions. Reasoning is taken off an answer before it is graded.
/// A prompt that does not fit into the context is an error, and counts as wrong.
/// </remarks>
public static class EvaluationRun
{
    /// <summary>Runs a task.</summary>
    /// <param name="task">The task.</param>
    /// <param name="model">The model; its chat template is needed.</param>
    /// <param name="engine">The engine that runs it.</param>
    /// <param name="options">Limits, and where results are kept.</param>
    /// <param name="progress">Told after each sample.</param>
    /// <param name="time">The clock; null for the system's.</param>
    /// <param name="cancellationToken">Stops the run; results that are kept stay.</param>
    /// <exception cref="UnsupportedModelException">The model has no chat template.</exception>
    /// <exception cref="ModelFormatException">A sample is malformed, or the results file belongs to another run.</exception>
    public static async Task<EvaluationReport> RunAsync(
        ITask task, LoadedModel model, Engine engine, EvaluationOptions options, IProgress<EvaluationProgress>? progress = null, TimeProvider? time = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(task);
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(engine);
        ArgumentNullException.ThrowIfNull(options);
        ArgumentOutOfRangeException.ThrowIfNegative(options.Limit);
        ArgumentOutOfRangeException.ThrowIfNegative(options.MaxTokens);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(options.Concurrency);
        time ??= TimeProvider.System;
        long start = time.GetTimestamp();
        TaskSample[] samples = [.. options.Limit > 0 ? task.Samples.Take(options.Limit) : task.Samples];
        var solver = new Solver(task, model, engine, options);
        SortedDictionary<string, string> settings = solver.Settings();
        using ResultsFile? file = options.ResultsPath is { } path ? ResultsFile.Open(path, settings) : null;
        Dictionary<string, SampleResult> results = file?.Results ?? new Dictionary<string, SampleResult>(StringComparer.Ordinal);
        TaskSample[] open = [.. samples.Where(sample => !results.ContainsKey(sample.Id))];
        int resumed = samples.Length - open.Length, done = resumed;
        int hits = samples.Where(sample => results.ContainsKey(sample.Id)).Sum(sample => results[sample.Id].Tallies[0].Hits);
        long tokens = 0;
        var gate = new Lock();
        var parallel = new ParallelOptions { MaxDegreeOfParallelism = options.Concurrency, CancellationToken = cancellationToken };
        await Parallel.ForEachAsync(open, parallel, async (sample, token) =>
        {
            SampleResult result = await solver.SolveAsync(sample, token).ConfigureAwait(false);
            lock (gate)
            {
                if (file is not null)
                    file.Add(result);
                else
                    results[sample.Id] = result;
                done++;
                hits += result.Tallies[0].Hits;
                tokens += result.OutputTokens;
                progress?.Report(new EvaluationProgress(done, samples.Length, hits, tokens));
            }
        }).ConfigureAwait(false);
        SampleResult[] ordered = [.. samples.Select(sample => results[sample.Id])];
        file?.Sort(task.Samples.Select(sample => sample.Id));
        return new EvaluationReport(task.Name, settings, EvaluationReport.Sum(ordered), ordered, resumed, time.GetElapsedTime(start));
    }

    /// <summary>Answers and grades single samples.</summary>
    private sealed class Solver
    {
        private readonly ITask _task;
        private readonly LoadedModel _model;
        private readonly Engine _engine;
        private readonly EvaluationOptions _options;
        private readonly int _maxTokens;
        private readonly bool _knowsTools;

        public Solver(ITask task, LoadedModel model, Engine engine, EvaluationOptions options)
        {
            (_task, _model, _engine, _options) = (task, model, engine, options);
            _knowsTools = model.Template?.Grammar.ToolCalls ?? false;
            _maxTokens = options.MaxTokens > 0 ? options.MaxTokens : task.DefaultMaxTokens;
        }

        /// <summary>What the results depend on.</summary>
        public SortedDictionary<string, string> Settings() => new(_options.Settings.ToDictionary(), StringComparer.Ordinal)
        {
            ["task"] = _task.Name,
            ["model"] = NameOf(_model.Path),
            ["adapter"] = _model.AdapterPath is { } adapter ? NameOf(adapter) : "none",
            ["weights"] = ModelFingerprint.Of([_model.Path, .. _model.WeightFiles, .. _model.AdapterPath is { } folder ? [folder] : Array.Empty<string>()]),
            ["kv_cache_type"] = _model.Model.CacheType.ToString().ToLowerInvariant(),
            ["max_tokens"] = _maxTokens.ToString(CultureInfo.InvariantCulture),
            ["thinking"] = _options.Thinking switch { null => "template", true => "on", false => "off" },
            ["tools"] = _knowsTools ? "template" : "prompt",
            ["activations"] = _model.Compute.Activations.ToString().ToLowerInvariant(),
        };

        private static string NameOf(string path) => Path.GetFileName(Path.TrimEndingDirectorySeparator(path));

        private ParsedMessage Parse(TaskPrompt prompt, string text, string output)
        {
            if (prompt.Text is not null)
                return new ParsedMessage(null, output, []);
            GlmMessageParser parser = _model.Template!.CreateParser(text, prompt.Tools);
            parser.Append(output);
            parser.Complete();
            return parser.Message;
        }

        public async Task<SampleResult> SolveAsync(TaskSample sample, CancellationToken cancellationToken)
        {
            TaskPrompt prompt = _task.PromptFor(sample, _knowsTools);
            string text = prompt.Text ?? "";
            int[] tokens;
            if (prompt.Text is null)
            {
                if (_model.Template is null)
                    throw new UnsupportedModelException($"'{_model.Path}' has no chat template; the task asks models in chat form.");
                tokens = _model.EncodeChat(prompt.Messages, new ChatTemplateOptions { Tools = prompt.Tools, EnableThinking = _options.Thinking }, out text);
            }
            else
            {
                tokens = _model.Tokenizer.Encode(text);
            }

            var request = new GenerationRequest { Prompt = tokens, MaxTokens = _maxTokens, StopTokens = _model.StopTokens, StopStrings = prompt.Stop, Sampling = new SamplingOptions { Temperature = 0 } };
            Generation generation;
            try
            {
                generation = _engine.Submit(request, cancellationToken);
            }
            catch (PromptTooLongException error)
            {
                return new SampleResult { Id = sample.Id, Tallies = _task.Grade(sample, null, _knowsTools).Tallies, PromptTokens = tokens.Length, Error = error.Message };
            }

            // GLM's markers of thinking and calls are no special tokens: they stay in the text.
            var detokenizer = new Detokenizer(_model.Tokenizer, skipSpecial: true);
            var output = new System.Text.StringBuilder();
            FinishReason finish = FinishReason.Length;
            int count = 0;
            await foreach (EngineToken token in generation.ReadAllAsync(cancellationToken).ConfigureAwait(false))
            {
                count++;
                finish = token.Finish ?? finish;
                if (token.Finish != FinishReason.Stop)
                    output.Append(detokenizer.Append(token.Token));
            }

            output.Append(detokenizer.Flush());
            foreach (int stop in prompt.Stop.Select(end => output.ToString().IndexOf(end, StringComparison.Ordinal)).Where(at => at >= 0))
                output.Length = Math.Min(output.Length, stop);
            SampleGrade grade = _task.Grade(sample, Parse(prompt, text, output.ToString()), _knowsTools);
            return new SampleResult
            {
                Id = sample.Id,
                Tallies = grade.Tallies,
                Explanation = grade.Explanation,
                Output = output.ToString(),
                PromptTokens = tokens.Length,
                OutputTokens = count,
                Finish = finish.ToString().ToLowerInvariant(),
            };
        }
    }
}
