using System.Globalization;
using System.Text.Json;
using Glimmer.Formats;
using Glimmer.Inference;
using Xunit.Abstractions;

namespace Glimmer.Tests.Inference;

/// <summary>Every stage of the sampler against the reference functions of vLLM, SGLang and transformers, in our order.</summary>
[Trait("Category", "Golden")]
public class FilterGoldenTests(ITestOutputHelper output)
{
    private const double ProbabilityTolerance = 1e-6;
    private const double LogprobTolerance = 1e-5;

    private static readonly string? s_folder = Fixtures.Folder("rl");

    public static TheoryData<string> Cases() => Fixtures.Rows(Read("filters.json")?.Select(c => c.GetProperty("id").GetString()!));

    public static TheoryData<string> LargeCases() => Fixtures.Rows(Read("filters_large.json")?.Select(LargeName));

    [SkippableTheory]
    [MemberData(nameof(Cases))]
    public void Stages_keep_the_recorded_tokens_with_the_recorded_probabilities(string id)
    {
        Fixtures.SkipIfAbsent(id);
        JsonElement row = Read("filters.json")!.Single(c => c.GetProperty("id").GetString() == id);
        float[] logits = Floats(row.GetProperty("logits"));
        int[] prompt = Ints(row, "prompt_ids"), generated = Ints(row, "output_ids");
        AllowedTokens? allowed = row.TryGetProperty("allowed_ids", out JsonElement ids) ? new AllowedTokens([.. ids.EnumerateArray().Select(v => v.GetInt32())]) : null;
        SamplingOptions options = Options(row.GetProperty("params"));
        var sampler = new Sampler(options, logits.Length, prompt, allowed);
        foreach (int token in generated)
            sampler.Accept(token);
        int chosen = sampler.Choose(logits, 0, [], [], wantKept: true);
        Assert.Contains(chosen, sampler.Kept.ToArray());
        JsonElement expected = row.GetProperty("expected");
        Compare(row, options, sampler, Ints(expected, "ids"), Floats(expected.GetProperty("probs")));
        if (row.TryGetProperty("top_logprobs", out JsonElement top))
            CompareLogprobs(top, row.GetProperty("top_n").GetInt32(), logits, sampler);
    }

    [SkippableTheory]
    [MemberData(nameof(LargeCases))]
    public void Stages_keep_the_recorded_tokens_of_a_large_vocabulary(string name)
    {
        Fixtures.SkipIfAbsent(name);
        JsonElement row = Read("filters_large.json")!.Single(c => LargeName(c) == name);
        using SafetensorsFile file = SafetensorsFile.Open(Path.Combine(s_folder!, "filters_large.safetensors"));
        int vocabulary = file.Find("logits")!.Shape[1];
        float[] logits = file.View("logits").F32.Slice(row.GetProperty("row").GetInt32() * vocabulary, vocabulary).ToArray();
        SamplingOptions options = Options(row.GetProperty("params"));
        var sampler = new Sampler(options, vocabulary, []);
        sampler.Choose(logits, 0, [], [], wantKept: true);
        Compare(row, options, sampler, file.View(name + "_ids").I32.ToArray(), file.View(name + "_probs").F32.ToArray());
    }

    [Fact]
    public void Equal_scores_at_the_border_of_top_k_keep_the_lower_ids()
    {
        float[] logits = [1, 3, 1, -0f, 0f, 1, 3];
        Assert.Equal([1, 6, 0], Kept(new SamplingOptions { Temperature = 1, TopK = 3 }, logits));
        Assert.Equal([1, 6, 0, 2, 5, 3], Kept(new SamplingOptions { Temperature = 1, TopK = 6 }, logits));
        Assert.Equal([1], Kept(new SamplingOptions { Temperature = 1, TopK = 1 }, logits));
    }

    [Fact]
    public void A_draw_does_not_look_at_tokens_that_cannot_win_and_is_the_same_as_if_it_did()
    {
        var random = new Random(5);
        float[] logits = [.. Enumerable.Range(0, 3000).Select(_ => (float)(random.NextDouble() * 60 - 30))];
        for (int position = 0; position < 20; position++)
        {
            int expected = Enumerable.Range(0, logits.Length).MaxBy(i => logits[i] + CounterRandom.Gumbel(9, DrawPurpose.Sampling, position, (uint)i));
            Assert.Equal(expected, new Sampler(new SamplingOptions { Temperature = 1, Seed = 9 }, logits.Length, []).Next(logits, position).Token);
        }
    }

    private static int[] Kept(SamplingOptions options, float[] logits)
    {
        var sampler = new Sampler(options, logits.Length, []);
        sampler.Choose(logits, 0, [], [], wantKept: true);
        return sampler.Kept.ToArray();
    }

