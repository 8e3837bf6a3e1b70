using System.Text.Json;
using Glimmer.Kernels;
using Glimmer.Tensors;
using Glimmer.Training.Balance;
using Xunit.Abstractions;

namespace Glimmer.Tests.Training.Balance;

[Trait("Category", "Golden")]
public class BalanceGoldenTests(ITestOutputHelper output)
{
    public static TheoryData<string> BiasCases => TrainingCase.Rows("balance", "expert_bias");

    public static TheoryData<string> LossCases => TrainingCase.Rows("balance", "sequence_balance_loss", "batch_balance_loss", "z_loss");

    public static TheoryData<string> RouterCases => TrainingCase.Rows("balance", "router");

    public static TheoryData<string> LoadCases => TrainingCase.Rows("balance", "max_vio");

    [SkippableTheory]
    [MemberData(nameof(BiasCases))]
    public void The_bias_moves_against_the_load(string name)
    {
        Fixtures.SkipIfAbsent(name);
        using TrainingCase golden = TrainingCase.Open(name);
        float[] bias = golden.F32("bias_before");
        int[] loads = golden.I32("load");
        double worst = 0;
        for (int step = 0; step < golden.Json.GetProperty("steps").GetInt32(); step++)
        {
            long[] counts = [.. loads.AsSpan(step * bias.Length, bias.Length).ToArray().Select(n => (long)n)];
            ExpertLoad.UpdateBias(bias, counts, golden.Json.GetProperty("rate").GetSingle());
            worst = Math.Max(worst, TrainingCase.Largest(golden.F32("bias_after_step").AsSpan(step * bias.Length, bias.Length), bias));
            Assert.Equal(golden.Json.GetProperty("max_vio")[step].GetDouble(), new ExpertLoad(name, counts).MaxVio, 1e-7);
        }

        output.WriteLine($"largest difference {worst:g3}");
        Assert.True(worst <= golden.Json.GetProperty("tolerance_max_abs").GetDouble());
    }

    [SkippableTheory]
    [MemberData(nameof(LoadCases))]
    public void Load_figures_are_the_recorded_ones(string name)
    {
        Fixtures.SkipIfAbsent(name);
        using TrainingCase golden = TrainingCase.Open(name);
        foreach (JsonElement row in golden.Json.GetProperty("rows").EnumerateArray())
        {
            var load = new ExpertLoad(name, [.. row.GetProperty("load").EnumerateArray().Select(n => n.GetInt64())]);
            Assert.Equal(row.GetProperty("max_vio").GetDouble(), load.MaxVio, 1e-8);
            Assert.Equal(row.GetProperty("entropy").GetDouble(), load.Entropy, 1e-8);
            Assert.Equal(row.GetProperty("dead").GetInt32(), load.Dead);
        }
    }

    [SkippableTheory]
    [MemberData(nameof(LossCases))]
    public void Router_losses_and_their_gradients_are_the_recorded_ones(string name)
    {
        Fixtures.SkipIfAbsent(name);
        using TrainingCase golden = TrainingCase.Open(name);
        JsonElement json = golden.Json;
        int[] shape = golden.Shape("logits");
        int experts = shape[^1], sequences = shape.Length == 3 ? shape[0] : 1, positions = shape[^2];
        float[] logits = golden.F32("logits");
        int[] padding = golden.Has("padding_mask") ? golden.I32("padding_mask") : new int[sequences * positions];
        double coefficient = json.GetProperty("coefficient").GetDouble(), valid = padding.Count(p => p == 0);
        (double value, var gradient) = (0, new float[logits.Length]);
        for (int s = 0; s < sequences; s++)
        {
            int[] rows = [.. Enumerable.Range(s * positions, positions).Where(t => padding[t] == 0)];
            float[] kept = [.. rows.SelectMany(t => logits.AsSpan(t * experts, experts).ToArray())];
            var own = new float[kept.Length];
            value += json.GetProperty("kind").GetString() switch
            {
                "z_loss" => RouterLosses.LogSumExp(kept, experts, coefficient / valid, own),
                // With padding the reference divides by one average length.
                _ => RouterLosses.Balance(kept, experts, json.GetProperty("top_k").GetInt32(), Score(json), coefficient / sequences, valid / sequences, own),
            };
            for (int i = 0; i < rows.Length; i++)
                own.AsSpan(i * experts, experts).CopyTo(gradient.AsSpan(rows[i] * experts));
        }

        double expected = json.TryGetProperty("value_fp64", out JsonElement exact) ? exact.GetDouble() : json.GetProperty("value").GetDouble();
        double relative = Math.Abs((value / expected) - 1), difference = TrainingCase.Largest(golden.F32("grad_logits"), gradient);
        JsonElement tolerance = json.GetProperty("tolerance");
        output.WriteLine($"value {relative:g3} of {tolerance.GetProperty("value_relative")} relative, gradient {difference:g3} of {tolerance.GetProperty("grad_max_abs")}");
        Assert.True(relative <= tolerance.GetProperty("value_relative").GetDouble(), $"value {value:g9} instead of {expected:g9}");
        Assert.True(difference <= tolerance.GetProperty("grad_max_abs").GetDouble(), $"gradient: {difference:g3}");
    }

