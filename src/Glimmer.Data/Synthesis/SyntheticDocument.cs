namespace Glimmer.Data.Synthesis;

/// <summary>A generated text.</summary>
/// <param name="Task">Family and task, such as <c>arithmetic/add</c>.</param>
/// <param name="Key">Key of its (first) problem, see <see cref="CorpusKey"/>.</param>
/// <param name="Split">The split that all of its problems belong to.</param>
/// <param name="Text">The text, with control tokens where it shows conversations.</param>
/// <param name="EntropyBits">Information of the choices behind it: no model can code such texts with fewer bits on average, where different choices give different texts.</param>
public sealed record SyntheticDocument(string Task, ulong Key, CorpusSplit Split, string Text, double EntropyBits)
{
    /// <summary>The text as a document; its control tokens are meant.</summary>
    public Document ToDocument() => new($"{Task}/{Key:x16}", Text) { HasControlTokens = true };
}
