using System.Text.Json;
using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Training;
using Glimmer.Training.Batching;

namespace Glimmer.Tests.Training;

public class RunLogTests
{
    [Fact]
    public void Steps_taken_again_after_a_resume_stand_in_the_log_once()
    {
        using var folder = new TemporaryFolder();
        using var c = new Compute(1);
        using CausalLm model = TinyRun.Model(TinyRun.GroupedQuery, folder["model"], c);
        using var trainer = new Trainer(model, c, TinyRun.Options(model));
        CutRows data = TinyRun.Data(2);
        StepReport[] reports = [.. Enumerable.Range(0, 5).Select(_ => trainer.Step(TinyRun.Batch(data)))];
        using (RunLog log = RunLog.Open(folder["log.jsonl"]))
        {
            foreach (StepReport report in reports[..4])
                log.Write(report, 0.5);
        }

        File.AppendAllText(folder["log.jsonl"], "{\"step\": 4, \"lo"); // the process died here
        using (RunLog log = RunLog.Open(folder["log.jsonl"], nextStep: 2))
        {
            foreach (StepReport report in reports[2..])
                log.Write(report, 0.5);
        }

        JsonElement[] lines = [.. File.ReadAllLines(folder["log.jsonl"]).Select(line => JsonDocument.Parse(line).RootElement)];
        Assert.Equal([0, 1, 2, 3, 4], lines.Select(line => line.GetProperty("step").GetInt64()));
        Assert.Equal(reports.Select(report => report.Loss), lines.Select(line => line.GetProperty("loss").GetDouble()));
        Assert.Equal(reports[4].Tokens / 0.5, lines[4].GetProperty("tokens_per_second").GetDouble());
    }

    [Fact]
    public void A_value_that_is_not_finite_is_null()
    {
        using var folder = new TemporaryFolder();
        using var c = new Compute(1);
        using CausalLm model = TinyRun.Model(TinyRun.GroupedQuery, folder["model"], c);
        using var trainer = new Trainer(model, c, TinyRun.Options(model));
        StepReport report = trainer.Step(TinyRun.Batch(TinyRun.Data(2))) with { GradientNorm = double.NaN };
        using (RunLog log = RunLog.Open(folder["log.jsonl"]))
            log.Write(report, 0);
        Assert.Equal(JsonValueKind.Null, JsonDocument.Parse(File.ReadAllText(folder["log.jsonl"])).RootElement.GetProperty("grad_norm").ValueKind);
    }
}
