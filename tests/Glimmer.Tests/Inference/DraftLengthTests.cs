using Glimmer.Inference;

namespace Glimmer.Tests.Inference;

public class DraftLengthTests
{
    [Fact]
    public void Free_drafts_grow_with_what_is_accepted()
    {
        var length = new DraftLength(3);
        Assert.Equal(3, length.Next());
        for (int step = 0; step < 20; step++)
            length.Learn(3, 1);
        Assert.Equal(1, length.Next());
    }

    [Fact]
    public void Wrong_drafts_pause_longer_and_longer()
    {
        var length = new DraftLength(3);
        List<int> tries = [];
        for (int step = 0; step < 600; step++)
        {
            int drafts = length.Next();
            if (drafts > 0)
                tries.Add(step);
            length.Learn(drafts, 0);
        }

        int[] gaps = [.. tries.Zip(tries.Skip(1), (a, b) => b - a).SkipWhile(gap => gap == 1)];
        Assert.Equal([17, 33, 65, 129, 257], gaps.Take(5));
    }

    // Two tokens read nearly twice the experts of one: a draft has to be right nearly always.
    [Fact]
    public void Drafts_that_cost_as_much_as_tokens_are_tried_only_now_and_then()
    {
        var length = new DraftLength(3, [1, 1.9f, 2.7f, 3.5f]);
        int drafted = 0;
        for (int step = 0; step < 100; step++)
        {
            int drafts = length.Next();
            drafted += drafts;
            length.Learn(drafts, 0);
        }

        Assert.InRange(drafted, 3, 4);
        var good = new DraftLength(3, [1, 1.9f, 2.7f, 3.5f]);
        for (int step = 0; step < 60; step++)
        {
            int drafts = good.Next();
            good.Learn(drafts, drafts);
        }

        Assert.Equal(3, good.Next());
    }

    [Fact]
    public void Drafts_that_cost_more_than_tokens_are_never_made()
    {
        var length = new DraftLength(3, [1, 2.05f, 3, 4]);
        for (int step = 0; step < 600; step++)
            Assert.Equal(0, length.Next());
    }
}
