using System.Text;
using System.Text.RegularExpressions;

namespace Glimmer.Environments.Text;

/// <summary>A word or a punctuation mark between which <see cref="SentenceSplitter"/> decides.</summary>
internal sealed partial class PunktToken
{
    public PunktToken(string text)
    {
        Text = text;
        Type = Number().Replace(text.ToLowerInvariant(), "##number##");
        Rune first = Rune.GetRuneAt(text, 0);
        (IsFirstUpper, IsFirstLower) = (PythonCharacters.IsUpper(first), PythonCharacters.IsLower(first));
    }

    /// <summary>As written; never empty.</summary>
    public string Text { get; }

    /// <summary>Lower case, numbers all the same.</summary>
    public string Type { get; }

    public bool IsFirstUpper { get; }

    public bool IsFirstLower { get; }

    public bool EndsSentence { get; set; }

    public bool IsAbbreviation { get; set; }

    public bool IsEllipsis { get; set; }

    /// <summary>One letter and a dot.</summary>
    public bool IsInitial => Initial().IsMatch(Text);

    /// <summary>The type without its dot.</summary>
    public string TypeWithoutDot => Type.Length > 1 && Type[^1] == '.' ? Type[..^1] : Type;

    /// <summary>The type without its dot if that ends a sentence.</summary>
    public string TypeWithoutSentenceDot => EndsSentence ? TypeWithoutDot : Type;

    [GeneratedRegex(@"^-?[.,]?\d[\d,.\-]*\.?$")]
    private static partial Regex Number();

    [GeneratedRegex(@"^[\p{L}\p{Nl}\p{No}_]\.$")]
    private static partial Regex Initial();
}
