using System.Runtime.InteropServices;
using Glimmer.Kernels;
using Glimmer.Tensors;

namespace Glimmer.Operations;

/// <summary>One low-rank addition to rows of one layer's output, between its two products.</summary>
/// <remarks>
/// Rows of several adapters share two job lists; each row's numbers are those of a run alone, because every output is a chain of its own. Steps live in a list of the context, so
/// that a step in steady state allocates nothing.
/// </remarks>
/// <param name="Factor">The addition.</param>
/// <param name="Weight">The layer's matrix.</param>
/// <param name="Bias">The layer's bias, which DoRA leaves unscaled, or null.</param>
/// <param name="Input">First input row.</param>
/// <param name="Gather">For each row the index of its input row, or null for rows in order.</param>
/// <param name="Output">First output row; rows follow one another.</param>
/// <param name="Count">Rows.</param>
internal unsafe readonly record struct LowRankStep(LowRankFactor Factor, Parameter Weight, Parameter? Bias, nint Input, nint Gather, nint Output, int Count)
{
    /// <summary>Adds what the adapters of a batch say to the outputs of linear layers of one input.</summary>
    /// <param name="c">Context.</param>
    /// <param name="x">Input, [T, K].</param>
    /// <param name="layers">Matrix, bias and output [T, O] of each layer; those without an adapter stay as they are.</param>
    public static void Apply(Compute c, Tensor x, ReadOnlySpan<(Parameter Weight, Parameter? Bias, Tensor Output)> layers)
    {
        // A block that is recomputed later runs without a tape at first, and drops the same elements.
        if (c.Tape is not null || c.Dropout is not null)
        {
            if (c.AdapterRuns is not null)
                throw new InvalidOperationException("Gradients are computed with one adapter for the whole batch: attach it to the model.");
            foreach ((Parameter weight, Parameter? bias, Tensor y) in layers)
                weight.Adapter?.AddTo(c, x, weight, bias, y);
            return;
        }

        List<LowRankStep> steps = c.LowRankSteps;
        steps.Clear();
        foreach ((Parameter weight, Parameter? bias, Tensor y) in layers)
        {
            if (!weight.IsAdapted)
                continue;
            if (c.AdapterRuns is not { } runs)
            {
                Plan(c, x, weight, bias, y, new AdapterRun(0, 0, x.Shape[0]));
                continue;
            }

            foreach (AdapterRun run in runs)
                Plan(c, x, weight, bias, y, run);
        }

        Run(c, steps);
    }

    /// <summary>Runs the steps that were planned in a list.</summary>
    public static void Run(Compute c, List<LowRankStep> steps)
    {
        if (steps.Count == 0)
            return;
        Workspace.Mark mark = c.Workspace.Save();
        int most = 0;
        long width = 0;
        foreach (LowRankStep step in steps)
        {
            most = Math.Max(most, step.Factor.A.Shape[0]);
            width += step.Count;
        }

        Tensor inner = c.Workspace.F32(checked((int)width), most);
        float* u = inner.F32Pointer;
        List<MatMulJob> jobs = c.MatMulJobs;
        jobs.Clear();
        foreach (LowRankStep step in steps)
        {
            int inputs = step.Factor.A.Shape[1];
            jobs.Add(new MatMulJob
            {
                X = (float*)step.Input,
                Gather = (int*)step.Gather,
                LdX = inputs,
                Tokens = step.Count,
                Weights = step.Factor.A.Packed(c.Team),
                Y = u,
                LdY = most,
            });
            u += (long)step.Count * most;
        }

        MatMul.Multiply(c.Team, CollectionsMarshal.AsSpan(jobs));
        jobs.Clear();
        u = inner.F32Pointer;
        foreach (LowRankStep step in steps)
        {
            int outputs = step.Factor.B.Shape[0];
            jobs.Add(new MatMulJob
            {
                X = u,
                LdX = most,
                Tokens = step.Count,
                Weights = step.Factor.B.Packed(c.Team),
                Y = c.Workspace.F32(step.Count, outputs).F32Pointer,
                LdY = outputs,
            });
            u += (long)step.Count * most;
        }

        MatMul.Multiply(c.Team, CollectionsMarshal.AsSpan(jobs));
        for (int i = 0; i < steps.Count; i++)
            steps[i].Factor.Add(c, jobs[i].Y, steps[i].Weight, steps[i].Bias, steps[i].Count, (float*)steps[i].Output);
        c.Workspace.Release(mark);
    }

    private static void Plan(Compute c, Tensor x, Parameter weight, Parameter? bias, Tensor y, AdapterRun run)
    {
        (int inputs, int outputs) = (weight.Shape[1], weight.Shape[0]);
        float* input = x.F32Pointer + ((long)run.First * inputs), output = y.F32Pointer + ((long)run.First * outputs);
        Adaptation? adaptation = weight.AdaptationOf(run.Adapter);
        if (adaptation?.Factor is { } factor)
            c.LowRankSteps.Add(new LowRankStep(factor, weight, bias, (nint)input, 0, (nint)output, run.Count));
        else if (adaptation?.Replacement is { } other)
            MatMul.Multiply(c.Team, input, inputs, run.Count, other.Packed(c.Team), bias is null ? null : bias.Vector, output, outputs);
    }
}
