namespace Glimmer.Data.Synthesis.Nano;

/// <summary>A family of Nano's records.</summary>
public enum NanoFamily
{
    /// <summary>Tool calls over generated tool sets, results, refusals.</summary>
    Tools,

    /// <summary>Arithmetic and word problems worked in the thought.</summary>
    Arithmetic,

    /// <summary>The trunk's own answers to <see cref="NanoPrompts"/>.</summary>
    OwnAnswers,

    /// <summary>Passages of books, the trunk's answers as plain text and as conversations in its own format, on which the model is to keep the trunk's distribution.</summary>
    Texts,

    /// <summary>Checkable instructions.</summary>
    Instructions,

    /// <summary>Training problems of GSM8K.</summary>
    Gsm8k,
}
