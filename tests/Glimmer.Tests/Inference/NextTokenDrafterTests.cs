using Glimmer.Inference;
using Glimmer.Kernels;
using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Tensors;

namespace Glimmer.Tests.Inference;

[Trait("Category", "Golden")]
public class NextTokenDrafterTests
{
    public static TheoryData<string> Cases() => TinyModels.Names();

    [SkippableTheory]
    [MemberData(nameof(Cases))]
    public void Drafts_are_those_of_the_MTP_layer_over_the_whole_sequence(string name)
    {
        (Checkpoint checkpoint, CausalLm model) = TinyModels.Open(name);
        using (checkpoint)
        using (model)
        {
            Skip.If(model.NextToken is null, "the model has no MTP layer");
            Compare(model);
        }
    }

    [SkippableFact]
    public void Later_drafts_attend_to_the_keys_of_the_first_where_the_checkpoint_says_so()
    {
        Fixtures.SkipIfAbsent(Fixtures.Folder("models") is null ? "" : "models");
        string source = Path.Combine(Fixtures.Folder("models")!, "glm_moe_dsa");
        DirectoryInfo folder = Directory.CreateTempSubdirectory("glimmer-drafts-");
        try
        {
            foreach (string file in Directory.GetFiles(source))
                File.Copy(file, Path.Combine(folder.FullName, Path.GetFileName(file)));
            string config = Path.Combine(folder.FullName, "config.json");
            File.WriteAllText(config, File.ReadAllText(config).Replace("\"index_topk\"", "\"index_share_for_mtp_iteration\": true, \"index_topk\"", StringComparison.Ordinal));
            using Checkpoint checkpoint = Checkpoint.Open(folder.FullName);
            using var team = new ThreadTeam(1);
            using CausalLm model = checkpoint.LoadModel(team);
            Assert.True(model.Config.IndexShareForMtpIteration);
            Assert.True(Compare(model) > 0, "sharing the choice changes no draft: the test sees nothing");
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [SkippableTheory]
    [InlineData("glm4_moe_air", KeyValueType.F32)]
    [InlineData("glm4_moe_lite_mla", KeyValueType.BF16)]
    [InlineData("glm_moe_dsa", KeyValueType.F32)]
    [InlineData("glm_moe_dsa", KeyValueType.Int8)]
    public void Positions_of_a_pause_hold_zeros(string name, KeyValueType type)
    {
        Fixtures.SkipIfAbsent(Fixtures.Folder("models") is null ? "" : name);
        (Checkpoint checkpoint, CausalLm model) = TinyModels.Open(name);
        using (checkpoint)
        using (model)
        {
            model.CacheType = type;
            using var compute = new Compute(1);
            using var core = new EngineCore(model, compute, new EngineOptions { ContextLength = 200 }, null) { ForcedAcceptance = _ => false };
            core.Add(new Generation(new GenerationRequest { Prompt = Prompt(0), MaxTokens = 70 }, core.Cancel));
            List<int> passedOver = [];
            int compared = 0;
            while (core.HasWork)
            {
                core.Step();
                foreach (Sequence sequence in core.Running)
                {
                    if (sequence.DraftCount == 0)
                    {
                        passedOver.Add(sequence.Computed - 1);
                        continue;
                    }

                    Assert.Equal(ExpectedAfterPauses(model, sequence.Tokens.ToArray(), sequence.DraftCount, passedOver), sequence.Drafts[..sequence.DraftCount]);
                    compared += passedOver.Count > 0 ? 1 : 0;
                }
            }

            Assert.True(passedOver.Count > 40 && compared > 1);
        }
    }

    // With zeros at some positions of the MTP layer.
    private static int[] ExpectedAfterPauses(CausalLm model, int[] tokens, int count, List<int> zeros)
    {
        using var compute = new Compute(1);
        using KeyValueCache cache = model.NewCache();
        using CachedSequence sequence = cache.NewSequence();
        var batch = new Batch();
        int last = tokens.Length - 2;
        batch.AddCached(sequence, tokens.AsSpan(0, last + 1), 0);
        compute.Begin();
        Tensor hidden = model.Forward(compute, batch);
        for (int position = 0; position < last; position++)
        {
            if (zeros.Contains(position))
            {
                model.NextToken!.Skip(compute, sequence, position, position + 1);
                continue;
            }

            batch.Clear();
            batch.AddCached(sequence, tokens.AsSpan(position + 1, 1), position);
            model.NextToken!.Forward(compute, batch, Rows.Gather(compute, hidden, [position]));
        }

        return [.. model.NextToken!.Draft(compute, sequence, tokens.AsSpan(last + 1), last, Rows.Gather(compute, hidden, [last]), count).Tokens];
    }

    // Compares the drafts of several sequences together with those of each alone; how often the drafts would be others without a shared choice.
    private static int Compare(CausalLm model)
    {
        using var compute = new Compute(1);
        using var core = new EngineCore(model, compute, new EngineOptions { ContextLength = 200, PrefillTokens = 23, MixedPrefillTokens = 11 }, null);
        for (int i = 0; i < 3; i++)
            core.Add(new Generation(new GenerationRequest { Prompt = Prompt(i), MaxTokens = 14, Count = i == 1 ? 2 : 1 }, core.Cancel));
        int compared = 0, others = 0;
        while (core.HasWork)
        {
            core.Step();
            foreach (Sequence sequence in core.Running.Where(s => s.DraftCount > 0))
            {
                int[] tokens = sequence.Tokens.ToArray(), drafts = sequence.Drafts[..sequence.DraftCount];
                Assert.Equal(Expected(model, tokens, drafts.Length, null), drafts);
                if (model.Config.IndexShareForMtpIteration)
                    others += Expected(model, tokens, drafts.Length, false).SequenceEqual(drafts) ? 0 : 1;
                compared++;
            }
        }

        Assert.True(compared > 10);
        return others;
    }

    private static int[] Prompt(int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, 40 + (seed * 12)).Select(_ => random.Next(30))];
    }

    private static int[] Expected(CausalLm model, int[] tokens, int count, bool? shareSelection)
    {
        using var compute = new Compute(1);
        using var cache = new KeyValueCache(model.CacheSlots);
        using CachedSequence sequence = cache.NewSequence();
        var batch = new Batch();
        batch.AddCached(sequence, tokens.AsSpan(0, tokens.Length - 1), 0);
        compute.Begin();
        Tensor hidden = model.Forward(compute, batch);
        return [.. model.NextToken!.Draft(compute, sequence, tokens.AsSpan(1), 0, hidden, count, shareSelection).Tokens];
    }
}
