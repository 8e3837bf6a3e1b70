using Glimmer.Kernels;

namespace Glimmer.Tests.Kernels;

public sealed unsafe class KeyValueLayoutTests
{
    [Theory]
    [InlineData(1, 1, 0)]
    [InlineData(3, 20, 12)]
    [InlineData(1, 576, 512)]
    public void Keys_and_values_are_read_back_and_lie_where_the_format_says(int kvHeads, int keyDim, int valueDim)
    {
        var layout = new KeyValueLayout(kvHeads, keyDim, valueDim);
        Assert.Equal(64 * kvHeads * (keyDim + valueDim), layout.PageFloats);
        var page = new float[layout.PageFloats];
        float[] key = [.. Enumerable.Range(
            1, keyDim)], value = [.. Enumerable.Range(1000, valueDim)], keyBack = new float[keyDim], valueBack = new float[valueDim];
        fixed (float* pp = page, kp = key, vp = value, kb = keyBack, vb = valueBack)
        {
            foreach (int slot in new[] { 0, 15, 16, 63 })
            {
                int head = kvHeads - 1;
                layout.WriteKey(pp, head, slot, kp);
                layout.ReadKey(pp, head, slot, kb);
                Assert.Equal(key, keyBack);
                Assert.Equal(key[^1], page[head * keyDim * 64 + slot / 16 * keyDim * 16 + (keyDim - 1) * 16 + slot % 16]);
                if (valueDim == 0)
                    continue;
                layout.WriteValue(pp, head, slot, vp);
                layout.ReadValue(pp, head, slot, vb);
                Assert.Equal(value, valueBack);
                Assert.Equal(value[0], page[kvHeads * keyDim * 64 + head * valueDim * 64 + slot * valueDim]);
            }
        }

        Assert.Equal(4 * (keyDim + valueDim), page.Count(x => x != 0));
    }

    [Theory]
    [InlineData(6)]
    [InlineData(0)]
    public void A_step_is_stored_into_the_pages_of_its_sequences(int valueDim)
    {
        var layout = new KeyValueLayout(2, 5, valueDim);
        using var batch = new PagedBatch(layout, [(60, 10), (0, 1), (127, 1), (3, 0), (200, 1)], 1);
        const int KeyStride = 13, ValueStride = 17;
        float[] k = [.. Enumerable.Range(0, batch.Tokens * KeyStride)], v = [.. Enumerable.Range(5000, batch.Tokens * ValueStride)];
        using var team = new ThreadTeam(3);
        var key = new float[5];
        var value = new float[valueDim];
        fixed (float* kp = k, vp = v, keyPointer = key, valuePointer = value)
        {
            layout.Write(team, batch.Sequences, kp, KeyStride, valueDim == 0 ? null : vp, ValueStride);
            foreach (AttentionSequence sequence in batch.Sequences)
            {
                for (int t = 0; t < sequence.Tokens; t++)
                {
                    int position = sequence.FirstPosition + t, token = sequence.FirstToken + t;
                    for (int head = 0; head < 2; head++)
                    {
                        layout.ReadKey(sequence.Pages[position / 64], head, position % 64, keyPointer);
                        Assert.Equal(k[(token * KeyStride + head * 5)..(token * KeyStride + head * 5 + 5)], key);
                        if (valueDim == 0)
                            continue;
                        layout.ReadValue(sequence.Pages[position / 64], head, position % 64, valuePointer);
                        Assert.Equal(v[(token * ValueStride + head * valueDim)..(token * ValueStride + head * valueDim + valueDim)], value);
                    }
                }
            }
        }
    }
}
