using System.Collections.Frozen;
using System.Globalization;

namespace Glimmer.Environments.Text;

/// <summary>How often each n-gram of 1 to 3 characters occurs in each of 55 languages, and which characters count as the same.</summary>
internal sealed class LanguageProfiles
{
    private static readonly Lazy<LanguageProfiles> s_instance = new(() => new LanguageProfiles());
    private readonly Dictionary<string, (int Language, double Share)[]> _grams = new(StringComparer.Ordinal);

    private LanguageProfiles()
    {
        var languages = new List<string>();
        var representatives = new Dictionary<char, char>();
        var marked = new Dictionary<(char Letter, char Mark), char>();
        var totals = new double[3];
        var shares = new Dictionary<string, List<(int, double)>>(StringComparer.Ordinal);
        foreach (string[] fields in GraderData.Lines("language-profiles.txt.gz"))
        {
            switch (fields)
            {
                case ["=", string same]:
                    foreach (char c in same)
                        representatives[c] = same[0];
                    break;
                case ["^", string mark, string letters, string combined]:
                    for (int i = 0; i < letters.Length; i++)
                        marked[(letters[i], mark[0])] = combined[i];
                    break;
                case ["#", string name, string one, string two, string three]:
                    languages.Add(name);
                    totals = [Number(one), Number(two), Number(three)];
                    break;
                case [string gram, string count]:
                    if (!shares.TryGetValue(gram, out List<(int, double)>? list))
                        shares[gram] = list = [];
                    list.Add((languages.Count - 1, Number(count) / totals[gram.Length - 1]));
                    break;
            }
        }

        foreach ((string gram, List<(int, double)> list) in shares)
            _grams[gram] = [.. list];
        Languages = languages;
        Representatives = representatives.ToFrozenDictionary();
        Marked = marked.ToFrozenDictionary();
    }

    /// <summary>The profiles, read at the first use.</summary>
    public static LanguageProfiles Instance => s_instance.Value;

    /// <summary>Codes of the languages, such as <c>en</c> and <c>zh-cn</c>.</summary>
    public IReadOnlyList<string> Languages { get; }

    /// <summary>CJK characters that are counted as another one.</summary>
    public FrozenDictionary<char, char> Representatives { get; }

    /// <summary>A Vietnamese letter and a combining mark as one character.</summary>
    public FrozenDictionary<(char Letter, char Mark), char> Marked { get; }

    /// <summary>The languages in which an n-gram occurs, ascending, and its share of their n-grams of that length; null when it occurs in none.</summary>
    public (int Language, double Share)[]? Find(string gram) => _grams.GetValueOrDefault(gram);

    private static double Number(string digits) => double.Parse(digits, CultureInfo.InvariantCulture);
}
