using Glimmer.Chat;
using Glimmer.Tokenization;

namespace Glimmer.Inference;

/// <summary>From a rendered prompt to ids.</summary>
public static class PromptEncoding
{
    /// <summary>A rendered prompt as ids. Control tokens are recognised only where the template wrote them, never in message text.</summary>
    /// <param name="tokenizer">The vocabulary.</param>
    /// <param name="rendered">The prompt.</param>
    /// <param name="from">First character to encode.</param>
    public static int[] Encode(Tokenizer tokenizer, RenderedText rendered, int from = 0)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        return tokenizer.Encode(Segments(rendered, from));
    }

    /// <summary>The parts of a rendered prompt, with the trust that each deserves.</summary>
    /// <param name="rendered">The prompt.</param>
    /// <param name="from">First character.</param>
    public static List<TextSegment> Segments(RenderedText rendered, int from = 0)
    {
        ArgumentNullException.ThrowIfNull(rendered);
        var segments = new List<TextSegment>();
        int start = 0;
        foreach (RenderedSegment segment in rendered.Segments)
        {
            int skip = Math.Clamp(from - start, 0, segment.Text.Length);
            if (skip < segment.Text.Length)
                segments.Add(new TextSegment(segment.Text[skip..], segment.FromTemplate));
            start += segment.Text.Length;
        }

        return segments;
    }
}
