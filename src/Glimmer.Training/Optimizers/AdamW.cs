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

    /// <summary>Factor of the learning rate.</summary>
    public double RateFactor { get; init; } = 1;

    /// <summary>Updates so far. A step without a gradient does not count.</summary>
    public long Steps { get; set; }
}

/// <summary>The update of AdamW, element by element in fp32.</summary>
/// <remarks>
/// <para><c>p = p (1 - lr decay); m = m + (1 - b1)(g - m); v = b2 v + (1 - b2) g^2; p = p - lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps)</c>, t
/// from 1. The factors are
/// computed in fp64 and rounded once. Loshchilov and Hutter 2019; order of operations as torch 2.13, <c>torch.optim.AdamW</c>.</para>
/// </remarks>
internal static unsafe class AdamW
{
    // Larger parameters are shared by the threads, smaller ones are the work of one.
    private const long Shared = 1 << 16;

    /// <summary>One update of each parameter.</summary>
    /// <param name="team">Threads: they share the elements, which changes no bits.</param>
    /// <param name="parameters">Parameters with their gradients.</param>
    /// <param name="learningRate">Rate of this step.</param>
    /// <param name="options">Decays and epsilon.</param>
    public static void Step(ThreadTeam team, IReadOnlyList<AdamWParameter> parameters, double learningRate, AdamWOptions options)
    {
        foreach (AdamWParameter parameter in parameters)
            parameter.Steps++;
        team.Run(new Job(parameters, learningRate, options));
    }

    private static void Update(AdamWParameter p, long i, long end, double learningRate, AdamWOptions options)
    {
        learningRate *= p.RateFactor;
        float keep = (float)(1 - (learningRate * p.WeightDecay)), meanRate = (float)(1 - options.Beta1), beta2 = (float)options.Beta2, squareRate = (float)(1 - options.Beta2);
        float rate = (float)(learningRate / (1 - Math.Pow(options.Beta1, p.Steps))), root = (float)Math.Sqrt(1 - Math.Pow(options.Beta2, p.Steps)), epsilon = (float)options.Epsilon;
        float* w = p.Parameter.Value!.F32Pointer;
        float* g = p.Parameter.Gradient!.F32Pointer;
        float* m = p.Mean.F32Pointer;
        float* v = p.Square.F32Pointer;
        for (; i <= end - Vector<float>.Count; i += Vector<float>.Count)
        {
            Vector<float> gradient = Vector.Load(g + i), mean = Vector.Load(m + i), square = Vector.Load(v + i);
            mean += (gradient - mean) * meanRate;
            square = (square * beta2) + (gradient * gradient * squareRate);
            Vector<float> denominator = (Vector.SquareRoot(square) / new Vector<float>(root)) + new Vector<float>(epsilon);
            mean.Store(m + i);
            square.Store(v + i);
            ((Vector.Load(w + i) * keep) - (mean * rate / denominator)).Store(w + i);
        }

        for (; i < end; i++)
        {
            m[i] += (g[i] - m[i]) * meanRate;
            v[i] = (v[i] * beta2) + (g[i] * g[i] * squareRate);
            w[i] = (w[i] * keep) - (m[i] * rate / ((MathF.Sqrt(v[i]) / root) + epsilon));
        }
    }

    private sealed class Job(IReadOnlyList<AdamWParameter> parameters, double learningRate, AdamWOptions options) : TeamJob
    {
        public override void Execute(int thread, int threads)
        {
            for (int i = 0; i < parameters.Count; i++)
            {
                long count = parameters[i].Parameter.Count;
                if (count >= Shared)
                    Update(parameters[i], count * thread / threads, count * (thread + 1) / threads, learningRate, options);
                else if (i % threads == thread)
                    Update(parameters[i], 0, count, learningRate, options);
            }
        }
    }
}
