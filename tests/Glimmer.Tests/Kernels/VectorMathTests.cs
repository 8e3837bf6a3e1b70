using System.Runtime.Intrinsics;
using Glimmer.Kernels;
using Xunit.Abstractions;

namespace Glimmer.Tests.Kernels;

public class VectorMathTests(ITestOutputHelper output)
{
    private static readonly float[] s_edges =
    [
        0f, -0f, 1f, -1f, float.Epsilon, -float.Epsilon, 88.72283f, 88.72284f, 88.8f, 1e10f, float.MaxValue, float.PositiveInfinity,
        -87.33653f, -87.33654f, -87.33655f, -87.4f, -1e10f, float.MinValue, float.NegativeInfinity, 0.34657f, -0.34657f, 88.3763f, -86.98998f,
    ];

    [Fact]
    public void Exp_is_within_one_part_in_ten_million()
    {
        double worst = 0;
        for (float x = -87.33f; x < 88.72f; x += 0.000137f)
            worst = Math.Max(worst, Math.Abs(VectorMath.Exp(x) / Math.Exp(x) - 1));
        output.WriteLine($"largest relative error {worst:E2}");
        Assert.True(worst < 1e-7, $"largest relative error {worst:E2}");
    }

    [Fact]
    public void Exp_leaves_no_denormal_and_keeps_the_limits()
    {
        Assert.Equal(1f, VectorMath.Exp(0f));
        Assert.Equal(1f, VectorMath.Exp(-0f));
        Assert.Equal(0f, VectorMath.Exp(-87.33655f));
        Assert.True(VectorMath.Exp(-87.33654f) >= 1.17549435e-38f);
        Assert.True(float.IsFinite(VectorMath.Exp(88.72283f)));
        Assert.Equal(float.PositiveInfinity, VectorMath.Exp(88.72284f));
        Assert.Equal(float.PositiveInfinity, VectorMath.Exp(float.PositiveInfinity));
        Assert.Equal(0f, VectorMath.Exp(float.NegativeInfinity));
        Assert.True(float.IsNaN(VectorMath.Exp(float.NaN)));
        Assert.True(float.IsNaN(VectorMath.Exp(BitConverter.Int32BitsToSingle(0x7fc00001))));
    }

    [Fact]
    public void Exp_has_the_same_bits_in_every_form()
    {
        var random = new Random(1);
        for (int i = 0; i < 300_000; i++)
        {
            float x = i < s_edges.Length ? s_edges[i]
                : i % 2 == 0 ? random.NextSingle() * 200 - 100
                : BitConverter.Int32BitsToSingle(random.Next(int.MinValue, int.MaxValue));
            if (float.IsNaN(x))
                continue;
            int expected = BitConverter.SingleToInt32Bits(VectorMath.Exp(x));
            Assert.Equal(expected, BitConverter.SingleToInt32Bits(VectorMath.Exp(Vector128.Create(x))[i & 3]));
            Assert.Equal(expected, BitConverter.SingleToInt32Bits(VectorMath.Exp(Vector256.Create(x))[i & 7]));
            Assert.Equal(expected, BitConverter.SingleToInt32Bits(VectorMath.Exp(Vector512.Create(x))[i & 15]));
            Assert.Equal(expected, BitConverter.SingleToInt32Bits(VectorMath.Exp<float>(x)));
        }

        Assert.True(float.IsNaN(VectorMath.Exp(Vector512.Create(BitConverter.Int32BitsToSingle(0x7fc00001)))[3]));
        Assert.True(float.IsNaN(VectorMath.Exp(Vector128.Create(float.NaN))[3]));
    }

    [Fact]
    public void Exp_of_doubles_is_exact() => Assert.Equal(Math.Exp(0.3), VectorMath.Exp(0.3));
}
