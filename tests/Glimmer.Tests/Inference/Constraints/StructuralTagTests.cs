using Glimmer.Inference.Constraints;
using Glimmer.Tests.Server;
using Glimmer.Tokenization;

namespace Glimmer.Tests.Inference.Constraints;

/// <summary>Structural tags: which texts they take, in ordinary tokens and with marker tokens.</summary>
public class StructuralTagTests
{
    private const string Weather = """{"type":"tag","begin":"<function=weather>","content":{"type":"json_schema","json_schema":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"],"additionalProperties":false}},"end":"</function>"}""";
    private const string Clock = """{"type":"tag","begin":"<function=clock>","content":{"type":"const_string","value":"{}"},"end":"</function>"}""";
    private const string Called = """<function=weather>{"city": "Lima"}</function>""";
    private static readonly TokenTrie s_trie = new(SmallVocabulary.Tokenizer);

    public static TheoryData<string, string[], string[]> Formats() => new()
    {
        { """{"type":"const_string","value":"yes"}""", ["yes"], ["", "ye", "yess", "no"] },
        { """{"type":"regex","pattern":"[A-Z]{3}-[0-9]+"}""", ["ABC-1", "XYZ-12"], ["AB-1", "ABC-", "abc-1"] },
        { """{"type":"grammar","grammar":"root ::= \"a\" root \"b\" | \"c\""}""", ["c", "aacbb"], ["", "acbb", "aacb"] },
        { """{"type":"json_schema","json_schema":{"type":"integer"}}""", ["12", "-3"], ["", "1.5", "\"1\""] },
        { """{"type":"json_schema","any_order":true,"json_schema":{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"}},"required":["a","b"]}}""", ["{\"b\":1,\"a\":2}", "{\"a\":1,\"b\":2}"], ["{\"a\":1}", "{}"] },
        { """{"type":"any_text"}""", ["", "any <thing> at {all}"], [] },
        { """{"type":"any_text","excludes":["<no>"]}""", ["", "<n", "<no", "<<n>"], ["<no>", "a<<no>b"] },
        { """{"type":"sequence","elements":[{"type":"const_string","value":"a"},{"type":"or","elements":[{"type":"const_string","value":"b"},{"type":"const_string","value":"bc"}]},{"type":"optional","content":{"type":"const_string","value":"c"}}]}""", ["ab", "abc", "abcc"], ["a", "ac", "abccc"] },
        { """{"type":"plus","content":{"type":"const_string","value":"ab"}}""", ["ab", "abab"], ["", "aba"] },
        { """{"type":"star","content":{"type":"optional","content":{"type":"const_string","value":"x"}}}""", ["", "x", "xxx"], ["y"] },
        { """{"type":"repeat","min":2,"max":3,"content":{"type":"const_string","value":"x"}}""", ["xx", "xxx"], ["", "x", "xxxx"] },
        { """{"type":"repeat","min":1,"max":-1,"content":{"type":"const_string","value":"x"}}""", ["x", "xxxxx"], [""] },
        { """{"type":"tag","begin":"<a>","content":{"type":"any_text"},"end":["</a>","</b>"]}""", ["<a></a>", "<a>x</x></b>", "<a></</a>"], ["<a>", "<a></a>x", "x<a></a>", "<a></a></a>"] },
        { "{\"type\":\"triggered_tags\",\"triggers\":[\"<function=\"],\"tags\":[" + Weather + "," + Clock + "]}", ["", "No call.", "<functio", Called, "I look. " + Called + " and <function=clock>{}</function>."], ["<function=", "<function=x>{}</function>", "<function=clock>{}", "<function=weather>{}</function>"] },
        { "{\"type\":\"triggered_tags\",\"triggers\":[\"<function=\"],\"at_least_one\":true,\"tags\":[" + Weather + "]}", [Called, Called + " done", Called + Called], ["", "I look. " + Called] },
        { "{\"type\":\"triggered_tags\",\"triggers\":[\"<function=\"],\"stop_after_first\":true,\"tags\":[" + Weather + "]}", ["", "I look. " + Called], [Called + " done"] },
        { "{\"type\":\"triggered_tags\",\"triggers\":[\"<function=\"],\"excludes\":[\"<bad>\"],\"tags\":[" + Clock + "]}", ["<ba"], ["<bad>", "<function=clock>{}</function><bad>"] },
        { "{\"type\":\"tags_with_separator\",\"separator\":\", \",\"tags\":[" + Clock + "]}", ["", "<function=clock>{}</function>", "<function=clock>{}</function>, <function=clock>{}</function>"], [", ", "<function=clock>{}</function>, "] },
        { "{\"type\":\"tags_with_separator\",\"separator\":\",\",\"at_least_one\":true,\"stop_after_first\":true,\"tags\":[" + Clock + "]}", ["<function=clock>{}</function>"], ["", "<function=clock>{}</function>,<function=clock>{}</function>"] },
        { """{"type":"dispatch","rules":[["<n>",{"type":"regex","pattern":"[0-9]+;"}]]}""", ["", "free", "a<n>12;b<n>3;"], ["<n>", "<n>x;", "a<n>12"] },
        { """{"type":"dispatch","loop":false,"rules":[["<n>",{"type":"regex","pattern":"[0-9]+;"}]]}""", ["free", "a<n>12;"], ["a<n>12;b"] },
    };

