using System.Globalization;

namespace Glimmer.Environments.Text;

/// <summary>What <see cref="SentenceSplitter"/> knows about English.</summary>
internal sealed class PunktParameters
{
    private static readonly Lazy<PunktParameters> s_english = new(() => new PunktParameters());
    private readonly Dictionary<string, OrthographicContext> _contexts = new(StringComparer.Ordinal);

    private PunktParameters()
    {
        foreach (string[] fields in GraderData.Lines("punkt-english.txt.gz"))
        {
            switch (fields)
            {
                case ["a", string abbreviation]:
                    Abbreviations.Add(abbreviation);
                    break;
                case ["s", string starter]:
                    SentenceStarters.Add(starter);
                    break;
                case ["c", string first, string second]:
                    Collocations.Add((first, second));
                    break;
                case ["o", string type, string bits]:
                    _contexts[type] = (OrthographicContext)int.Parse(bits, CultureInfo.InvariantCulture);
                    break;
            }
        }
    }

    /// <summary>The English parameters, read at the first use.</summary>
    public static PunktParameters English => s_english.Value;

    /// <summary>Lower case, without the final dot.</summary>
    public HashSet<string> Abbreviations { get; } = new(StringComparer.Ordinal);

    /// <summary>Words that often begin a sentence.</summary>
    public HashSet<string> SentenceStarters { get; } = new(StringComparer.Ordinal);

    /// <summary>Pairs of types around a dot that ends no sentence.</summary>
    public HashSet<(string First, string Second)> Collocations { get; } = [];

    /// <summary>In which places and cases a type was seen.</summary>
    public OrthographicContext ContextOf(string type) => _contexts.GetValueOrDefault(type);
}

/// <summary>Where and in which case a word was seen in training.</summary>
[Flags]
internal enum OrthographicContext
{
    None = 0,
    FirstUpper = 2,
    InsideUpper = 4,
    UnknownUpper = 8,
    FirstLower = 16,
    InsideLower = 32,
    UnknownLower = 64,
    Upper = FirstUpper | InsideUpper | UnknownUpper,
    Lower = FirstLower | InsideLower | UnknownLower,
}
