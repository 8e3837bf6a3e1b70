using System.Text.Json;
using Glimmer.Training.Schedules;
using Xunit.Abstractions;

namespace Glimmer.Tests.Training.Schedules;

[Trait("Category", "Golden")]
public class ScheduleGoldenTests(ITestOutputHelper output)
{
    public static TheoryData<string> Files => TrainingCase.Rows("", "schedules");

    [SkippableTheory]
    [MemberData(nameof(Files))]
    public void Schedules_give_the_recorded_rates(string name)
    {
        Fixtures.SkipIfAbsent(name);
        using TrainingCase golden = TrainingCase.Open(name);
        foreach (JsonElement json in golden.Json.GetProperty("cases").EnumerateArray())
        {
            JsonElement args = json.GetProperty("args");
            double peak = json.GetProperty("base_lr").GetDouble();
            (Schedule schedule, double end) = OfTransformers(json.GetProperty("function").GetString()!, args, peak);
            Compare(json, schedule, "value", peak, json.GetProperty("function").GetString()!.Contains("cosine", StringComparison.Ordinal) ? end : double.PositiveInfinity);
        }

        foreach (JsonElement json in golden.Json.GetProperty("megatron").EnumerateArray())
        {
            JsonElement args = json.GetProperty("args");
            Compare(json, OfMegatron(args), "value", args.GetProperty("max_lr").GetDouble(), double.PositiveInfinity);
            Compare(json, WeightDecay(args), "weight_decay", 1, double.PositiveInfinity);
        }
    }

    [SkippableTheory]
    [MemberData(nameof(Files))]
    public void Schedules_of_the_GLM_reports_count_tokens(string name)
    {
        Fixtures.SkipIfAbsent(name);
        using TrainingCase golden = TrainingCase.Open(name);
        foreach (JsonElement json in golden.Json.GetProperty("glm_tokens").EnumerateArray())
        {
            JsonElement args = json.GetProperty("args");
            double peak = Number(args, "peak", 0), warmup = Number(args, "warmup_tokens", 0);
            double middle = Number(args, "pretrain_end_tokens", 0);
            Schedule schedule = args.TryGetProperty("final", out _)
                ? LearningRates.Cosine(peak, Number(args, "final", 0), warmup, Number(args, "end_tokens", 0))
                : LearningRates.Cosine(peak, Number(args, "pretrain_final", 0), warmup, middle)
                    .Then(middle, LearningRates.Linear(Number(args, "pretrain_final", 0), Number(args, "midtrain_final", 0), 0, Number(args, "midtrain_end_tokens", 0) - middle));
            for (int i = 0; i < json.GetProperty("tokens").GetArrayLength(); i++)
                Near(json.GetProperty("name").GetString()!, json.GetProperty("value")[i].GetDouble(), schedule.At(json.GetProperty("tokens")[i].GetDouble()), peak);
        }
    }

    [SkippableTheory]
    [MemberData(nameof(Files))]
    public void Batches_grow_as_recorded(string name)
    {
        Fixtures.SkipIfAbsent(name);
        using TrainingCase golden = TrainingCase.Open(name);
        JsonElement batches = golden.Json.GetProperty("batch_size");
        JsonElement small = batches.GetProperty("small");
        BatchSize ramp = Ramp(small.GetProperty("args"));
        JsonElement[] changes = [.. small.GetProperty("changes").EnumerateArray()];
        (long seen, long size, int change, int step) = (0, -1, 0, 0);
        for (; seen < small.GetProperty("total_tokens").GetInt64(); step++)
        {
            long next = ramp.At(seen);
            if (next != size)
            {
                Assert.Equal((changes[change].GetProperty("step").GetInt32(), changes[change].GetProperty("tokens_seen").GetInt64(), changes[change].GetProperty("batch_tokens").GetInt64()), (step, seen, next));
                (size, change) = (next, change + 1);
            }

            seen += next;
        }

        Assert.Equal((changes.Length, small.GetProperty("steps").GetInt32()), (change, step));
        foreach (JsonProperty other in batches.EnumerateObject().Where(p => p.Value.ValueKind == JsonValueKind.Object && p.Value.TryGetProperty("points", out _)))
        {
            foreach (JsonElement point in other.Value.GetProperty("points").EnumerateArray())
                Assert.Equal(point.GetProperty("batch_tokens").GetInt64(), Ramp(other.Value.GetProperty("args")).At(point.GetProperty("tokens_seen").GetDouble()));
        }

        JsonElement megatron = batches.GetProperty("megatron_rampup"), args = megatron.GetProperty("args");
        var stepped = new SteppedBatchSize(
            args.GetProperty("start_global_batch_size").GetInt64(), args.GetProperty("global_batch_size").GetInt64(), args.GetProperty("batch_size_increment").GetInt64(), args.GetProperty("ramup_samples").GetInt64());
        long perMicroBatch = args.GetProperty("micro_batch_size").GetInt64() * args.GetProperty("data_parallel_size").GetInt64();
        foreach (JsonElement row in megatron.GetProperty("rows_samples_seen_global_batch_num_micro_batches").EnumerateArray())
        {
            long samples = stepped.At(row[0].GetInt64());
            Assert.Equal((row[1].GetInt64(), row[2].GetInt64()), (samples, samples / perMicroBatch));
        }
    }

