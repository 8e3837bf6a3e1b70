using System.Globalization;
using System.Text.Json;
using CsCheck;
using Glimmer.Chat;

namespace Glimmer.Tests.Chat;

public sealed class DataValueTests
{
    [Theory]
    [InlineData("""{"b":1,"a":[1,2.50,1e10,-0,1E-7,null,true],"b":3}""", """{"b": 3, "a": [1, 2.5, 10000000000.0, 0, 1e-07, null, true]}""")]
    [InlineData("123456789012345678901234567890", "123456789012345678901234567890")]
    [InlineData("1e999", "1e999")]
    [InlineData("\"\\u00e9\\/\\u0001\\u007f\"", "\"é/\\u0001\u007f\"")]
    [InlineData(" [ ] ", "[]")]
    [InlineData("-0.0", "-0.0")]
    [InlineData("\"<&'>\u2028\"", "\"<&'>\u2028\"")]
    public void Json_is_written_as_Python_writes_it(string json, string expected) => Assert.Equal(expected, DataValue.Parse(json).ToJson());

    [Fact]
    public void Lone_surrogates_pass() => Assert.Equal("\ud83d", DataValue.Parse("\"\\ud83d\"").AsString);

    [Theory]
    [InlineData(1.0, "1.0")]
    [InlineData(0.1, "0.1")]
    [InlineData(1e15, "1000000000000000.0")]
    [InlineData(1e16, "1e+16")]
    [InlineData(123456789012345680.0, "1.2345678901234568e+17")]
    [InlineData(0.0001, "0.0001")]
    [InlineData(0.00001234, "1.234e-05")]
    [InlineData(5e-324, "5e-324")]
    [InlineData(1.7976931348623157e308, "1.7976931348623157e+308")]
    [InlineData(-2.5, "-2.5")]
    public void Float_prints_as_repr(double value, string expected) => Assert.Equal(expected, DataValue.From(value).ToString());

    [Theory]
    [InlineData("")]
    [InlineData("{")]
    [InlineData("[1,]")]
    [InlineData("{\"a\":1,}")]
    [InlineData("01")]
    [InlineData("1.")]
    [InlineData(".5")]
    [InlineData("+1")]
    [InlineData("NaN")]
    [InlineData("Infinity")]
    [InlineData("'a'")]
    [InlineData("\"a\nb\"")]
    [InlineData("\"\\x41\"")]
    [InlineData("\"\\u12")]
    [InlineData("tru")]
    [InlineData("1 2")]
    [InlineData("[1] // c")]
    public void Malformed_json_is_refused(string json)
    {
        Assert.False(DataValue.TryParse(json, out _));
        Assert.Throws<FormatException>(() => DataValue.Parse(json));
    }

    [Fact]
    public void Deep_json_is_refused_without_overflow()
    {
        Assert.True(DataValue.TryParse(new string('[', 512) + new string(']', 512), out _));
        Assert.False(DataValue.TryParse(new string('[', 1_000_000), out _));
        Assert.False(DataValue.TryParse(string.Concat(Enumerable.Repeat("{\"a\":", 100_000)), out _));
    }

    [Fact]
    public void Every_finite_float_round_trips_through_its_repr() => Gen.Double.Where(double.IsFinite).Sample(
        value => double.Parse(DataValue.From(value).ToString(), CultureInfo.InvariantCulture).Equals(value));

    [Fact]
    public void Any_text_parses_or_fails_without_an_exception() => Gen.String[Gen.Char["{}[]\",:\\u0123456789.eE-+truefalsn \n"], 0, 40].Sample(text =>
    {
        bool ours = DataValue.TryParse(text, out _);
        bool theirs = IsJson(text);
        return ours == theirs;
    });

    private static bool IsJson(string text)
    {
        try
        {
            JsonDocument.Parse(text).Dispose();
            return true;
        }
        catch (JsonException)
        {
            return false;
        }
    }
}
