using Glimmer.Inference;

namespace Glimmer.Tests.Inference;

/// <summary>A constraint that always allows the same tokens.</summary>
internal sealed class AllowedTokens(int[] allowed) : ITokenConstraint
{
    public void Mask(Span<ulong> mask)
    {
        mask.Clear();
        foreach (int id in allowed)
            mask[id / 64] |= 1UL << (id % 64);
    }

    public void Accept(int token)
    {
    }
}
