namespace Glimmer.Data.Synthesis.Nano;

/// <summary>The values that a parameter takes: numbers of a range, or texts.</summary>
/// <param name="Minimum">Smallest number.</param>
/// <param name="Maximum">Largest number.</param>
/// <param name="Decimals">Digits behind the point.</param>
/// <param name="Texts">The texts, instead of numbers; null for numbers.</param>
/// <param name="MinItems">Fewest items of an array.</param>
/// <param name="MaxItems">Most items of an array; 0: it is no array.</param>
internal sealed record ParameterValues(double Minimum, double Maximum, int Decimals, IReadOnlyList<string>? Texts, int MinItems, int MaxItems);

/// <summary>A parameter of a function of the generated tool sets.</summary>
/// <param name="Names">Its possible names.</param>
/// <param name="Type">BFCL's name of its type: <c>integer</c>, <c>float</c>, <c>string</c>, <c>boolean</c>, or <c>array</c>.</param>
/// <param name="ItemType">Type of the items of an array.</param>
/// <param name="Description">What it is.</param>
/// <param name="Values">Its values.</param>
/// <param name="Phrase">How a question mentions an optional parameter, with {} for the value; null: it is required.</param>
internal sealed record FunctionParameter(IReadOnlyList<string> Names, string Type, string? ItemType, string Description, ParameterValues Values, string? Phrase)
{
    /// <summary>Whether a call may leave it out.</summary>
    public bool IsOptional => Phrase is not null;
}

/// <summary>A function of the generated tool sets, with what is asked of it.</summary>
/// <param name="Concept">What it is at heart, whatever its name: its key decides the split.</param>
/// <param name="Names">Its possible names.</param>
/// <param name="Descriptions">What it does.</param>
/// <param name="Parameters">Its parameters, required ones first.</param>
/// <param name="Questions">Questions that one call answers; {1} is the first required parameter.</param>
/// <param name="Result">Values of its result.</param>
/// <param name="Answer">The answer to the result, with {r}; {1} is the first required parameter.</param>
internal sealed record ToolFunction(
    string Concept, IReadOnlyList<string> Names, IReadOnlyList<string> Descriptions, IReadOnlyList<FunctionParameter> Parameters, IReadOnlyList<string> Questions, ParameterValues Result, string Answer)
{
    /// <summary>Key of the concept.</summary>
    public ulong Key => CorpusKey.Of("function", Concept);
}
