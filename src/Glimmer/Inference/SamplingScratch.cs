namespace Glimmer.Inference;

/// <summary>Memory for choosing one token. Samplers that run one after another share it.</summary>
internal sealed class SamplingScratch(int vocabulary)
{
    /// <summary>Scores while they are processed, [V].</summary>
    public float[] Scores { get; } = new float[vocabulary];

    /// <summary>Ids that may be drawn, [V].</summary>
    public int[] Kept { get; } = new int[vocabulary];

    /// <summary>Sort keys, [V].</summary>
    public ulong[] Keys { get; } = new ulong[vocabulary];

    /// <summary>Allowed tokens, a bit each.</summary>
    public ulong[] Mask { get; } = new ulong[(vocabulary + 63) / 64];
}
