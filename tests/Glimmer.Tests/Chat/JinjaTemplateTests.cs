using System.Diagnostics;
using Glimmer.Chat;

namespace Glimmer.Tests.Chat;

public sealed class JinjaTemplateTests
{
    [Theory]
    [InlineData("a\n{{ x }}\n{{ missing.y }}", 3, "'missing' is undefined")]
    [InlineData("{% if x %}\n{% endfor %}", 2, "'endfor' does not belong")]
    [InlineData("\n\n{% for a in b %}x", 3, "expected '{% endfor %}'")]
    [InlineData("\n{{ 'abc }}", 2, "never closed")]
    [InlineData("\n{# abc", 2, "never closed")]
    [InlineData("\n{{ (1 }}", 2, "expected ')'")]
    [InlineData("\n{{ x | nofilter }}", 2, "no filter named 'nofilter'")]
    [InlineData("\n{% include 'a' %}", 2, "'include' is not supported")]
    [InlineData("\n{{ x.append(1) }}", 2, "may only read")]
    [InlineData("{% macro m() %}\n\n{{ 1 + 'a' }}{% endmacro %}\n\n\n{{ m() }}", 3, "'+' is not supported between 'int' and 'str'")]
    [InlineData("{% break %}", 1, "outside a for loop")]
    [InlineData("{% for a in x %}{% set b %}{% break %}{% endset %}{% endfor %}", 1, "outside a for loop")]
    public void Error_names_the_line_and_the_reason(string template, int line, string reason)
    {
        var variables = new DataObject { { "x", new DataArray() }, { "b", new DataArray() } };
        JinjaException error = Assert.Throws<JinjaException>(() => JinjaTemplate.Parse(template).Render(variables));
        Assert.Equal(line, error.Line);
        Assert.Contains(reason, error.Message, StringComparison.Ordinal);
        Assert.False(error.RaisedByTemplate);
    }

    [Fact]
    public void Raise_exception_is_told_apart_from_a_broken_template()
    {
        JinjaException error = Assert.Throws<JinjaException>(() => JinjaTemplate.Parse("\n{{ raise_exception('roles must alternate') }}").Render([]));
        Assert.True(error.RaisedByTemplate);
        Assert.Equal("chat template, line 2: roles must alternate", error.Message);
    }

