using CsCheck;
using Glimmer.Inference;

namespace Glimmer.Tests.Inference;

public class StopTextTests
{
    [Fact]
    public void Text_that_may_begin_a_stop_string_is_held_back()
    {
        var stop = new StopText(["END", "\n\n"]);
        Assert.Equal("a", stop.Append("aEN"));
        Assert.Equal("ENd", stop.Append("d"));
        Assert.Equal("x", stop.Append("x\n"));
        Assert.Equal("", stop.Append("\nmore"));
        Assert.Equal("\n\n", stop.Found);
        Assert.Equal("", stop.Append("more") + stop.Flush());
    }

    [Fact]
    public void Without_a_stop_string_every_character_comes_out_once() =>
        Gen.String[Gen.Char['a', 'c'], 0, 30].Array[0, 8].Sample(pieces =>
        {
            var stop = new StopText(["abcabcx", "ccccx"]);
            string text = string.Concat(pieces.Select(stop.Append)) + stop.Flush();
            return text == string.Concat(pieces);
        });

    [Fact]
    public void One_character_at_a_time_stops_at_the_first_stop_string_that_completes() =>
        Gen.String[Gen.Char['a', 'c'], 0, 40].Sample(text =>
        {
            string[] stops = ["abc", "cca"];
            var stop = new StopText(stops);
            string kept = string.Concat(text.Select(c => stop.Append(c.ToString()))) + stop.Flush();
            int end = stops.Select(s => text.IndexOf(s, StringComparison.Ordinal)).Where(at => at >= 0).DefaultIfEmpty(text.Length).Min();
            return kept == text[..end];
        });
}
