using System.Numerics;
using Glimmer.Kernels;
using Glimmer.Operations;
using Glimmer.Tensors;

namespace Glimmer.Training.Optimizers;

/// <summary>AdamW: Adam with decoupled weight decay. The defaults are GLM's.</summary>
public sealed record AdamWOptions
{
    /// <summary>Decay of the mean of the gradients.</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>Decay of the mean of the squared gradients.</summary>
    public double Beta2 { get; init; } = 0.95;

    /// <summary>Added to the root of the corrected second moment.</summary>
    public double Epsilon { get; init; } = 1e-8;
}

/// <summary>A parameter that AdamW updates, with its state.</summary>
internal sealed class AdamWParameter(Parameter parameter, Tensor mean, Tensor square, float weightDecay)
{
    public Parameter Parameter { get; } = parameter;

    /// <summary>Mean of the gradients, fp32.</summary>
    public Tensor Mean { get; } = mean;

    /// <summary>Mean of the squared gradients, fp32.</summary>
    public Tensor Square { get; } = square;

    /// <summary>Decoupled decay.</summary>
    public float WeightDecay { get; } = weightDecay;

    /// <summary>Updates so far. A step without a gradient does not count.</summary>
    public long Steps { get; set; }
}

/// <summary>The update of AdamW, element by element in fp32.</summary>
/// <remarks>
/// <para><c>p = p (1 - lr decay); m = m + (1 - b1)(g - m); v = b2 v + (1 - b2) g^2; p = p - lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps)</c>, t from 1. The factors are
/// computed in fp64 and rounded once. Loshchilov and Hutter 2019; order of operations as torch 2.13, <c>torch.optim.AdamW</c>.</para>
/// </remarks>
internal static unsafe class AdamW
{
    /// <summary>One update.</summary>
    /// <param name="team">Threads: they share the elements, which changes no bits.</param>
    /// <param name="p">The parameter with its gradient.</param>
    /// <param name="learningRate">Rate of this step.</param>
    /// <param name="options">Decays and epsilon.</param>
    public static void Step(ThreadTeam team, AdamWParameter p, double learningRate, AdamWOptions options)
    {
        p.Steps++;
        var factors = new Factors(
            (float)(1 - (learningRate * p.WeightDecay)), (float)(1 - options.Beta1), (float)options.Beta2, (float)(1 - options.Beta2),
            (float)(learningRate / (1 - Math.Pow(options.Beta1, p.Steps))), (float)Math.Sqrt(1 - Math.Pow(options.Beta2, p.Steps)), (float)options.Epsilon);
        team.Run(new Job(p, factors));
    }

    private readonly record struct Factors(float Keep, float MeanRate, float Beta2, float SquareRate, float Rate, float RootCorrection, float Epsilon);

    private sealed class Job(AdamWParameter p, Factors f) : TeamJob
    {
        public override void Execute(int thread, int threads)
        {
            long count = p.Parameter.Count, share = ((count / threads) + 15) & ~15L;
            (long i, long end) = (Math.Min(count, thread * share), thread == threads - 1 ? count : Math.Min(count, (thread + 1) * share));
            float* w = p.Parameter.Value!.F32Pointer;
            float* g = p.Parameter.Gradient!.F32Pointer;
            float* m = p.Mean.F32Pointer;
            float* v = p.Square.F32Pointer;
            for (; i <= end - Vector<float>.Count; i += Vector<float>.Count)
            {
                Vector<float> gradient = Vector.Load(g + i), mean = Vector.Load(m + i), square = Vector.Load(v + i);
                mean += (gradient - mean) * f.MeanRate;
                square = (square * f.Beta2) + (gradient * gradient * f.SquareRate);
                Vector<float> denominator = (Vector.SquareRoot(square) / new Vector<float>(f.RootCorrection)) + new Vector<float>(f.Epsilon);
                mean.Store(m + i);
                square.Store(v + i);
                ((Vector.Load(w + i) * f.Keep) - (mean * f.Rate / denominator)).Store(w + i);
            }

            for (; i < end; i++)
            {
                m[i] += (g[i] - m[i]) * f.MeanRate;
                v[i] = (v[i] * f.Beta2) + (g[i] * g[i] * f.SquareRate);
                w[i] = (w[i] * f.Keep) - (m[i] * f.Rate / ((MathF.Sqrt(v[i]) / f.RootCorrection) + f.Epsilon));
            }
        }
    }
}
