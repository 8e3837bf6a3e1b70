namespace Glimmer.Training.Schedules;

/// <summary>How a value falls from its peak to its end.</summary>
public enum DecayShape
{
    /// <summary><c>1 - x</c>.</summary>
    Linear,

    /// <summary><c>(1 + cos(pi x)) / 2</c>.</summary>
    Cosine,

    /// <summary><c>1 - sqrt(x)</c>: the fall starts steeply.</summary>
    OneMinusRoot,

    /// <summary><c>2 * 0.5^x - 1</c> (Megatron-core).</summary>
    Exponential,
}

internal static class DecayShapes
{
    /// <summary>1 at x = 0, 0 at x = 1.</summary>
    public static double At(this DecayShape shape, double x) => shape switch
    {
        DecayShape.Linear => 1 - x,
        DecayShape.Cosine => 0.5 * (1 + Math.Cos(Math.PI * x)),
        DecayShape.OneMinusRoot => 1 - Math.Sqrt(x),
        DecayShape.Exponential => (2 * Math.Pow(0.5, x)) - 1,
        _ => throw new ArgumentOutOfRangeException(nameof(shape), shape, null),
    };
}
