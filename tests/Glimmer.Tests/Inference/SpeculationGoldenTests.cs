using System.Text.Json;
using Glimmer.Inference;
using Xunit.Abstractions;

namespace Glimmer.Tests.Inference;

/// <summary>The general verifier against vLLM and SGLang, its losslessness, and the keyed-noise rule of the engine.</summary>
[Trait("Category", "Golden")]
public class SpeculationGoldenTests(ITestOutputHelper output)
{
    private static readonly string? s_folder = Fixtures.Folder("rl");

    public static TheoryData<string> Cases() => Names("speculative.json");

    public static TheoryData<string> LosslessCases() => Names("speculative_lossless.json");

    public static TheoryData<string> GumbelCases() => Names("speculative_gumbel.json");

    [SkippableTheory]
    [MemberData(nameof(Cases))]
    public void Drafts_are_accepted_and_recovered_as_recorded(string id)
    {
        JsonElement row = Row("speculative.json", id);
        float[][] target = Rows(row, "target_probs"), draft = Rows(row, "draft_probs");
        int[] drafts = Ints(row.GetProperty("draft_ids"));
        double[] uniform = [.. row.GetProperty("uniform").EnumerateArray().Select(v => v.GetDouble())];
        float[] noise = Floats(row.GetProperty("inverse_exponential"));
        float final = row.GetProperty("uniform_final").GetSingle();
        int bonus = row.GetProperty("bonus_id").GetInt32();

        Check("vllm", Verify(drafts, i => DraftVerifier.Accepts(target[i], draft[i], drafts[i], uniform[i]), i => DraftVerifier.Recover(target[i], draft[i], drafts[i], noise), bonus));
        Check("vllm_no_draft_probs", Verify(drafts, i => DraftVerifier.Accepts(target[i], [], drafts[i], uniform[i]), i => DraftVerifier.Recover(target[i], [], drafts[i], noise), bonus));
        Check("sglang_chain", Verify(
            drafts, i => DraftVerifier.Accepts(target[i], draft[i], drafts[i], (float)uniform[i]),
            i => DraftVerifier.RecoverByInverse(target[i], draft[i], drafts[i], final), DraftVerifier.RecoverByInverse(target[^1], [], -1, final)));
        Check("sglang_target_only", Verify(
            drafts, i => DraftVerifier.Accepts(target[i], [], drafts[i], (float)uniform[i]),
            i => DraftVerifier.RecoverByInverse(target[i], [], drafts[i], final), DraftVerifier.RecoverByInverse(target[^1], [], -1, final)));
        int[] likely = [.. target.Select(p => Array.IndexOf(p, p.Max()))];
        Check("greedy", Verify(drafts, i => likely[i] == drafts[i], i => likely[i], likely[^1]));
        int[] recovered = Ints(row.GetProperty("vllm").GetProperty("recovered_ids"));
        for (int i = 0; i < drafts.Length; i++)
        {
            if (row.GetProperty("analytic").GetProperty("recovered")[i].ValueKind != JsonValueKind.Null)
                Assert.Equal(recovered[i], DraftVerifier.Recover(target[i], draft[i], drafts[i], noise));
        }

        void Check(string rule, int[] tokens) => Assert.Equal(Ints(row.GetProperty(rule).GetProperty("output_ids")), tokens);
    }

    [SkippableTheory]
    [MemberData(nameof(LosslessCases))]
    public void Verified_tokens_have_the_distribution_of_the_model(string id)
    {
        const int Runs = 20_000;
        JsonElement row = Row("speculative_lossless.json", id);
        float[][] target = Rows(row, "target_probs"), draft = Rows(row, "draft_probs"), expected = Rows(row, "output_distribution");
        var counts = target.Select(p => new long[p.Length]).ToArray();
        var accepted = new long[draft.Length + 1];
        var noise = new float[target[0].Length];
        for (int run = 0; run < Runs; run++)
        {
            int position = 0;
            for (; position < draft.Length; position++)
            {
                uint key = (uint)(position * 1000);
                int token = Draw(draft[position], run, key);
                bool keeps = DraftVerifier.Accepts(target[position], draft[position], token, Uniform(run, key + 1));
                for (uint i = 0; i < noise.Length && !keeps; i++)
                    noise[i] = (float)(-1 / Math.Log(Uniform(run, key + 2 + i)));
                counts[position][keeps ? token : DraftVerifier.Recover(target[position], draft[position], token, noise)]++;
                if (!keeps)
                    break;
            }

            accepted[position]++;
            if (position == draft.Length)
                counts[position][Draw(target[position], run, 999_999)]++;
        }

        double worst = 0;
        for (int position = 0; position < target.Length; position++)
            worst = Math.Max(worst, ChiSquareExcess(counts[position], expected[position]));
        worst = Math.Max(worst, ChiSquareExcess(accepted, Floats(row.GetProperty("accepted_length_distribution"))));
        output.WriteLine($"largest excess of chi-square over its mean {worst:f2} standard deviations, bound 5");
        Assert.True(worst < 5, $"chi-square is {worst:f2} standard deviations above its mean");
    }

