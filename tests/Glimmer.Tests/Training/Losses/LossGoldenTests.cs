using System.Text.Json;
using Glimmer.Operations;
using Glimmer.Tensors;
using Glimmer.Training.Losses;
using Xunit.Abstractions;

namespace Glimmer.Tests.Training.Losses;

[Trait("Category", "Golden")]
public class LossGoldenTests(ITestOutputHelper output)
{
    public static TheoryData<string> CrossEntropyCases => TrainingCase.Rows("losses", "masked_cross_entropy");

    public static TheoryData<string> FullCases => TrainingCase.Rows("losses", "distillation_full");

    public static TheoryData<string> TopKCases => TrainingCase.Rows("losses", "distillation_topk");

    public static TheoryData<string> LogProbabilityCases => TrainingCase.Rows("losses", "sequence_log_probs");

    public static TheoryData<string> PreferenceCases => TrainingCase.Rows("losses", "dpo");

    [SkippableTheory]
    [MemberData(nameof(CrossEntropyCases))]
    public void Masked_and_weighted_cross_entropy_is_the_recorded_one(string name)
    {
        Fixtures.SkipIfAbsent(name);
        using TrainingCase golden = TrainingCase.Open(name);
        JsonElement json = golden.Json, tolerance = json.GetProperty("tolerance");
        int[] labels = golden.I32("labels"), shape = golden.Shape("hidden");
        float[] own = golden.Has("weights") ? golden.F32("weights") : [.. labels.Select(_ => 1f)];
        double normaliser = json.GetProperty("normaliser").GetDouble();
        Assert.Equal(normaliser, labels.Zip(own).Where(p => p.First >= 0).Sum(p => (double)p.Second), 1e-5 * normaliser);
        using var c = new Compute(1);
        var tape = new Tape();
        c.Begin(tape);
        Tensor hidden = c.Workspace.F32(labels.Length, shape[^1]);
        golden.F32("hidden").CopyTo(hidden.F32);
        using var head = new Parameter("head", Tensor.From(golden.F32("lm_head"), golden.Shape("lm_head")));
        head.EnableGradient();
        var logProbabilities = new float[labels.Length];
        double value = CrossEntropyLoss.Forward(c, hidden, head, labels, [.. labels.Zip(own).Select(p => p.First < 0 ? 0 : (float)(p.Second / normaliser))], logProbabilities);
        tape.Backward();
        CheckValue(name, json, value);
        CheckGradient("hidden", golden.F32("grad_hidden"), hidden.Gradient!.F32, tolerance);
        CheckGradient("head", golden.F32("grad_lm_head"), head.Gradient!.F32, tolerance);
        float[] losses = golden.F32("token_loss");
        for (int t = 0; t < labels.Length; t++)
            Assert.Equal(losses[t], -logProbabilities[t], 1e-5f * Math.Max(1, losses[t]));
    }

    [SkippableTheory]
    [MemberData(nameof(FullCases))]
    public void Distillation_over_the_vocabulary_is_the_recorded_one(string name)
    {
        Fixtures.SkipIfAbsent(name);
        using TrainingCase golden = TrainingCase.Open(name);
        (float[] student, float[] teacher, int[] labels, int vocabulary) = (golden.F32("student_logits"), golden.F32("teacher_logits"), golden.I32("labels"), golden.Shape("student_logits")[^1]);
        foreach (JsonElement json in golden.Json.GetProperty("cases").EnumerateArray())
        {
            double count = json.GetProperty("num_items_in_batch").ValueKind == JsonValueKind.Number ? json.GetProperty("num_items_in_batch").GetDouble() : labels.Count(l => l != -100);
            (double value, var gradient) = (0, new float[student.Length]);
            for (int t = 0; t < labels.Length; t++)
            {
                if (labels[t] != -100)
                {
                    value += Distillation.Full(
                        student.AsSpan(t * vocabulary, vocabulary), teacher.AsSpan(t * vocabulary, vocabulary), json.GetProperty("beta").GetDouble(), json.GetProperty("temperature").GetDouble(), 1 / count,
                        gradient.AsSpan(t * vocabulary, vocabulary));
                }
            }

            Check(golden, json, value, gradient);
        }
    }

