using Glimmer.Chat;
using Glimmer.Inference.Constraints;

namespace Glimmer.Tests.Inference.Constraints;

/// <summary>However a mask is found (whole subtrees, ready masks of characters), it holds exactly the tokens that are allowed one by one.</summary>
[Trait("Category", "Golden")]
public sealed class MaskPropertyTests
{
    private const string Tools = """
        {"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"text":{"type":"string"},"unit":{"enum":["celsius","fahrenheit"]},"n":{"type":"integer"}},"required":["text","unit"]}}}
        """;

    public static TheoryData<string, string> Cases => new()
    {
        { "schema", """{"type":"object","properties":{"name":{"type":"string"},"size":{"type":"integer"}},"required":["name"]}""" },
        { "schema", """{"type":"string","maxLength":5}""" },
        { "schema", """{"type":"array","items":{"type":"string","minLength":3,"maxLength":30}}""" },
        { "schema", """{"type":"object","additionalProperties":{"type":"string","pattern":"^[a-z]{2,6}-[0-9é]+$"}}""" },
        { "schema", "{}" },
        { "schema", """{"enum":["red","rot","rouge",1,12]}""" },
        { "regex", "[a-z]{2,9}( [a-zäöü]+)*" },
        { "regex", "([^a]{3}|[^b]{4})*x?" },
        { "regex", """[\s\S]{1,7}(?:\p{Lu}|[一-龥])*""" },
        { "lark", "start: \"<\" /[^<>]*/ \">\" start?" },
        { "tools", Tools },
    };

    [SkippableTheory]
    [MemberData(nameof(Cases))]
    public void Masks_hold_exactly_the_tokens_that_are_allowed(string kind, string text)
    {
        Skip.If(Fixtures.Folder(Path.Combine("tokenizer", "glm-32k")) is null);
        TokenTrie trie = Recordings.Trie;
        Constraint constraint = kind switch
        {
            "schema" => Constraint.FromJsonSchema(trie, text),
            "regex" => Constraint.FromRegex(trie, text),
            "lark" => Constraint.FromLark(trie, text),
            _ => Constraint.FromTools(trie, [new ToolDefinition((DataObject)DataValue.Parse(text))]),
        };
        var mask = new ulong[constraint.MaskLength];
        for (int walk = 0; walk < 2; walk++)
        {
            var random = new Random(walk);
            ConstraintMatcher matcher = constraint.Start();
            for (int step = 0; step < 8 && !matcher.IsEnded; step++)
            {
                matcher.Mask(mask);
                var allowed = new List<int>();
                for (int id = 0; id < trie.Tokenizer.VocabularySize; id++)
                {
                    bool expected = matcher.Allows(id);
                    Assert.True(expected == ((mask[id >> 6] >> (id & 63) & 1) == 1), $"walk {walk}, step {step}: token {id} is {(expected ? "allowed and not" : "forbidden and")} in the mask");
                    if (expected)
                        allowed.Add(id);
                }

                Assert.True(matcher.Accept(allowed[random.Next(allowed.Count)]));
            }
        }
    }
}