    // The schedule and the step at which ours stays at its last value; the cosines of transformers rise again after it.
    private static (Schedule Schedule, double End) OfTransformers(string function, JsonElement args, double peak)
    {
        double warmup = Number(args, "num_warmup_steps", 0), end = Number(args, "num_training_steps", double.PositiveInfinity);
        double final = args.TryGetProperty("min_lr", out JsonElement least) && least.ValueKind == JsonValueKind.Number ? least.GetDouble() : peak * Number(args, "min_lr_rate", 0);
        switch (function)
        {
            case "get_constant_schedule":
                return (Schedule.Constant(peak), end);
            case "get_constant_schedule_with_warmup":
                return (LearningRates.Constant(peak, warmup), end);
            case "get_linear_schedule_with_warmup":
                return (LearningRates.Linear(peak, 0, warmup, end), end);
            case "get_cosine_schedule_with_warmup" or "get_cosine_with_min_lr_schedule_with_warmup":
                double cycles = Number(args, "num_cycles", 0.5);
                return (cycles == 0.5 ? LearningRates.Cosine(peak, final, warmup, end) : LearningRates.CosineCycles(peak, final, warmup, end, cycles), end);
            case "get_cosine_with_hard_restarts_schedule_with_warmup":
                return (LearningRates.CosineRestarts(peak, 0, warmup, end, (int)Number(args, "num_cycles", 1)), double.PositiveInfinity);
            case "get_cosine_with_min_lr_schedule_with_warmup_lr_rate":
                // Its warm-up reaches the peak one step early, and everything after it is early by one step too.
                return (LearningRates.Decay(DecayShape.Cosine, peak, final, warmup - 1, end - 1).WithWarmup(warmup - 1, peak, Number(args, "warmup_lr_rate", 0)), end - 1);
            case "get_inverse_sqrt_schedule":
                return (LearningRates.InverseSquareRoot(peak, 0, warmup, Number(args, "timescale", warmup)), end);
            case "get_polynomial_decay_schedule_with_warmup":
                return (LearningRates.Polynomial(peak, Number(args, "lr_end", 1e-7), warmup, end, Number(args, "power", 1)), end);
            case "get_wsd_schedule":
                double decay = Number(args, "num_decay_steps", 0), ratio = Number(args, "min_lr_ratio", 0);
                double start = args.TryGetProperty("num_stable_steps", out JsonElement stable) ? warmup + stable.GetDouble() : end - decay;
                Schedule falling = LearningRates.Decay(Shape(Text(args, "decay_type", "cosine")), peak, ratio * peak, start, start + decay);
                return (falling.WithWarmup(warmup, peak, ratio, Shape(Text(args, "warmup_type", "linear"))), double.PositiveInfinity);
            default:
                throw new NotSupportedException($"The recording has the schedule {function}.");
        }
    }

    private static Schedule OfMegatron(JsonElement args)
    {
        double peak = Number(args, "max_lr", 0), final = Number(args, "min_lr", 0), warmup = Number(args, "lr_warmup_steps", 0), end = Number(args, "lr_decay_steps", 0);
        double start = Number(args, "init_lr", 0) / peak;
        return Text(args, "lr_decay_style", "") switch
        {
            "constant" => Schedule.Constant(peak).WithWarmup(warmup, peak, start),
            "cosine" => LearningRates.Decay(DecayShape.Cosine, peak, final, warmup, end).WithWarmup(warmup, peak, start),
            "linear" => LearningRates.Decay(DecayShape.Linear, peak, final, warmup, end).WithWarmup(warmup, peak, start),
            "inverse-square-root" => LearningRates.InverseSquareRoot(peak, final, warmup, warmup).Then(end + 1, Schedule.Constant(final)),
            "WSD" => LearningRates.WarmupStableDecay(Shape(Text(args, "lr_wsd_decay_style", "")), peak, final, warmup, Number(args, "wsd_decay_steps", 0), end),
            string style => throw new NotSupportedException($"The recording has the style {style}."),
        };
    }

    private static Schedule WeightDecay(JsonElement args)
    {
        double start = Number(args, "start_wd", 0), end = Number(args, "end_wd", 0), steps = Number(args, "wd_incr_steps", 0);
        return Text(args, "wd_incr_style", "") switch
        {
            "constant" => Schedule.Constant(end),
            string style => LearningRates.Decay(Shape(style), start, end, 0, steps),
        };
    }

    private static DecayShape Shape(string name) => name switch
    {
        "linear" => DecayShape.Linear,
        "cosine" => DecayShape.Cosine,
        "exponential" => DecayShape.Exponential,
        "minus_sqrt" or "1-sqrt" => DecayShape.OneMinusRoot,
        _ => throw new NotSupportedException($"The recording has the shape {name}."),
    };

    private static BatchSize Ramp(JsonElement args) => new(
        (long)Number(args, "start_tokens", 0), (long)Number(args, "end_tokens", 0), Number(args, "ramp_tokens", 0), (long)Number(args, "multiple", 0));

    private void Compare(JsonElement json, Schedule schedule, string key, double scale, double last)
    {
        string name = json.GetProperty("name").GetString()!;
        JsonElement values = json.GetProperty(key);
        int first = int.Parse(json.GetProperty("steps").GetString()!.Split("..")[0], System.Globalization.CultureInfo.InvariantCulture);
        for (int i = 0; i < values.GetArrayLength(); i++)
        {
            if (first + i <= last)
                Near($"{name} at {first + i}", values[i].GetDouble(), schedule.At(first + i), scale);
            else
                Assert.Equal(schedule.At(last), schedule.At(first + i));
        }

        output.WriteLine($"{name}: {values.GetArrayLength()} values of {key}");
    }

    private static void Near(string what, double expected, double actual, double scale) =>
        Assert.True(Math.Abs(expected - actual) <= (1e-8 * Math.Abs(expected)) + (1e-9 * scale), $"{what}: {actual:g9} instead of {expected:g9}");

    private static double Number(JsonElement args, string name, double otherwise) =>
        args.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.Number ? value.GetDouble() : otherwise;

    private static string Text(JsonElement args, string name, string otherwise) => args.TryGetProperty(name, out JsonElement value) ? value.GetString()! : otherwise;
}
