using System.Text.Json;
using Glimmer.Inference.Constraints;

namespace Glimmer.Tests.Inference.Constraints;

public sealed class GrammarTests
{
    public static TheoryData<string> Cases => Recordings.Rows("grammars.jsonl", "description");

    [SkippableTheory]
    [Trait("Category", "Golden")]
    [MemberData(nameof(Cases))]
    public void Grammars_accept_what_the_reference_of_their_notation_accepts(string row)
    {
        Fixtures.SkipIfAbsent(row);
        JsonElement line = Recordings.Line("grammars.jsonl", row);
        Check(line, "xgrammar", () => Constraint.FromEbnf(Recordings.Trie, line.GetProperty("ebnf").GetString()!));
        // Where they disagree, Lark's terminals were taken greedily, which ours are not: both notations then say the same.
        string lark = line.GetProperty("agree").GetBoolean() ? "llguidance" : "xgrammar";
        Check(line, lark, () => Constraint.FromLark(Recordings.Trie, line.GetProperty("lark").GetString()!));
    }

    [SkippableFact]
    public void Left_recursion_through_several_rules_derives_the_same_texts()
    {
        Fixtures.SkipIfAbsent(Fixtures.Folder("tokenizer") ?? "");
        Constraint constraint = Constraint.FromEbnf(Recordings.Trie, "root ::= a\na ::= b \"x\" | \"1\" | c?  a \"!\"\nb ::= a \"y\" | root \"z\" | \"2\"\nc ::= \"c\"*");
        Assert.All(["1", "2x", "1yx", "1zx", "2x!", "c1!", "ccc2xyx!"], text => Assert.True(Recordings.Accepts(constraint, text), text));
        Assert.All(["", "2", "1y", "x", "1x", "c1"], text => Assert.False(Recordings.Accepts(constraint, text), text));
    }

    private static void Check(JsonElement line, string engine, Func<Constraint> compile)
    {
        if (line.TryGetProperty(engine + "_refused", out _))
        {
            Assert.Throws<ConstraintException>(compile);
            return;
        }

        Constraint constraint = compile();
        JsonElement verdict = line.GetProperty(engine);
        Assert.All(verdict.Strings("accepts"), text => Assert.True(Recordings.Accepts(constraint, text), $"{engine} accepts '{text}'"));
        Assert.All(verdict.Strings("rejects"), text => Assert.False(Recordings.Accepts(constraint, text), $"{engine} rejects '{text}'"));
    }
}
