namespace Glimmer.Chat;

/// <summary>A stretch of rendered text of one origin.</summary>
/// <param name="Text">The text.</param>
/// <param name="FromTemplate">True for text written in the template, false for text of messages, tools and variables.</param>
/// <param name="Generated">True inside a <c>{% generation %}</c> block, which marks what the model learns to produce.</param>
public readonly record struct RenderedSegment(string Text, bool FromTemplate, bool Generated)
{
    /// <summary>Mark that the text carried through the template (<see cref="StringValue.Marked"/>); 0 for none.</summary>
    internal int Mark { get; init; }
}

/// <summary>Rendered text and where its parts came from.</summary>
/// <remarks>
/// A tokenizer that protects against untrusted text recognises control tokens only where all of the token's text lies in segments from the template.
/// Segments are not token boundaries: ordinary text is encoded across them.
/// </remarks>
/// <param name="Text">The whole text.</param>
/// <param name="Segments">Its parts in order; neighbours differ in origin; their texts joined are <paramref name="Text"/>.</param>
public sealed record RenderedText(string Text, IReadOnlyList<RenderedSegment> Segments)
{
    internal static RenderedText From(TextBuilder output)
    {
        string text = output.ToString();
        var segments = new List<RenderedSegment>(output.Runs.Count);
        for (int i = 0; i < output.Runs.Count; i++)
        {
            (int start, TextOrigin origin) = output.Runs[i];
            int end = i + 1 < output.Runs.Count ? output.Runs[i + 1].Start : text.Length;
            segments.Add(new RenderedSegment(text[start..end], origin.HasFlag(TextOrigin.Template), origin.HasFlag(TextOrigin.Generated)) { Mark = StringValue.MarkOf(origin) });
        }

        return new RenderedText(text, segments);
    }
}
