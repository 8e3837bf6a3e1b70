using System.Text.Json;
using Glimmer.Cli;

namespace Glimmer.Tests.Cli;

public sealed class EvalCommandTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_run_reports_metrics_with_intervals_and_keeps_the_answers()
    {
        File.WriteAllText(
            _folder["data.jsonl"],
            """
            {"key": 1, "prompt": "Say hello.", "instruction_id_list": ["length_constraints:number_words"], "kwargs": [{"relation": "less than", "num_words": 100}]}
            {"key": 2, "prompt": "Say hello in 100 words.", "instruction_id_list": ["length_constraints:number_words"], "kwargs": [{"relation": "at least", "num_words": 100}]}
            """);
        JsonElement json = CommandRun.Of("eval", "ifeval", "--model", "base", "--data", _folder["data.jsonl"], "--max-tokens", "4", "--out", _folder["out.jsonl"], "--json").Succeeded().Json;
        JsonElement strict = json.GetProperty("metrics").GetProperty("prompt_strict");
        Assert.Equal((1, 2), (strict.GetProperty("right").GetInt32(), strict.GetProperty("n").GetInt32()));
        Assert.InRange(strict.GetProperty("low").GetDouble(), 0.05, 0.5);
        Assert.Equal(3, File.ReadAllLines(_folder["out.jsonl"]).Length);
        CommandRun again = CommandRun.Of("eval", "ifeval", "--model", "base", "--data", _folder["data.jsonl"], "--max-tokens", "4", "--out", _folder["out.jsonl"]).Succeeded();
        Assert.Contains("2 of the samples from before", again.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Wrong_data_is_named()
    {
        CommandRun.Of("eval", "gsm8k", "--model", "base", "--data", _folder["none.jsonl"]).Failed(ExitCodes.Usage, "none.jsonl");
        File.WriteAllText(_folder["data.jsonl"], "{\"text\": 1}\n");
        CommandRun.Of("eval", "gsm8k", "--model", "base", "--data", _folder["data.jsonl"]).Failed(ExitCodes.Failure, "Line 1");
    }
}
