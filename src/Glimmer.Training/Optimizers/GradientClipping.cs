using Glimmer.Operations;

namespace Glimmer.Training.Optimizers;

/// <summary>Global norm of the gradients and clipping by it.</summary>
/// <remarks>
/// <c>g = g min(1, max / (norm + 1e-6))</c>. Squares are summed in fp64 within a tensor (docs/adr/0001, rule 3) and over the tensors in ascending order of
/// their names, so that gradients
/// near 1e20, whose squares overflow in fp32, are clipped properly.
/// </remarks>
internal static unsafe class GradientClipping
{
    /// <summary>Norm over all gradients; NaN or infinity when one of them is not finite.</summary>
    /// <param name="parameters">Parameters; those without a gradient are left out.</param>
    /// <param name="order">2, 1 or infinity (the largest absolute value).</param>
    public static double Norm(IEnumerable<Parameter> parameters, double order = 2)
    {
        double sum = 0;
        foreach (Parameter parameter in parameters.Where(p => p.Gradient is not null).OrderBy(p => p.Name, StringComparer.Ordinal))
        {
            switch (order)
            {
                case 2:
                    sum += SquaredNorm.Of(parameter);
                    break;
                case 1:
                    foreach (float value in parameter.Gradient!.F32)
                        sum += Math.Abs((double)value);
                    break;
                case double.PositiveInfinity:
                    foreach (float value in parameter.Gradient!.F32)
                        sum = Math.Max(sum, Math.Abs((double)value));
                    break;
                default:
                    throw new ArgumentOutOfRangeException(nameof(order), order, "Gradients are clipped by their 2-norm, their 1-norm or their largest value.");
            }
        }

        return order == 2 ? Math.Sqrt(sum) : sum;
    }

    /// <summary>The factor that brings <paramref name="norm"/> to at most <paramref name="maximum"/>.</summary>
    public static double Coefficient(double norm, double maximum) => Math.Min(1, maximum / (norm + 1e-6));

    /// <summary>Multiplies every gradient by <paramref name="factor"/>.</summary>
    public static void Scale(IEnumerable<Parameter> parameters, float factor)
    {
        if (factor == 1)
            return;
        foreach (Parameter parameter in parameters)
        {
            if (parameter.Gradient is not { } gradient)
                continue;
            foreach (ref float value in gradient.F32)
                value *= factor;
        }
    }

    /// <summary>The first parameter, by name, whose gradient has a value that is not finite; null when all are.</summary>
    public static Parameter? FirstNotFinite(IEnumerable<Parameter> parameters)
    {
        foreach (Parameter parameter in parameters.Where(p => p.Gradient is not null).OrderBy(p => p.Name, StringComparer.Ordinal))
        {
            foreach (float value in parameter.Gradient!.F32)
            {
                if (!float.IsFinite(value))
                    return parameter;
            }
        }

        return null;
    }
}