    [SkippableTheory]
    [MemberData(nameof(TopKCases))]
    public void Distillation_over_the_best_tokens_is_the_recorded_one(string name)
    {
        Fixtures.SkipIfAbsent(name);
        using TrainingCase golden = TrainingCase.Open(name);
        (float[] student, float[] teacher, int[] labels, int vocabulary) = (golden.F32("student_logits"), golden.F32("teacher_logits"), golden.I32("labels"), golden.Shape("student_logits")[^1]);
        int k = golden.Json.GetProperty("k").GetInt32();
        double count = labels.Count(l => l != -100);
        foreach (JsonElement json in golden.Json.GetProperty("cases").EnumerateArray())
        {
            OutsideSupport outside = json.GetProperty("mode").GetString() switch
            {
                "renormalised" => OutsideSupport.Renormalise,
                "tail" => OutsideSupport.Bucket,
                "raw" => OutsideSupport.Drop,
                "teacher_renormalised" => OutsideSupport.RenormaliseTeacher,
                string mode => throw new NotSupportedException($"The recording has the mode {mode}."),
                null => throw new NotSupportedException("The recording has no mode."),
            };
            (double value, var gradient) = (0, new float[student.Length]);
            for (int t = 0; t < labels.Length; t++)
            {
                if (labels[t] == -100)
                    continue;
                var tokens = new int[k];
                float[] logits = teacher.AsSpan(t * vocabulary, vocabulary).ToArray();
                if (json.GetProperty("support").GetString() == "teacher")
                    golden.I32("topk_indices").AsSpan(t * k, k).CopyTo(tokens);
                else
                    Glimmer.Kernels.TopK.Select(student.AsSpan(t * vocabulary, vocabulary), tokens);
                double[] kept = [.. tokens.Select(token => SequenceLogProbability.Of(logits, token).LogProbability)];
                value += Distillation.TopK(
                    student.AsSpan(t * vocabulary, vocabulary), tokens, kept, outside, json.GetProperty("alpha").GetDouble(), 1 / count, gradient.AsSpan(t * vocabulary, vocabulary));
            }

            Check(golden, json, value, gradient);
        }
    }

    [SkippableTheory]
    [MemberData(nameof(LogProbabilityCases))]
    public void Log_probabilities_of_sequences_are_the_recorded_ones(string name)
    {
        Fixtures.SkipIfAbsent(name);
        using TrainingCase golden = TrainingCase.Open(name);
        JsonElement json = golden.Json, tolerance = json.GetProperty("tolerance");
        (float[] logits, int[] tokens, int[] mask) = (golden.F32("logits"), golden.I32("tokens"), golden.I32("mask"));
        (int rows, int length, int vocabulary) = (golden.Shape("logits")[0], golden.Shape("logits")[1], golden.Shape("logits")[2]);
        (var gradient, double worst) = (new float[logits.Length], 0.0);
        for (int row = 0; row < rows; row++)
        {
            (double sum, int count) = (0, 0);
            for (int t = row * length; t < (row + 1) * length; t++)
            {
                ReadOnlySpan<float> at = logits.AsSpan(t * vocabulary, vocabulary);
                (double logProbability, double entropy) = SequenceLogProbability.Of(at, tokens[t]);
                worst = Math.Max(worst, Math.Max(Math.Abs(logProbability - golden.F32("log_probs")[t]), Math.Abs(entropy - golden.F32("entropy")[t])));
                if (mask[t] == 0)
                    continue;
                (sum, count) = (sum + logProbability, count + 1);
                SequenceLogProbability.AddGradient(at, tokens[t], json.GetProperty("upstream")[row].GetDouble(), gradient.AsSpan(t * vocabulary, vocabulary));
            }

            Assert.Equal(json.GetProperty("value")[row].GetDouble(), sum, tolerance.GetProperty("value_relative").GetDouble() * Math.Max(1, Math.Abs(sum)));
            if (count > 0)
                Assert.Equal(json.GetProperty("average")[row].GetDouble(), sum / count, 1e-5);
        }

        output.WriteLine($"log-probabilities and entropies: largest difference {worst:g3}");
        Assert.True(worst <= tolerance.GetProperty("log_prob_max_abs").GetDouble());
        CheckGradient("logits", golden.F32("grad_logits"), gradient, tolerance);
    }

    [SkippableTheory]
    [MemberData(nameof(PreferenceCases))]
    public void Preference_losses_are_the_recorded_ones(string name)
    {
        Fixtures.SkipIfAbsent(name);
        using TrainingCase golden = TrainingCase.Open(name);
        var run = new PreferenceRun(golden);
        IEnumerable<JsonElement> cases = golden.Json.GetProperty("cases").EnumerateArray();
        if (golden.Json.TryGetProperty("reimplemented_cases", out JsonElement more))
            cases = cases.Concat(more.EnumerateArray());
        foreach (JsonElement json in cases)
        {
            (double value, float[] gradient) = run.Of(json);
            Check(golden, json, value, gradient);
        }
    }

    private void Check(TrainingCase golden, JsonElement json, double value, float[] gradient)
    {
        string name = json.GetProperty("name").GetString()!;
        CheckValue(name, json, value);
        CheckGradient(name, golden.F32("grad." + name), gradient, json.GetProperty("tolerance"));
    }

    private void CheckValue(string name, JsonElement json, double value)
    {
        double expected = json.GetProperty("value_fp64").GetDouble(), relative = Math.Abs(value - expected) / Math.Max(Math.Abs(expected), 1e-12);
        output.WriteLine($"{name}: value {value:g9}, {relative:g3} away (relative)");
        Assert.True(relative <= json.GetProperty("tolerance").GetProperty("value_relative").GetDouble(), $"{name}: {value:g9} instead of {expected:g9}");
    }

    private void CheckGradient(string name, ReadOnlySpan<float> expected, ReadOnlySpan<float> actual, JsonElement tolerance)
    {
        double difference = TrainingCase.Largest(expected, actual), allowed = tolerance.GetProperty("grad_max_abs").GetDouble();
        output.WriteLine($"{name}: gradient {difference:g3} away, allowed {allowed:g3}");
        Assert.True(difference <= allowed, $"{name}: gradient {difference:g3} away");
    }
}
