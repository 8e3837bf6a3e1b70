using System.Runtime.InteropServices;
using System.Text.Json;
using Glimmer.Formats;
using Glimmer.Kernels;
using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Tensors;
using Xunit.Abstractions;

namespace Glimmer.Tests.Models;

/// <summary>Tiny models in GGUF files and quantised safetensors checkpoints, with fp32 activations, against recorded logits.</summary>
[Trait("Category", "Golden")]
public class QuantisedModelTests(ITestOutputHelper output)
{
    public static TheoryData<string> Cases() => Fixtures.Rows(
        Fixtures.Folder("formats") is { } folder
            ? new[] { "gguf", "safetensors" }.Select(kind => Path.Combine(folder, kind)).Where(Directory.Exists).SelectMany(Directory.GetDirectories)
                .Where(d => File.Exists(Path.Combine(d, "reference.safetensors"))).Select(d => Path.GetRelativePath(folder, d))
            : null);

    [SkippableTheory]
    [MemberData(nameof(Cases))]
    public void Logits_routing_key_choice_and_drafts_are_those_recorded(string name)
    {
        Fixtures.SkipIfAbsent(name);
        string folder = Path.Combine(Fixtures.Folder("formats")!, name);
        using JsonDocument json = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, "reference.json")));
        JsonElement reference = json.RootElement;
        using SafetensorsFile recorded = SafetensorsFile.Open(Path.Combine(folder, "reference.safetensors"));
        double tolerance = reference.GetProperty("tolerance_f32").GetDouble();
        string path = reference.TryGetProperty("file", out JsonElement file) ? Path.Combine(folder, file.GetString()!) : folder;
        int[] tokens = [.. MemoryMarshal.Cast<byte, long>(recorded.View("tokens").Bytes).ToArray().Select(t => (int)t)];

        using var team = new ThreadTeam(2);
        using Checkpoint checkpoint = Checkpoint.Open(path);
        using (CausalLm model = checkpoint.LoadModel(team))
            Compare(model, team, tokens, recorded, "logits", tolerance);
        if (recorded.Find("logits_latent_eps_1e6") is not null)
        {
            using CausalLm other = checkpoint.LoadModel(team, checkpoint.Config with { MlaLatentNormEps = 1e-6f });
            Compare(other, team, tokens, recorded, "logits_latent_eps_1e6", tolerance, details: false);
        }
    }

    private void Compare(CausalLm model, ThreadTeam team, int[] tokens, SafetensorsFile recorded, string key, double tolerance, bool details = true)
    {
        using var c = new Compute(team);
        c.Begin();
        var routing = new List<int[]>();
        var selections = new List<bool[]>();
        c.Observer = (observed, value) =>
        {
            if (observed.EndsWith(".experts", StringComparison.Ordinal))
                routing.Add(value.I32.ToArray());
            if (observed.EndsWith(".index_positions", StringComparison.Ordinal))
                selections.Add(Chosen(value, tokens.Length));
        };
        var batch = new Batch();
        batch.AddDocument(tokens);
        Tensor hidden = model.Forward(c, batch);
        Tensor logits = model.Logits(c, hidden);
        c.Observer = null;
        AssertClose(recorded.View(key).F32, logits.F32, tolerance, key);
        if (!details)
            return;
        if (recorded.Find("routing") is not null)
            Assert.Equal(recorded.View("routing").I32.ToArray(), routing.SelectMany(ids => ids));
        if (recorded.Find("dsa_selection") is not null)
            Assert.Equal(recorded.View("dsa_selection").Bytes.ToArray().Select(b => b != 0), selections.SelectMany(s => s));
        if (recorded.Find("mtp_logits") is not null)
        {
            var next = new Batch();
            next.AddDocument(tokens.AsSpan(1));
            Tensor z = model.NextToken!.Forward(c, next, Rows.Gather(c, hidden, [.. Enumerable.Range(0, tokens.Length - 1)]));
            AssertClose(recorded.View("mtp_logits").F32, model.NextToken.Logits(c, z).F32, tolerance, "mtp_logits");
        }
    }

    // [T, T] from lists of positions that end with -1.
    private static bool[] Chosen(Tensor positions, int tokens)
    {
        var chosen = new bool[tokens * tokens];
        for (int t = 0; t < tokens; t++)
        {
            foreach (int position in positions.I32.Slice(t * positions.Shape[1], positions.Shape[1]))
            {
                if (position >= 0)
                    chosen[(t * tokens) + position] = true;
            }
        }

        return chosen;
    }

    private void AssertClose(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual, double tolerance, string what)
    {
        Assert.Equal(expected.Length, actual.Length);
        double largest = 0;
        for (int i = 0; i < expected.Length; i++)
            largest = Math.Max(largest, Math.Abs((double)expected[i] - actual[i]));
        output.WriteLine($"{what}: largest difference {largest:g3} of {tolerance:g3}");
        Assert.InRange(largest, 0, tolerance);
    }
}