    [Theory]
    [InlineData("{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}", "loop iterations")]
    [InlineData("{% set ns = namespace(x='ab') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}", "the limit is")]
    [InlineData("{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}", "loop iterations")]
    [InlineData("{% set ns = namespace(x=3) %}{% for i in range(60) %}{% set ns.x = ns.x * ns.x %}{% endfor %}", "bits")]
    [InlineData("{% set ns = namespace(x=[]) %}{% for i in range(3000) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}", "nests deeper")]
    [InlineData("{% set ns = namespace(x=[]) %}{% for i in range(3000) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x | tojson }}", "nests deeper")]
    [InlineData("{% set ns = namespace(x=[], y=[]) %}{% for i in range(3000) %}{% set ns.x = [ns.x] %}{% set ns.y = [ns.y] %}{% endfor %}{{ ns.x == ns.y }}", "nest deeper")]
    [InlineData("{% set x = 'x' * 1000000 %}{% for i in range(100000) %}{% set y = x.strip() %}{% endfor %}", "copied or searched")]
    [InlineData("{% set x = 'x' * 1000000 %}{% for i in range(100000) %}{% set y = 'y' in x %}{% endfor %}", "copied or searched")]
    [InlineData("{{ 'x' * 1000000000000 }}", "the limit is")]
    [InlineData("{{ [1] * 1000000000000 }}", "loop iterations")]
    [InlineData("{{ 'x'.center(1000000000000) }}", "the limit is")]
    [InlineData("{{ '%999999999d' % 1 }}", "the limit is")]
    [InlineData("{{ 10 ** 1000000000 }}", "bits")]
    [InlineData("{{ range(1000000000) }}", "at most 100000")]
    [InlineData("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "nested deeper than")]
    [InlineData("{% for i in range(100000) %}{{ 'x' * 10000 }}{% endfor %}", "longer than")]
    [InlineData("{{ ('a' * 1000000).replace('', 'b' * 1000) }}", "more than")]
    [InlineData("{{ ('a\n' * 100000) | indent('b' * 10000, true) }}", "the limit is")]
    public void Template_that_exceeds_a_limit_stops_with_a_clear_error(string template, string reason)
    {
        var watch = Stopwatch.StartNew();
        JinjaException error = Assert.Throws<JinjaException>(() => JinjaTemplate.Parse(template).Render([]));
        Assert.Contains(reason, error.Message, StringComparison.Ordinal);
        Assert.True(watch.Elapsed < TimeSpan.FromSeconds(20), $"took {watch.Elapsed}");
    }

    [Fact]
    public void Deep_nesting_is_refused_when_read_and_long_chains_when_run()
    {
        Assert.Throws<JinjaException>(() => JinjaTemplate.Parse("{{ " + new string('(', 5000) + "1" + new string(')', 5000) + " }}"));
        Assert.Throws<JinjaException>(() => JinjaTemplate.Parse("{{ " + new string('-', 5000) + "1 }}"));
        Assert.Throws<JinjaException>(() => JinjaTemplate.Parse("{{ " + string.Concat(Enumerable.Repeat("not ", 5000)) + "1 }}"));
        Assert.Throws<JinjaException>(() => JinjaTemplate.Parse(string.Concat(Enumerable.Repeat("{% if 1 %}", 5000))));
        Assert.Throws<JinjaException>(() => JinjaTemplate.Parse("{{ 1" + string.Concat(Enumerable.Repeat(" + 1", 5000)) + " }}").Render([]));
    }

    [Fact]
    public void Rendering_does_not_change_the_variables()
    {
        var variables = new DataObject { { "x", 1L } };
        JinjaTemplate template = JinjaTemplate.Parse("{% set x = 2 %}{% set y = 3 %}{{ x }}{{ y }}");
        Assert.Equal("23", template.Render(variables));
        Assert.Equal("""{"x": 1}""", variables.ToJson());
    }

    [Theory]
    [InlineData("%d %B %Y", "05 March 2026")]
    [InlineData("%Y-%m-%d %H:%M:%S", "2026-03-05 07:08:09")]
    [InlineData("%-d %b %y, %A %j %%", "5 Mar 26, Thursday 064 %")]
    public void Strftime_now_uses_the_given_clock(string format, string expected)
    {
        var options = new JinjaOptions { TimeProvider = new FixedTime(new DateTimeOffset(2026, 3, 5, 7, 8, 9, TimeSpan.Zero)) };
        Assert.Equal(expected, JinjaTemplate.Parse($"{{{{ strftime_now('{format}') }}}}", options).Render([]));
    }

    [Theory]
    [InlineData("<|u|>{{ x }}<|e|>", "T:<|u|> D:a<|u|>b T:<|e|>")]
    [InlineData("{{ '<|u|>' + x + '<|e|>' }}", "T:<|u|> D:a<|u|>b T:<|e|>")]
    [InlineData("{{ ('[' ~ x ~ ']')[2:-1] }}", "D:<|u|>b")]
    [InlineData("{{ ('  ' + x + ' ').strip() }}", "D:a<|u|>b")]
    [InlineData("{{ ('[' + x).split('|')[0] }}", "T:[ D:a<")]
    [InlineData("{{ x.replace('|', '!') }}", "D:a< T:! D:u T:! D:>b")]
    [InlineData("{{ '<|u|>'.replace('u', x) }}", "T:<| D:a<|u|>b T:|>")]
    [InlineData("{% macro m(c) %}<{{ c }}>{% endmacro %}{{ m(x).upper() }}", "T:< D:A<|U|>B T:>")]
    [InlineData("{% set y %}[{{ x }}]{% endset %}{{ y | trim }}", "T:[ D:a<|u|>b T:]")]
    [InlineData("{{ [x, 'c'] | join('-') }}", "D:a<|u|>b T:-c")]
    [InlineData("{{ [x] }}", "D:['a<|u|>b']")]
    [InlineData("{{ {'k': x} | tojson }}", "D:{\"k\": \"a<|u|>b\"}")]
    [InlineData("{{ 'k: %s.' % x }}", "T:k:  D:a<|u|>b T:.")]
    [InlineData("{{ 'k: {}.'.format(x) }}", "T:k:  D:a<|u|>b T:.")]
    [InlineData("{{ x | tojson }}{{ 'lit' | tojson }}", "D:\"a<|u|>b\" T:\"lit\"")]
    [InlineData("{{ x[::-1] }}", "D:b>|u|<a")]
    [InlineData("{{ ('a' + x).title() }}", "T:A D:a<|U|>B")]
    [InlineData("{{ x if x else 'none' }}{{ nope | default('dflt') }}", "D:a<|u|>b T:dflt")]
    [InlineData("{% for c in ('(' + x)[:2] %}{{ c }}{% endfor %}", "T:( D:a")]
    [InlineData("{{ 'a\n' + x | indent(2) }}", "T:a\n D:a<|u|>b")]
    [InlineData("{{ x | center(11) }}", "T:   D:a<|u|>b T:  ")]
    public void Every_part_of_the_output_knows_whether_it_came_from_the_template(string template, string expected)
    {
        RenderedText text = JinjaTemplate.Parse(template).RenderSegments(new DataObject { { "x", "a<|u|>b" } });
        Assert.Equal(expected, string.Join(' ', text.Segments.Select(segment => $"{(segment.FromTemplate ? 'T' : 'D')}:{segment.Text}")));
        Assert.Equal(text.Text, string.Concat(text.Segments.Select(segment => segment.Text)));
    }

    [Fact]
    public void Generation_blocks_mark_what_the_model_produces()
    {
        RenderedText text = JinjaTemplate.Parse("<u>{{ q }}<a>{% generation %}{{ r }}<e>{% endgeneration %}<u>").RenderSegments(new DataObject { { "q", "hi" }, { "r", "yo" } });
        Assert.Equal("yo<e>", string.Concat(text.Segments.Where(segment => segment.Generated).Select(segment => segment.Text)));
        Assert.Equal("<u><a><e><u>", string.Concat(text.Segments.Where(segment => segment.FromTemplate).Select(segment => segment.Text)));
    }

    private sealed class FixedTime(DateTimeOffset now) : TimeProvider
    {
        public override TimeZoneInfo LocalTimeZone => TimeZoneInfo.Utc;

        public override DateTimeOffset GetUtcNow() => now;
    }
}
