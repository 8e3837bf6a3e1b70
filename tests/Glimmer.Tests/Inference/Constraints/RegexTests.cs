using System.Text.Json;
using Glimmer.Inference.Constraints;

namespace Glimmer.Tests.Inference.Constraints;

[Trait("Category", "Golden")]
public sealed class RegexTests
{
    /// <summary>Syntax that has no regular language, or no data in the class library.</summary>
    private static readonly string[] s_refusable = ["(?<=", "(?<!", "\\1", "\\k<", "\\p{Script", "\\P{Script", "\\p{sc=", "\\p{scx="];

    public static TheoryData<string> Cases => Recordings.Rows("regex.jsonl", "description");

    [SkippableTheory]
    [MemberData(nameof(Cases))]
    public void Expressions_match_what_ecmascript_matches(string row)
    {
        Fixtures.SkipIfAbsent(row);
        JsonElement line = Recordings.Line("regex.jsonl", row);
        string pattern = line.GetProperty("regex").GetString()!;
        var arena = new LanguageArena();
        Language whole, search;
        try
        {
            whole = RegexLanguage.Whole(arena, pattern);
            search = RegexLanguage.Search(arena, pattern);
        }
        catch (ConstraintException refused)
        {
            if (!line.TryGetProperty("ecma_error", out _))
                Assert.True(refused.Keyword is not null && s_refusable.Any(pattern.Contains), $"refused: {refused.Message}");
            return;
        }

        Assert.False(line.TryGetProperty("ecma_error", out _), "ECMAScript refuses the expression");
        var differences = new List<string>();
        Check(line, "accepts", "rejects", whole);
        Check(line, "search_accepts", "search_rejects", search);
        Assert.Empty(differences);

        void Check(JsonElement from, string accepts, string rejects, Language language)
        {
            var builder = new GrammarBuilder();
            int rule = new LanguageLowering(builder, arena).Rule(language, CharacterForm.Raw);
            Constraint? constraint = rule < 0 ? null : new Constraint(Recordings.Trie, Grammar.Build(builder, rule));
            foreach (string text in from.Strings(accepts))
            {
                if (constraint is null || !Recordings.Accepts(constraint, text))
                    differences.Add($"{accepts}: '{text}'");
            }

            foreach (string text in from.Strings(rejects))
            {
                if (constraint is not null && Recordings.Accepts(constraint, text))
                    differences.Add($"{rejects}: '{text}'");
            }
        }
    }
}