    [SkippableTheory]
    [MemberData(nameof(GumbelCases))]
    public void Keyed_noise_gives_the_recorded_tokens_with_and_without_drafts(string id)
    {
        JsonElement row = Row("speculative_gumbel.json", id);
        float temperature = row.GetProperty("temperature").GetSingle();
        float[][] logits = Rows(row, "logits");
        int[] drafts = Ints(row.GetProperty("draft_ids"));
        int[] tokens = new int[logits.Length];
        for (int position = 0; position < logits.Length; position++)
        {
            float[] scores = [.. logits[position].Select(value => value / temperature)];
            int[] kept = [.. Enumerable.Range(0, scores.Length).Where(i => !float.IsNegativeInfinity(scores[i]))];
            int best = kept.MaxBy(i => scores[i]);
            double[] uniform = [.. row.GetProperty("uniform")[position].EnumerateArray().Select(v => v.GetDouble())];
            tokens[position] = Sampler.Draw(scores, kept, best, new RecordedNoise(uniform));
        }

        Assert.Equal(Ints(row.GetProperty("argmax_ids")), tokens);
        Assert.Equal(Ints(row.GetProperty("output_ids")), Verify(drafts, i => tokens[i] == drafts[i], i => tokens[i], tokens[^1]));
        Assert.Equal(row.GetProperty("accepted").GetInt32(), drafts.AsSpan().CommonPrefixLength(tokens));
    }

    private static int[] Verify(int[] drafts, Func<int, bool> accepts, Func<int, int> recover, int bonus)
    {
        var tokens = new List<int>();
        for (int i = 0; i < drafts.Length; i++)
        {
            if (!accepts(i))
                return [.. tokens, recover(i)];
            tokens.Add(drafts[i]);
        }

        return [.. tokens, bonus];
    }

    // (chi-square - degrees of freedom) / sqrt(2 degrees of freedom); entries that must not occur must not.
    private static double ChiSquareExcess(long[] counts, float[] distribution)
    {
        long total = counts.Sum();
        if (total == 0)
            return 0;
        double chiSquare = 0, restExpected = 0, restCount = 0;
        int degrees = -1;
        for (int i = 0; i < counts.Length; i++)
        {
            double expected = distribution[i] * (double)total;
            if (distribution[i] == 0)
                Assert.Equal(0, counts[i]);
            if (expected < 8)
            {
                (restExpected, restCount) = (restExpected + expected, restCount + counts[i]);
                continue;
            }

            chiSquare += (counts[i] - expected) * (counts[i] - expected) / expected;
            degrees++;
        }

        if (restExpected >= 8)
        {
            chiSquare += (restCount - restExpected) * (restCount - restExpected) / restExpected;
            degrees++;
        }

        return degrees < 1 ? 0 : (chiSquare - degrees) / Math.Sqrt(2 * degrees);
    }

    private static int Draw(float[] distribution, int run, uint key)
    {
        double left = Uniform(run, key) * distribution.Sum(p => (double)p);
        for (int i = 0; i < distribution.Length; i++)
        {
            left -= distribution[i];
            if (left < 0)
                return i;
        }

        return Array.FindLastIndex(distribution, p => p > 0);
    }

    private static double Uniform(int run, uint index) => CounterRandom.Uniform(7, DrawPurpose.Shuffling, run, index);

    private static TheoryData<string> Names(string file)
    {
        string path = Path.Combine(s_folder ?? "", file);
        return Fixtures.Rows(s_folder is null || !File.Exists(path) ? null : Read(path).Select(c => c.GetProperty("id").GetString()!));
    }

    private static JsonElement Row(string file, string id)
    {
        Fixtures.SkipIfAbsent(id);
        return Read(Path.Combine(s_folder!, file)).Single(c => c.GetProperty("id").GetString() == id);
    }

    private static IEnumerable<JsonElement> Read(string path) => JsonDocument.Parse(File.ReadAllBytes(path)).RootElement.GetProperty("cases").EnumerateArray();

    private static float[][] Rows(JsonElement row, string name) => [.. row.GetProperty(name).EnumerateArray().Select(Floats)];

    private static float[] Floats(JsonElement list) =>
        [.. list.EnumerateArray().Select(v => v.ValueKind == JsonValueKind.Null ? float.NegativeInfinity : v.GetSingle())];

    private static int[] Ints(JsonElement list) => [.. list.EnumerateArray().Select(v => v.GetInt32())];

    private readonly struct RecordedNoise(double[] uniform) : Sampler.INoise
    {
        public double Of(int id) => -Math.Log(-Math.Log(uniform[id]));
    }
}
