using Glimmer.Environments.Scorers.Bfcl;

namespace Glimmer.Tests.Environments.Scorers;

public class PythonCallsTests
{
    [Theory]
    [InlineData("[f(x=2**10 - 3*4)]", "f(x=1012)")]
    [InlineData("[f(x=-7//2, y=-7%3)]", "f(x=-4, y=2)")]
    [InlineData("[f(x='ab'*2 + 'c')]", "f(x='ababc')")]
    [InlineData("[f(x=[1, -2.5, (3,)])]", "f(x=[1, -2.5, (3,)])")]
    [InlineData("[f(x=g(1, [2], k)[0:2])]", "f(x='g(1, [2], k)[0:2]')")]
    [InlineData("[f(x=date(2020, -(1+2)))]", "f(x='date(2020, -(1 + 2))')")]
    [InlineData("[f(x={'a': None, 1: True})]", "f(x={'a': None, 1: True})")]
    [InlineData("[f(x=r'\\d', y='\\x41\\u00e9')]", "f(x='\\\\d', y='Aé')")]
    public void Arguments_have_the_values_of_python(string text, string expected)
    {
        Assert.True(BfclDecoder.TryDecode(text, BfclFormat.Python, out IReadOnlyList<BfclCall> calls, out string? error), error);
        Assert.Equal(expected, Assert.Single(calls).ToString());
    }

    [Theory]
    [InlineData("[f(x=1, x=2)]")]
    [InlineData("[f(x=1, 2)]")]
    [InlineData("[f(x=007)]")]
    [InlineData("[f(x=1/0)]")]
    [InlineData("[f(x=a.b)]")]
    [InlineData("[f(x='a)]")]
    [InlineData("[f(x=[i for i in y])]")]
    [InlineData("[f(x=1 < 2)]")]
    [InlineData("[f(x=9**9**9)]")]
    [InlineData("The weather is nice.")]
    public void What_is_no_list_of_calls_is_refused(string text) => Assert.False(BfclDecoder.TryDecode(text, BfclFormat.Python, out _, out _));

    [Fact]
    public void Deep_nesting_is_refused_instead_of_ending_the_process()
    {
        string deep = new('(', 100_000);
        Assert.False(BfclDecoder.TryDecode($"[f(x={deep}1)]", BfclFormat.Python, out _, out _));
        Assert.False(BfclDecoder.TryDecode($"[function(x={deep}1)]", BfclFormat.Java, out _, out _));
    }

    [Fact]
    public void Numbers_of_all_types_compare_as_in_python()
    {
        Assert.Equal(PythonValue.Of(true), PythonValue.Of(1));
        Assert.Equal(PythonValue.Of(1.0), PythonValue.Of(1));
        Assert.NotEqual(PythonValue.Of(9007199254740993), PythonValue.Of(9007199254740992.0));
        Assert.NotEqual(PythonValue.List([]), PythonValue.Tuple([]));
        Assert.NotEqual(PythonValue.Of(double.NaN), PythonValue.Of(double.NaN));
    }

    [Theory]
    [InlineData("[Foo.bar(x=new HashMap<String, Object>() {{ put(\"a\", 1); }}, y = a + b)]", "Foo.bar(x='new HashMap<String,Object>()', y='a+b')")]
    [InlineData("[service.process(id=(int) 5L, f=x -> x + 1)]", "service.process(id='(int)5L', f='x->x+1')")]
    [InlineData("[service.process(list=List.of(1, 2), k=Foo.class)]", "service.process(list='List.of(1, 2)', k='Foo.class')")]
    public void Java_values_are_rendered_source_text(string text, string expected)
    {
        Assert.True(BfclDecoder.TryDecode(text, BfclFormat.Java, out IReadOnlyList<BfclCall> calls, out string? error), error);
        Assert.Equal(expected, Assert.Single(calls).ToString());
    }
}
