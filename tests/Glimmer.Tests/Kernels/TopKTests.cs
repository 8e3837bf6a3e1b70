using CsCheck;
using Glimmer.Kernels;

namespace Glimmer.Tests.Kernels;

public sealed class TopKTests
{
    [Fact]
    public void Ties_take_the_lower_index_and_negative_zero_equals_zero()
    {
        float[] values = [-1f, -0f, 0f, -0f, 0f, float.NegativeInfinity];
        int[] ids = new int[3];
        TopK.Select(values, ids);
        Assert.Equal([1, 2, 3], ids);

        // The same through the bisection: 40 of 100 zeros of both signs, one larger value at the end.
        float[] many = [.. Enumerable.Range(0, 100).Select(i => i == 99 ? 1f : i % 2 == 0 ? -0f : 0f)];
        int[] chosen = new int[40];
        TopK.Select(many, chosen);
        Assert.Equal([.. Enumerable.Range(0, 39), 99], chosen);
    }

    [Theory]
    [InlineData(3)]
    [InlineData(50)]
    public void A_value_that_is_not_a_number_is_an_error_that_names_the_index(int k)
    {
        var values = new float[60];
        values[17] = float.NaN;
        Assert.Contains("17", Assert.Throws<ArithmeticException>(() => TopK.Select(values, new int[k])).Message);
    }

    [Fact]
    public void More_than_there_are_is_refused() => Assert.Throws<ArgumentOutOfRangeException>(() => TopK.Select(new float[2], new int[3]));

    [Fact]
    public void Any_choice_equals_the_scalar_twin()
    {
        // Few distinct values make ties; bit patterns reach every exponent, infinities included.
        Gen<float> few = Gen.Int[-3, 3].Select(i => i * 0.5f);
        Gen<float> any = Gen.Float.Where(f => !float.IsNaN(f));
        Gen<float[]> values = Gen.OneOf(few.Array[0, 300], any.Array[0, 300], any.Array[1000, 2500]);
        values.SelectMany(v => Gen.Int[0, v.Length].Select(k => (v, k))).Sample(
            sample =>
            {
                int[] expected = new int[sample.k], actual = new int[sample.k];
                TopK.SelectScalar<float>(sample.v, expected);
                TopK.Select(sample.v, actual);
                Assert.Equal(expected, actual);
            },
            iter: 500,
            threads: 1);
    }
}
