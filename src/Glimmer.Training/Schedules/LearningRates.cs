namespace Glimmer.Training.Schedules;

/// <summary>Learning rates: a linear warm-up from 0 to the peak, then a fall to the final value, which then stays.</summary>
/// <remarks>Numbers are steps or tokens. With a warm-up the rate of the very first step is 0, as in transformers and Megatron-core.</remarks>
public static class LearningRates
{
    /// <summary>
    /// <c>final + (peak - final) (1 + cos(pi (t - warmup) / (end - warmup))) / 2</c>. GLM-4.5: peak 2.5e-4, final 2.5e-5 at 23.1e12 tokens; GLM-5: 2e-4 to 4e-5.
    /// </summary>
    public static Schedule Cosine(double peak, double final, double warmup, double end) =>
        Decay(DecayShape.Cosine, peak, final, warmup, end).WithWarmup(warmup, peak);

    /// <summary>A straight fall from peak to final.</summary>
    public static Schedule Linear(double peak, double final, double warmup, double end) =>
        Decay(DecayShape.Linear, peak, final, warmup, end).WithWarmup(warmup, peak);

    /// <summary>Warm-up, then constant.</summary>
    public static Schedule Constant(double peak, double warmup) => Schedule.Constant(peak).WithWarmup(warmup, peak);

    /// <summary>A fall of any shape from <paramref name="start"/> to <paramref name="end"/>; the peak before, the final value after it.</summary>
    /// <remarks>For warm-up, stable, decay (WSD) the start lies behind the warm-up.</remarks>
    public static Schedule Decay(DecayShape shape, double peak, double final, double start, double end) => new Falling(shape, peak, final, start, end);

    /// <summary>Warm-up, constant, then a fall over the last <paramref name="decay"/> before <paramref name="end"/> (WSD).</summary>
    public static Schedule WarmupStableDecay(DecayShape shape, double peak, double final, double warmup, double decay, double end) =>
        Decay(shape, peak, final, Math.Max(end - decay, warmup), end).WithWarmup(warmup, peak);

    /// <summary>Warm-up, then <c>max(final, peak / sqrt((t + timescale - warmup) / timescale))</c>, without an end.</summary>
    /// <remarks>A timescale equal to the warm-up is the usual choice: <c>peak sqrt(warmup / t)</c>.</remarks>
    public static Schedule InverseSquareRoot(double peak, double final, double warmup, double timescale) =>
        new InverseRoot(peak, final, timescale, timescale - warmup).WithWarmup(warmup, peak);

    /// <summary>Warm-up, then <c>final + (peak - final)(1 - x)^power</c> with x from 0 to 1.</summary>
    public static Schedule Polynomial(double peak, double final, double warmup, double end, double power) =>
        new Power(peak, final, warmup, end, power).WithWarmup(warmup, peak);

    /// <summary>Warm-up, then cosine falls that each start at the peak again; final from the end on.</summary>
    public static Schedule CosineRestarts(double peak, double final, double warmup, double end, int cycles) =>
        new Cycles(peak, final, warmup, end, cycles, Restart: true).WithWarmup(warmup, peak);

    /// <summary>Warm-up, then a cosine that falls and rises again; final from the end on. Half a cycle is <see cref="Cosine"/>.</summary>
    public static Schedule CosineCycles(double peak, double final, double warmup, double end, double cycles) =>
        new Cycles(peak, final, warmup, end, 2 * cycles, Restart: false).WithWarmup(warmup, peak);

    private sealed record Falling(DecayShape Shape, double Peak, double Final, double Start, double End) : Schedule
    {
        public override double At(double t) => t >= End ? Final : t < Start ? Peak : Final + ((Peak - Final) * Shape.At((t - Start) / (End - Start)));
    }

    private sealed record InverseRoot(double Peak, double Final, double Timescale, double Shift) : Schedule
    {
        public override double At(double t) => Math.Max(Final, Peak / Math.Sqrt(Math.Max(t + Shift, 1) / Math.Max(Timescale, 1)));
    }

    private sealed record Power(double Peak, double Final, double Start, double End, double Exponent) : Schedule
    {
        public override double At(double t) => t >= End ? Final : Final + ((Peak - Final) * Math.Pow(1 - ((t - Start) / (End - Start)), Exponent));
    }

    private sealed record Cycles(double Peak, double Final, double Start, double End, double HalfCycles, bool Restart) : Schedule
    {
        public override double At(double t)
        {
            double x = (t - Start) / (End - Start);
            double phase = Restart ? HalfCycles * x % 1 : HalfCycles * x;
            return x >= 1 ? Final : Final + ((Peak - Final) * DecayShape.Cosine.At(phase));
        }
    }
}
