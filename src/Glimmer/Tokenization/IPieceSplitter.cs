namespace Glimmer.Tokenization;

/// <summary>Finds the end of the next piece. Implementations are structs, so that the encoder's loop is compiled for each of them.</summary>
internal interface IPieceSplitter
{
    /// <summary>End of the piece that starts at <paramref name="p"/>; the text ends at <paramref name="end"/>, above <paramref name="p"/>.</summary>
    /// <param name="text">Valid UTF-8 with <see cref="Utf8Text.Padding"/> readable bytes behind <paramref name="end"/>.</param>
    /// <param name="p">Start of the piece.</param>
    /// <param name="end">End of the stretch; what lies behind is not looked at.</param>
    static abstract int Next(ref byte text, int p, int end);
}