    [Theory]
    [MemberData(nameof(Formats))]
    public void Texts_are_taken_or_not(string format, string[] accepted, string[] refused)
    {
        Constraint constraint = Constraint.FromStructuralTag(s_trie, $$"""{"type":"structural_tag","format":{{format}}}""");
        Assert.All(accepted, text => Assert.True(Recordings.Accepts(constraint, text), text));
        Assert.All(refused, text => Assert.False(Recordings.Accepts(constraint, text), text));
        // In the tokens that a model would write.
        Assert.All(accepted, text => Assert.True(TakesTokens(constraint, text), text));
        Assert.All(refused, text => Assert.False(TakesTokens(constraint, text), text));
    }

    [Fact]
    public void The_older_form_means_the_same()
    {
        Constraint constraint = Constraint.FromStructuralTag(
            s_trie, """{"type":"structural_tag","triggers":["<function="],"structures":[{"begin":"<function=weather>","schema":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]},"end":"</function>"}]}""");
        Assert.All(["", "No call.", "I look. " + Called + " Then?"], text => Assert.True(Recordings.Accepts(constraint, text), text));
        Assert.All(["<function=weather>{}</function>", "<function=other>"], text => Assert.False(Recordings.Accepts(constraint, text), text));
    }

    [Theory]
    [InlineData("I look.<tool_call>weather<arg_key>city</arg_key><arg_value>Lima</arg_value></tool_call>", true)]
    [InlineData("I look.<tool_call>weather</tool_call>", false)]
    [InlineData("I look.<tool_call>other</tool_call>", false)]
    [InlineData("<think>", false)]
    public void Calls_of_GLM_in_its_own_marker_tokens(string text, bool isTaken)
    {
        Constraint constraint = Constraint.FromStructuralTag(
            s_trie,
            """
            {"type":"triggered_tags","triggers":["<tool_call>"],"tags":[{"type":"tag","begin":"<tool_call>weather","end":{"type":"token","token":"</tool_call>"},
             "content":{"type":"json_schema","style":"glm_xml","json_schema":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}}]}
            """);
        Assert.Equal(isTaken, TakesTokens(constraint, text));
    }

    [Theory]
    [InlineData("""{"type":"any_text","max_tokens":5}""", "max_tokens")]
    [InlineData("""{"type":"any_tokens"}""", "any_tokens")]
    [InlineData("""{"type":"json_schema","style":"qwen_xml","json_schema":{}}""", "qwen_xml")]
    public void What_cannot_be_expressed_is_refused_by_name(string format, string keyword) =>
        Assert.Equal(keyword, Assert.Throws<ConstraintException>(() => Constraint.FromStructuralTag(s_trie, format)).Keyword);

    [Theory]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("""{"type":"tag","begin":"a","content":{"type":"any_text"}}""")]
    [InlineData("""{"type":"sequence","elements":{}}""")]
    [InlineData("""{"type":"repeat","min":3,"max":2,"content":{"type":"any_text"}}""")]
    [InlineData("""{"type":"repeat","min":100000,"max":-1,"content":{"type":"any_text"}}""")]
    [InlineData("""{"type":"token","token":-1}""")]
    [InlineData("""{"type":"triggered_tags","triggers":["<b"],"tags":[{"begin":"<a>","content":{"type":"any_text"},"end":""}]}""")]
    public void Malformed_tags_are_refused(string format) => Assert.Throws<ConstraintException>(() => Constraint.FromStructuralTag(s_trie, format));

    private static bool TakesTokens(Constraint constraint, string text)
    {
        ConstraintMatcher matcher = constraint.Start();
        var mask = new ulong[constraint.MaskLength];
        foreach (int token in SmallVocabulary.Tokenizer.Encode(text, EncodeOptions.RenderedPrompt))
        {
            matcher.Mask(mask);
            if ((mask[token >> 6] >> (token & 63) & 1) == 0)
                return false;
            matcher.Accept(token);
        }

        matcher.Mask(mask);
        return constraint.EndTokens.All(end => (mask[end >> 6] >> (end & 63) & 1) != 0);
    }
}