    private void Compare(JsonElement row, SamplingOptions options, Sampler sampler, int[] ids, float[] probs)
    {
        if (Flag(row, "rounding_sensitive"))
            return; // Only the same float32 arithmetic gives the same set.
        double lse = sampler.KeptLogSumExp();
        var kept = new SortedDictionary<int, double>();
        foreach (int id in sampler.Kept)
        {
            double p = Math.Exp(sampler.Scores[id] - lse);
            if ((float)p > 0)
                kept[id] = p;
        }

        // The recording keeps every token equal to the k-th, we keep exactly k: the lower ids among equals.
        if (options.TopK > 0 && ids.Length > options.TopK)
        {
            float[] all = probs;
            int[] subset = [.. Enumerable.Range(0, ids.Length).OrderByDescending(i => all[i]).ThenBy(i => ids[i]).Take(options.TopK).Order()];
            double mass = subset.Sum(i => (double)all[i]);
            (ids, probs) = ([.. subset.Select(i => ids[i])], [.. subset.Select(i => (float)(all[i] / mass))]);
        }

        Assert.Equal(ids.Length, kept.Count);
        if (Flag(row, "border_splits_tie"))
            return;
        Assert.Equal(ids, kept.Keys);
        double largest = ids.Select((id, i) => Math.Abs(kept[id] - probs[i])).Max();
        output.WriteLine($"largest difference of a probability {largest:e2}, tolerance {ProbabilityTolerance:e0}");
        Assert.True(largest <= ProbabilityTolerance, $"a probability differs by {largest}");
    }

    private void CompareLogprobs(JsonElement top, int count, float[] logits, Sampler sampler)
    {
        float raw = Sampler.LogSumExp(logits);
        double processed = sampler.KeptLogSumExp();
        double largest = 0;
        var finals = new float[logits.Length];
        finals.AsSpan().Fill(float.NegativeInfinity);
        foreach (int id in sampler.Kept)
            finals[id] = sampler.Scores[id];
        Ranked(top.GetProperty("raw"), logits, raw);
        Ranked(top.GetProperty("processed"), finals, processed);
        int chosen = top.GetProperty("chosen_id").GetInt32();
        Near(top.GetProperty("chosen_raw"), logits[chosen] - raw);
        Near(top.GetProperty("chosen_processed"), finals[chosen] - processed);
        Assert.Equal(top.GetProperty("chosen_rank_raw").GetInt32(), logits.Count(value => value >= logits[chosen]));
        output.WriteLine($"largest difference of a log-probability {largest:e2}, tolerance {LogprobTolerance:e0}");

        void Ranked(JsonElement expected, float[] values, double lse)
        {
            var ids = new int[count];
            int found = TokenFilter.Highest(values, new SamplingScratch(values.Length), ids);
            Assert.Equal(expected.GetArrayLength(), found);
            for (int i = 0; i < found; i++)
            {
                Assert.Equal(expected[i][0].GetInt32(), ids[i]);
                Near(expected[i][1], values[ids[i]] - lse);
            }
        }

        void Near(JsonElement expected, double actual)
        {
            if (expected.ValueKind == JsonValueKind.Null)
            {
                Assert.Equal(double.NegativeInfinity, actual);
                return;
            }

            largest = Math.Max(largest, Math.Abs(expected.GetDouble() - actual));
            Assert.True(Math.Abs(expected.GetDouble() - actual) <= LogprobTolerance, $"{actual} instead of {expected}");
        }
    }

    private static SamplingOptions Options(JsonElement parameters) => new()
    {
        Temperature = Number(parameters, "temperature", 1),
        TopK = (int)Number(parameters, "top_k", 0),
        TopP = Number(parameters, "top_p", 1),
        MinP = Number(parameters, "min_p", 0),
        RepetitionPenalty = Number(parameters, "repetition_penalty", 1),
        FrequencyPenalty = Number(parameters, "frequency_penalty", 0),
        PresencePenalty = Number(parameters, "presence_penalty", 0),
        LogitBias = parameters.TryGetProperty("logit_bias", out JsonElement bias)
            ? bias.EnumerateObject().ToDictionary(p => int.Parse(p.Name, CultureInfo.InvariantCulture), p => p.Value.GetSingle()) : null,
    };

    private static JsonElement[]? Read(string file)
    {
        string path = Path.Combine(s_folder ?? "", file);
        return s_folder is null || !File.Exists(path) ? null : [.. JsonDocument.Parse(File.ReadAllBytes(path)).RootElement.GetProperty("cases").EnumerateArray()];
    }

    private static string LargeName(JsonElement row) => $"row{row.GetProperty("row")}_case{row.GetProperty("case")}";

    private static bool Flag(JsonElement row, string name) => row.TryGetProperty(name, out JsonElement flag) && flag.GetBoolean();

    private static float Number(JsonElement parameters, string name, float neutral) => parameters.TryGetProperty(name, out JsonElement value) ? value.GetSingle() : neutral;

    private static float[] Floats(JsonElement list) => [.. list.EnumerateArray().Select(v => v.GetSingle())];

    private static int[] Ints(JsonElement row, string name) => row.TryGetProperty(name, out JsonElement list) ? [.. list.EnumerateArray().Select(v => v.GetInt32())] : [];
}
