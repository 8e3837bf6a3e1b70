using System.Text.Json;
using System.Xml.Linq;
using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Training;
using Glimmer.Training.Balance;
using Glimmer.Training.Batching;
using Glimmer.Training.Loops;
using Glimmer.Training.Plots;
using Glimmer.Training.Runs;

namespace Glimmer.Tests.Training.Runs;

public class RunRecorderTests
{
    [Fact]
    public void What_is_recorded_is_read_back()
    {
        using var folder = new TemporaryFolder();
        using var c = new Compute(1);
        using CausalLm model = TinyRun.Model(TinyRun.GroupedQuery, folder["model"], c);
        using var trainer = new Trainer(model, c, TinyRun.Options(model));
        CutRows data = TinyRun.Data(2);
        StepReport[] reports = [.. Enumerable.Range(0, 3).Select(_ => trainer.Step(TinyRun.Batch(data)))];
        using (RunRecorder recorder = RunRecorder.Open(folder["run"]))
        {
            foreach (StepReport report in reports)
                recorder.Step(report, 0.25);
            recorder.Evaluation(3, new Dictionary<string, double> { ["valid_loss"] = 3.5, ["mtp_acceptance"] = 0.25 });
            recorder.Sample(3, "2 + 2 =", "4\n<ok>");
            recorder.Note(3, "Ctrl-C.");
        }

        RunHistory history = RunHistory.Read(folder["run"]);
        Assert.Equal(reports.Select(r => r.Loss), history.Steps.Select(s => s["loss"]));
        Assert.Equal(reports[1].NextTokenLosses[1], history.Steps[1]["mtp_loss/2"]);
        Assert.Equal(reports[2].Experts[0].Counts, history.Steps[2].ExpertTokens[reports[2].Experts[0].Router]);
        Assert.Equal(reports[2].Experts[1].MaxVio, history.Steps[2]["max_vio/2"]);
        Assert.Equal((3, 3.5), (history.Evaluations[0].Steps, history.Evaluations[0].Figures["valid_loss"]));
        Assert.Equal(new LoggedSample(3, "2 + 2 =", "4\n<ok>"), history.Samples[0]);
        Assert.Equal("Ctrl-C.", history.Notes[0].Text);
        Assert.Equal(["glimmer", "runtime", "processor"], JsonDocument.Parse(File.ReadAllText(RunFolder.Environment(folder["run"]))).RootElement.EnumerateObject().Take(3).Select(p => p.Name));
    }

    [Fact]
    public void A_resumed_run_drops_what_it_takes_again_and_says_so()
    {
        using var folder = new TemporaryFolder();
        var options = new RunRecorderOptions { TensorBoard = false };
        using (RunRecorder recorder = RunRecorder.Open(folder["run"], options: options))
        {
            for (int step = 0; step < 6; step++)
            {
                recorder.Step(Report(step), 1);
                recorder.Evaluation(step + 1, new Dictionary<string, double> { ["valid_loss"] = step + 1 });
            }
        }

        using (RunRecorder recorder = RunRecorder.Open(folder["run"], nextStep: 4, options))
            recorder.Step(Report(4), 1);
        RunHistory history = RunHistory.Read(folder["run"]);
        Assert.Equal([0, 1, 2, 3, 4], history.Steps.Select(s => s.Step));
        Assert.Equal([1, 2, 3, 4], history.Evaluations.Select(e => e.Steps)); // the one at the place of the checkpoint is not made again
        Assert.Equal("Resumed after 4 steps.", Assert.Single(history.Notes).Text);
    }

