using Glimmer.Inference;
using Glimmer.Tokenization;

namespace Glimmer.Tests.Server;

/// <summary>What a constraint lets a model of <see cref="SmallVocabulary"/> write.</summary>
internal static class ConstrainedText
{
    /// <summary>A short text under a constraint: where the text may end it ends, else a token that closes something, else the first that is allowed.</summary>
    public static int[] Short(ITokenConstraint constraint)
    {
        Tokenizer tokenizer = SmallVocabulary.Tokenizer;
        IReadOnlyCollection<int> ends = WireServer.StopsOf(tokenizer);
        int[] closing = [.. ((string[])["</think>", "\"", "}", "]", "</arg_value>", "</tool_call>"]).Select(text => tokenizer.Encode(text, EncodeOptions.RenderedPrompt)).Where(ids => ids.Length == 1).Select(ids => ids[0])];
        var mask = new ulong[(tokenizer.VocabularySize + 63) / 64];
        var tokens = new List<int>();
        while (tokens.Count < 500)
        {
            constraint.Mask(mask);
            bool Allows(int id) => (mask[id >> 6] >> (id & 63) & 1) != 0;
            int next = ends.Concat(closing).Concat(Enumerable.Range(0, tokenizer.VocabularySize)).First(Allows);
            tokens.Add(next);
            if (ends.Contains(next))
                return [.. tokens];
            constraint.Accept(next);
        }

        throw new InvalidOperationException("The constraint does not let the text end.");
    }

    /// <summary>The short text, without its end.</summary>
    public static string Only(ITokenConstraint constraint) => SmallVocabulary.Tokenizer.Decode(Short(constraint).AsSpan()[..^1]);
}
