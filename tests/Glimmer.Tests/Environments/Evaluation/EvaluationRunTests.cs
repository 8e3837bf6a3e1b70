using Glimmer.Environments.Evaluation;
using Glimmer.Environments.Tasks;
using Glimmer.Inference;
using Glimmer.Models;

namespace Glimmer.Tests.Environments.Evaluation;

/// <summary>Runs on the embedded model: results depend on neither concurrency nor interruptions.</summary>
public sealed class EvaluationRunTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly LoadedModel _model = LoadedModel.Open(EmbeddedModel.Find(), threads: 2);
    private readonly Gsm8kTask _task;

    public EvaluationRunTests()
    {
        File.WriteAllLines(_folder["data.jsonl"], Enumerable.Range(1, 4).Select(i => $$"""{"question": "What is {{i}} plus 1?", "answer": "#### {{i + 1}}"}"""));
        _task = Gsm8kTask.Open(_folder["data.jsonl"]);
    }

    public void Dispose()
    {
        _model.Dispose();
        _folder.Dispose();
    }

    [Fact]
    public async Task An_interrupted_run_goes_on_and_ends_with_the_lines_of_an_undisturbed_one()
    {
        EvaluationReport whole = await Run("whole.jsonl", 0, concurrency: 4);
        await Run("cut.jsonl", 2, concurrency: 1);
        // Killed while a line was being written.
        File.AppendAllText(_folder["cut.jsonl"], """{"id":"2","tallies":[{"metr""");
        EvaluationReport resumed = await Run("cut.jsonl", 0, concurrency: 3);
        Assert.Equal(2, resumed.Resumed);
        Assert.Equal(0, whole.Resumed);
        Assert.Equal(File.ReadAllText(_folder["whole.jsonl"]), File.ReadAllText(_folder["cut.jsonl"]));
        Assert.Equal(whole.Metrics, resumed.Metrics);
        Assert.Equal(4, whole.Metrics[0].Count);
        Assert.All(whole.Results, result => Assert.InRange(result.OutputTokens, 1, 6));
    }

    [Fact]
    public async Task Results_of_other_settings_are_refused()
    {
        await Run("results.jsonl", 1, concurrency: 1);
        ModelFormatException error = await Assert.ThrowsAsync<ModelFormatException>(() => Run("results.jsonl", 1, concurrency: 1, maxTokens: 5));
        Assert.Contains("max_tokens 6, not 5", error.Message, StringComparison.Ordinal);
        File.WriteAllText(_folder["other.txt"], "some notes\n");
        await Assert.ThrowsAsync<ModelFormatException>(() => Run("other.txt", 1, concurrency: 1));
        Assert.Equal("some notes\n", File.ReadAllText(_folder["other.txt"]));
    }

    [Fact]
    public async Task Results_of_other_weights_under_the_same_name_are_refused()
    {
        await Run("results.jsonl", 1, concurrency: 1);
        using (LoraAdapter adapter = LoraAdapter.Create(_model.Model, new LoraOptions { Rank = 1, TargetModules = ["q_proj"] }))
            adapter.Save(Directory.CreateDirectory(_folder["adapter"]).FullName);
        _model.UseAdapter(_folder["adapter"]);
        await Run("adapter.jsonl", 1, concurrency: 1);
        ModelFormatException error = await Assert.ThrowsAsync<ModelFormatException>(() => Run("results.jsonl", 1, concurrency: 1));
        Assert.Contains("adapter none, not adapter", error.Message, StringComparison.Ordinal);

        // One number of the adapter, under the same name.
        string file = Path.Combine(_folder["adapter"], "adapter_model.safetensors");
        byte[] bytes = File.ReadAllBytes(file);
        bytes[^1] ^= 1;
        File.WriteAllBytes(file, bytes);
        error = await Assert.ThrowsAsync<ModelFormatException>(() => Run("adapter.jsonl", 1, concurrency: 1));
        Assert.Contains("weights ", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_prompt_that_does_not_fit_is_an_error_and_counts_as_wrong()
    {
        using var engine = new Engine(_model, new EngineOptions { ContextLength = 32 });
        EvaluationReport report = await EvaluationRun.RunAsync(_task, _model, engine, new EvaluationOptions { MaxTokens = 6, Limit = 2 });
        Assert.Equal(2, report.Errors);
        Assert.Equal(0, report.Metrics[0].Hits);
        Assert.Equal(2, report.Metrics[0].Count);
    }

    private async Task<EvaluationReport> Run(string file, int limit, int concurrency, int maxTokens = 6)
    {
        using var engine = new Engine(_model, new EngineOptions { MaxRunning = concurrency });
        return await EvaluationRun.RunAsync(_task, _model, engine, new EvaluationOptions { MaxTokens = maxTokens, Limit = limit, Concurrency = concurrency, ResultsPath = _folder[file] });
    }
}