    [Fact]
    public void Two_processes_cannot_record_one_run()
    {
        using var folder = new TemporaryFolder();
        using RunRecorder first = RunRecorder.Open(folder["run"]);
        Assert.Contains("Another process is training in", Assert.Throws<IOException>(() => RunRecorder.Open(folder["run"])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_progress_line_says_how_long_it_still_takes()
    {
        var progress = new RunProgress(Report(99), 2000, 0.5, TimeSpan.FromSeconds(50), null, null) { Steps = 200, ShareOfPeak = 0.5 };
        Assert.Equal("step 100/200  50 %  loss 2.5000  grad 0.750  lr 3e-4  MaxVio 0.50  2000 tokens/s  50 % of peak  left 0:50", StepLine.Of(progress));
        Assert.Equal(
            "step 100  loss 2.5000  grad 0.750  lr 3e-4  MaxVio 0.50  12.3 k tokens/s  skipped: 'w' is not finite",
            StepLine.Of(new RunProgress(Report(99) with { SkippedBecauseOf = "w" }, 12345, double.NaN, null, null, null)));
        Assert.Equal("1:01:05", StepLine.Clock(TimeSpan.FromSeconds(3665)));
    }

    [Fact]
    public void Work_of_a_token_is_that_of_the_specification()
    {
        // S2 of the scaled-down configurations: 19.7 M without and 25.1 M with MTP.
        ModelConfig config = ModelConfig.Parse("""
            {"architectures": ["Glm4MoeForCausalLM"], "model_type": "glm4_moe", "vocab_size": 4096, "hidden_size": 128, "intermediate_size": 320, "moe_intermediate_size": 48, "num_hidden_layers": 8,
             "num_attention_heads": 10, "num_key_value_heads": 2, "head_dim": 32, "n_shared_experts": 1, "n_routed_experts": 32, "num_experts_per_tok": 8, "routed_scaling_factor": 1.0, "n_group": 1,
             "topk_group": 1, "norm_topk_prob": true, "first_k_dense_replace": 1, "attention_bias": true, "use_qk_norm": true, "partial_rotary_factor": 0.5, "rope_theta": 10000.0, "hidden_act": "silu",
             "max_position_embeddings": 256, "rms_norm_eps": 1e-05, "tie_word_embeddings": false, "num_nextn_predict_layers": 1}
            """u8.ToArray());
        Assert.Equal(19.7e6, TrainingWork.PerToken(config, 256), 0.1e6);
        // Frozen matrices save the weight gradient, 2 for each of the 2.62 million active weights.
        Assert.Equal(2 * 2.62e6, TrainingWork.PerToken(config, 256) - TrainingWork.PerToken(config, 256, isFrozen: true), 0.02e6);
        Assert.Equal(25.1e6, TrainingWork.PerToken(config, 256, nextTokenDepths: 1), 0.1e6);
    }

    [Fact]
    public void Every_figure_has_its_plot()
    {
        using var folder = new TemporaryFolder();
        IReadOnlyList<string> files;
        using (RunRecorder recorder = RunRecorder.Open(folder["run"], options: new RunRecorderOptions { TensorBoard = false }))
        {
            for (int step = 0; step < 100; step++)
                recorder.Step(Report(step) with { Loss = step == 50 ? double.NaN : 4 - (step / 50.0) }, 1);
            recorder.Evaluation(100, new Dictionary<string, double> { ["valid_loss"] = 2.2, ["mtp_acceptance"] = 0.4, ["gsm8k <1>"] = 0.1 });
            files = recorder.WritePlots();
        }

        Assert.Equal(
            ["loss.svg", "mtp_loss.svg", "grad_norm.svg", "lr.svg", "max_vio.svg", "expert_load.svg", "mtp_acceptance.svg", "tokens_per_second.svg", "eval_gsm8k__1_.svg"], files.Select(Path.GetFileName));
        foreach (string file in files)
            Assert.Equal("svg", XDocument.Load(file).Root!.Name.LocalName);
        Assert.DoesNotContain("NaN", File.ReadAllText(files[0]), StringComparison.Ordinal);
        Assert.Contains("valid", File.ReadAllText(files[0]), StringComparison.Ordinal);
    }

    [Fact]
    public void A_spike_survives_in_the_plot_of_a_long_run()
    {
        double[] x = [.. Enumerable.Range(0, 100_000).Select(i => (double)i)], y = new double[x.Length];
        y[12_345] = 7;
        string svg = new LineChart { Title = "t", Series = [new ChartSeries("s", x, y)], Floor = 0 }.Svg();
        Assert.True(svg.Length < 40_000, $"{svg.Length} characters");
        Assert.Contains(" 52.", svg, StringComparison.Ordinal); // 4 % below the top of the drawing, 44
    }

    [Fact]
    public void A_run_without_a_log_is_refused() =>
        Assert.Contains("is not the folder of a training run: it has no log.jsonl", Assert.Throws<FileNotFoundException>(() => RunHistory.Read(Path.GetTempPath())).Message, StringComparison.Ordinal);

    [Fact]
    public void A_log_that_is_damaged_names_the_line()
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder["run"]);
        File.WriteAllText(RunFolder.Log(folder["run"]), "{\"steps\": 1, \"note\": \"a\"}\n{\"loss\"\n{\"steps\": 1, \"no");
        Assert.Contains("line 2", Assert.Throws<FormatException>(() => RunHistory.Read(folder["run"])).Message, StringComparison.Ordinal);
    }

    internal static StepReport Report(long step) => new()
    {
        Step = step,
        TokensSeen = step * 1000,
        Tokens = 1000,
        TargetWeight = 900,
        Loss = 2.5,
        NextTokenLosses = [3.5],
        NextTokenWeight = 0.3,
        BalanceLosses = [1.1],
        Objective = 3.7,
        GradientNorm = 0.75,
        ClipFactor = 1,
        LearningRate = 3e-4,
        Experts = [new ExpertLoad("model.layers.1.mlp.gate.e_score_correction_bias", [1, 2, 3, 2])],
    };
}
