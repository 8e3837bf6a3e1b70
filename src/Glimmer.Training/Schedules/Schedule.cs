namespace Glimmer.Training.Schedules;

/// <summary>A value that changes during training: a learning rate, the weight of a loss, a batch size.</summary>
/// <remarks>
/// The argument is the training so far in whatever unit the schedule's own numbers have: steps taken or tokens seen, before the step that uses the value. GLM's recipes count tokens, so that a change of the
/// batch size does not move them. Everything is fp64.
/// </remarks>
public abstract record Schedule
{
    /// <summary>The value after <paramref name="t"/> steps or tokens.</summary>
    public abstract double At(double t);

    /// <summary>The same value all the time.</summary>
    public static Schedule Constant(double value) => new Steps([(0, value)]);

    /// <summary>Values that hold from a point on.</summary>
    /// <param name="values">Start of each and its value, in ascending order; the first holds before its start too.</param>
    public static Schedule Piecewise(params IReadOnlyList<(double From, double Value)> values) => new Steps(values);

    /// <summary>This schedule, then another one from a point on; the other one counts from there.</summary>
    public Schedule Then(double from, Schedule next) => new Sequence(this, from, next);

    /// <summary>This schedule behind a rise to <paramref name="peak"/>.</summary>
    /// <param name="length">Steps or tokens of the rise.</param>
    /// <param name="peak">Where it ends.</param>
    /// <param name="start">Where it starts, as a share of the peak.</param>
    /// <param name="shape">The fall whose mirror image the rise is.</param>
    public Schedule WithWarmup(double length, double peak, double start = 0, DecayShape shape = DecayShape.Linear) => new Warmup(this, length, peak, start, shape);

    private sealed record Steps(IReadOnlyList<(double From, double Value)> Values) : Schedule
    {
        public override double At(double t)
        {
            double value = Values[0].Value;
            foreach ((double from, double next) in Values)
                value = t >= from ? next : value;
            return value;
        }
    }

    private sealed record Sequence(Schedule First, double From, Schedule Next) : Schedule
    {
        public override double At(double t) => t < From ? First.At(t) : Next.At(t - From);
    }

    private sealed record Warmup(Schedule Rest, double Length, double Peak, double Start, DecayShape Shape) : Schedule
    {
        public override double At(double t) => t < Length ? Peak * (Start + ((1 - Start) * (1 - Shape.At(t / Length)))) : Rest.At(t);
    }
}
