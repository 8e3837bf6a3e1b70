using Glimmer.Tensors;

namespace Glimmer.Kernels;

/// <summary>One product of a grouped call: <c>y[t, o] = sum_k x[t, k] w[o, k] (+ bias[o])</c>. The caller keeps all memory alive.</summary>
internal unsafe struct MatMulJob
{
    /// <summary>Input rows, <see cref="LdX"/> floats apart.</summary>
    public float* X;

    /// <summary>For each token the index of its row in <see cref="X"/>, or null for rows in order.</summary>
    public int* Gather;

    /// <summary>Distance of input rows in floats.</summary>
    public int LdX;

    /// <summary>Rows of the output. May be 0.</summary>
    public int Tokens;

    /// <summary>The weight <c>[O, K]</c>.</summary>
    public PackedMatrix Weights;

    /// <summary>Added once after the chain, [O], or null.</summary>
    public float* Bias;

    /// <summary>Whether the finished chains are added to what the output holds, one rounding; there is no bias then.</summary>
    public bool AddTo;

    /// <summary>Output rows, <see cref="LdY"/> floats apart. Must not overlap <see cref="X"/>, nor the output of another job.</summary>
    public float* Y;

    /// <summary>Distance of output rows in floats.</summary>
    public int LdY;
}

/// <summary>One weight gradient of a grouped call: <c>dw[o, k] = sum_t dy[t, o] x[t, k]</c>, a chain over the tokens.</summary>
internal unsafe struct WeightGradientJob
{
    /// <summary>Output gradients [Tokens, Outputs], <see cref="LdDY"/> floats apart.</summary>
    public float* DY;

    /// <summary>Distance of the rows of <see cref="DY"/> in floats.</summary>
    public int LdDY;

    /// <summary>Inputs [Tokens, Columns], <see cref="LdX"/> floats apart.</summary>
    public float* X;

    /// <summary>For each token the index of its row in <see cref="X"/>, or null for rows in order.</summary>
    public int* Gather;

    /// <summary>Distance of the rows of <see cref="X"/> in floats.</summary>
    public int LdX;

    /// <summary>Length of the chains. May be 0.</summary>
    public int Tokens;

    /// <summary>Rows of the weight.</summary>
    public int Outputs;

    /// <summary>Columns of the weight.</summary>
    public int Columns;

    /// <summary>Gradient [Outputs, Columns], row-major without gaps.</summary>
    public float* DW;

    /// <summary>How the chains start and end.</summary>
    public GradientMode Mode;
}

/// <summary>How a gradient that is a chain over tokens is combined with what the output holds.</summary>
internal enum GradientMode
{
    /// <summary>The chain starts from +0 and its result is stored.</summary>
    Start,

    /// <summary>The chain goes on from the stored running sum: several parts of one micro-batch.</summary>
    Continue,

    /// <summary>The chain starts from +0 and its result is added once: the next micro-batch.</summary>
    AddTo,
}
