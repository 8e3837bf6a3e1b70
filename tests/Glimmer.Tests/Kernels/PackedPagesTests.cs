using Glimmer.Kernels;

namespace Glimmer.Tests.Kernels;

public sealed unsafe class PackedPagesTests
{
    public static TheoryData<KeyValueType, int, int, bool> Layouts => new()
    {
        { KeyValueType.BF16, 40, 20, false },
        { KeyValueType.BF16, 576, 512, true },
        { KeyValueType.Int8, 40, 20, false },
        { KeyValueType.Int8, 7, 33, false },
        { KeyValueType.Int8, 576, 512, true },
    };

    [Theory]
    [MemberData(nameof(Layouts))]
    public void Numbers_are_rounded_and_every_way_to_read_them_agrees(KeyValueType type, int keyDim, int valueDim, bool prefix)
    {
        const int Heads = 2;
        var layout = new KeyValueLayout(prefix ? 1 : Heads, keyDim, valueDim, type, prefix);
        var random = new Random(5);
        var page = new byte[layout.PageBytes];
        var k = new float[64][];
        var v = new float[64][];
        int head = layout.KvHeads - 1;
        fixed (byte* p = page)
        {
            for (int slot = 0; slot < 64; slot++)
            {
                k[slot] = Numbers(random, keyDim);
                v[slot] = prefix ? k[slot][..valueDim] : Numbers(random, valueDim);
                fixed (float* kp = k[slot], vp = v[slot])
                    PackedPages.Write(layout, p, head, slot, kp, vp);
            }

            var key = new float[keyDim];
            var value = new float[valueDim];
            var rows = new float[64 * layout.ValueStride];
            var lanes = new float[64 * keyDim];
            fixed (float* kp = key, vp = value, rp = rows, lp = lanes)
            {
                PackedPages.ReadRows(layout, p, head, 64, rp);
                if (!prefix)
                    PackedPages.ReadKeys(layout, p, head, 4, lp);
                for (int slot = 0; slot < 64; slot++)
                {
                    PackedPages.ReadKey(layout, p, head, slot, kp);
                    PackedPages.ReadValue(layout, p, head, slot, vp);
                    AssertRounded(type, k[slot], key);
                    AssertRounded(type, prefix ? k[slot] : v[slot], prefix ? key : value);
                    Assert.Equal(value, rows[(slot * layout.ValueStride)..(slot * layout.ValueStride + valueDim)]);
                    for (int d = 0; d < keyDim; d++)
                        Assert.Equal(key[d], prefix ? rows[slot * keyDim + d] : lanes[slot / 16 * keyDim * 16 + d * 16 + slot % 16]);
                }
            }
        }
    }

    [Theory]
    [InlineData(KeyValueType.F32, 4.0)]
    [InlineData(KeyValueType.BF16, 2.0)]
    [InlineData(KeyValueType.Int8, 1.0625)]
    public void A_page_takes_the_bytes_that_are_promised(KeyValueType type, double bytes)
    {
        Assert.Equal((long)(64 * 8 * 256 * bytes), new KeyValueLayout(8, 128, 128, type).PageBytes);
        Assert.Equal((long)(64 * 576 * bytes), new KeyValueLayout(1, 576, 512, type, ValueIsKeyPrefix: true).PageBytes);
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    [InlineData(float.NegativeInfinity)]
    public void What_is_not_finite_is_read_as_NaN_never_as_a_number(float bad)
    {
        foreach (KeyValueType type in new[] { KeyValueType.BF16, KeyValueType.Int8 })
        {
            var layout = new KeyValueLayout(1, 40, 40, type);
            var page = new byte[layout.PageBytes];
            var row = new float[40];
            row[33] = bad;
            var back = new float[40];
            fixed (byte* p = page)
            fixed (float* rp = row, bp = back)
            {
                PackedPages.Write(layout, p, 0, 3, rp, rp);
                PackedPages.ReadKey(layout, p, 0, 3, bp);
                Assert.False(float.IsFinite(back[33]));
                Assert.Equal(0, back[0]);
                PackedPages.ReadValue(layout, p, 0, 3, bp);
                Assert.False(float.IsFinite(back[33]));
            }
        }
    }

    [Fact]
    public void Tiny_numbers_become_zero_and_never_denormal()
    {
        var layout = new KeyValueLayout(1, 32, 0, KeyValueType.Int8);
        var page = new byte[layout.PageBytes];
        float[] row = [.. Enumerable.Range(0, 32).Select(i => i * 1e-36f)], back = new float[32];
        fixed (byte* p = page)
        fixed (float* rp = row, bp = back)
        {
            PackedPages.Write(layout, p, 0, 0, rp, null);
            PackedPages.ReadKey(layout, p, 0, 0, bp);
            Assert.All(back, x => Assert.Equal(0f, x));
        }
    }

    private static float[] Numbers(Random random, int count)
    {
        float size = MathF.Exp(random.NextSingle() * 8 - 4);
        return [.. Enumerable.Range(0, count).Select(_ => (random.NextSingle() * 2 - 1) * size)];
    }

    private static void AssertRounded(KeyValueType type, float[] expected, float[] actual)
    {
        for (int block = 0; block < expected.Length; block += 32)
        {
            float[] part = expected[block..Math.Min(block + 32, expected.Length)];
            float largest = part.Max(MathF.Abs);
            for (int i = 0; i < part.Length; i++)
            {
                // Half a step of bf16; half a step of 1/127 of the largest, widened by at most 1/128 where the scale was rounded up.
                float bound = type == KeyValueType.BF16 ? MathF.Abs(part[i]) / 256 : largest / 127 * 0.5f * (1 + 1f / 127);
                Assert.InRange(MathF.Abs(actual[block + i] - part[i]), 0, bound);
            }
        }
    }
}
