using System.Runtime.CompilerServices;

namespace Glimmer.Tokenization;

/// <summary>Builds the byte-pair models of a tokenizer: one that may produce every id, and one that never produces an added token.</summary>
internal static class TokenizerModels
{
    /// <summary>The model that may produce every id.</summary>
    public static BytePairEncoder Full(TokenizerDefinition definition)
    {
        int[] byteIds = ByteIds(definition.Pieces);
        return new BytePairEncoder(
            definition.Pieces, new MergeTable(definition.Merges, byteIds), byteIds, definition.UnknownId, definition.FusesUnknown);
    }

    /// <summary>
    /// The model for user text: as if the added tokens were not in the vocabulary. It is <paramref name="full"/> itself unless an added token
    /// can come from merging, from a single byte or from a direct lookup.
    /// </summary>
    public static Lazy<BytePairEncoder> Plain(TokenizerDefinition definition, BytePairEncoder full)
    {
        bool[] isAdded = new bool[definition.Tokens.Count];
        foreach (AddedToken token in definition.AddedTokens)
            isAdded[token.Id] = true;
        int[] byteIds = ByteIds(definition.Pieces);
        bool differs = definition.UnknownId >= 0 && isAdded[definition.UnknownId]
            || byteIds.Any(id => id >= 0 && isAdded[id])
            || definition.IgnoresMerges && definition.AddedTokens.Any(t => (definition.Tokens.Flags(t.Id) & TokenFlags.Bytes) != 0)
            || MakesAny(definition.Merges, isAdded);
        if (!differs)
            return new Lazy<BytePairEncoder>(full);
        return new Lazy<BytePairEncoder>(() =>
        {
            Merge[] merges = [.. definition.Merges.Select(m => isAdded[m.Result] ? m with { Result = -1 } : m)];
            int[] plainBytes = [.. byteIds.Select(id => id >= 0 && isAdded[id] ? -1 : id)];
            int unknown = definition.UnknownId >= 0 && isAdded[definition.UnknownId] ? -1 : definition.UnknownId;
            return new BytePairEncoder(
                definition.Pieces.Without(id => isAdded[id]), new MergeTable(merges, plainBytes), plainBytes, unknown, definition.FusesUnknown);
        });
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static bool MakesAny(Merge[] merges, bool[] isAdded)
    {
        foreach (ref readonly Merge merge in merges.AsSpan())
        {
            if (isAdded[merge.Result])
                return true;
        }

        return false;
    }

    private static int[] ByteIds(PieceTable pieces)
    {
        var ids = new int[256];
        Span<byte> one = stackalloc byte[1];
        for (int b = 0; b < 256; b++)
        {
            one[0] = (byte)b;
            ids[b] = pieces.IdOf(one);
        }

        return ids;
    }
}