    [SkippableTheory]
    [MemberData(nameof(RouterCases))]
    public unsafe void Routers_choose_and_weigh_as_recorded(string name)
    {
        Fixtures.SkipIfAbsent(name);
        using TrainingCase golden = TrainingCase.Open(name);
        JsonElement json = golden.Json;
        using var team = new ThreadTeam(1);
        (int tokens, int experts, int chosen) = (golden.Shape("logits")[0], golden.Shape("logits")[1], json.GetProperty("top_k").GetInt32());
        int groups = json.TryGetProperty("num_groups", out JsonElement g) ? g.GetInt32() : 1, kept = json.TryGetProperty("group_topk", out JsonElement k) ? k.GetInt32() : groups;
        Assert.Equal("sigmoid", json.GetProperty("score_function").GetString());
        var shape = new RouterShape(experts, chosen, groups, kept, true, json.GetProperty("scaling_factor").GetSingle());
        using Tensor logits = Tensor.From(golden.F32("logits"), tokens, experts), bias = Tensor.From(golden.F32("bias"), experts);
        using Tensor scores = Tensor.Allocate(DType.F32, tokens, experts), weights = Tensor.Allocate(DType.F32, tokens, chosen), dweights = Tensor.Allocate(DType.F32, tokens, chosen);
        using Tensor ids = Tensor.Allocate(DType.I32, tokens, chosen), dlogits = Tensor.Allocate(DType.F32, tokens, experts);
        Router.Forward(team, shape, logits.F32Pointer, bias.F32Pointer, tokens, (int*)ids.Data, weights.F32Pointer, scores.F32Pointer);
        (var probabilities, float[] upstream, int[] map) = (new float[tokens * experts], golden.F32("upstream"), golden.I32("routing_map"));
        for (int i = 0; i < tokens * chosen; i++)
        {
            int at = (i / chosen * experts) + ids.I32[i];
            Assert.Equal(1, map[at]);
            probabilities[at] = weights.F32[i];
            dweights.F32[i] = upstream[at];
        }

        Router.Backward(team, shape, logits.F32Pointer, (int*)ids.Data, dweights.F32Pointer, tokens, dlogits.F32Pointer);
        double forward = TrainingCase.Largest(golden.F32("probs"), probabilities), backward = TrainingCase.Largest(golden.F32("grad_logits"), dlogits.F32);
        output.WriteLine($"weights {forward:g3}, gradient {backward:g3}");
        Assert.True(forward <= json.GetProperty("tolerance_max_abs").GetProperty("probs").GetDouble());
        Assert.True(backward <= json.GetProperty("tolerance_max_abs").GetProperty("grad_logits").GetDouble());
    }

    private static RouterScore Score(JsonElement json) =>
        json.TryGetProperty("score", out JsonElement score) && score.GetString()!.StartsWith("softmax", StringComparison.Ordinal) ? RouterScore.Softmax : RouterScore.Sigmoid;
}
