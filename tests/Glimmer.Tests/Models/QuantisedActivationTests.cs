using System.Runtime.InteropServices;
using System.Text.Json;
using Glimmer.Formats;
using Glimmer.Kernels;
using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Tensors;
using Xunit.Abstractions;

namespace Glimmer.Tests.Models;

/// <summary>Tiny GGUF models with 8-bit activations: near the recorded logits, and the same bits whatever a token is computed with.</summary>
[Trait("Category", "Golden")]
[Collection("Simd level")]
public class QuantisedActivationTests(ITestOutputHelper output)
{
    public static TheoryData<string> Cases() => Fixtures.Rows(
        Fixtures.Folder(Path.Combine("formats", "gguf")) is { } folder
            ? Directory.GetDirectories(folder).Where(HasBound).Select(d => Path.GetFileName(d)!)
            : null);

    [SkippableTheory]
    [MemberData(nameof(Cases))]
    public void Logits_stay_within_the_recorded_distance(string name)
    {
        Fixtures.SkipIfAbsent(name);
        using JsonDocument json = Reference(name);
        double bound = json.RootElement.GetProperty("q8_activations").GetProperty("rms_bound").GetDouble();
        using SafetensorsFile recorded = SafetensorsFile.Open(Path.Combine(Folder(name), "reference.safetensors"));
        int[] tokens = [.. MemoryMarshal.Cast<byte, long>(recorded.View("tokens").Bytes).ToArray().Select(t => (int)t)];
        using var team = new ThreadTeam(2);
        using Checkpoint checkpoint = Open(name, json);
        using CausalLm model = checkpoint.LoadModel(team);
        (_, List<int>[] exactChoices) = Run(model, team, tokens, ActivationType.F32);
        (float[] logits, List<int>[] choices) = Run(model, team, tokens, ActivationType.Q8);

        ReadOnlySpan<float> expected = recorded.View("logits").F32;
        int vocabulary = expected.Length / tokens.Length, same = 0;
        double squares = 0;
        for (int t = 0; t < tokens.Length; t++)
        {
            if (!exactChoices[t].SequenceEqual(choices[t]))
                continue;
            same++;
            for (int i = t * vocabulary; i < (t + 1) * vocabulary; i++)
                squares += Math.Pow((double)logits[i] - expected[i], 2);
        }

        double rms = Math.Sqrt(squares / Math.Max(1, same * vocabulary));
        output.WriteLine($"{same} of {tokens.Length} tokens choose alike; rms {rms:g3} of {bound:g3}");
        Assert.NotEqual(0, same);
        Assert.InRange(rms, 0, bound);
    }

    [SkippableTheory]
    [MemberData(nameof(Cases))]
    public void Batch_size_chunks_threads_tape_and_instruction_set_change_no_bit(string name)
    {
        Fixtures.SkipIfAbsent(name);
        using JsonDocument json = Reference(name);
        using var team = new ThreadTeam(1);
        using Checkpoint checkpoint = Open(name, json);
        using CausalLm model = checkpoint.LoadModel(team);
        EqualBits.Check(model, [19, 33, 5], maxBatch: 3, ActivationType.Q8);
        EqualBits.CheckInstructionSets(model, 33, ActivationType.Q8);
    }

    // Logits, and for each token all experts and keys that were chosen.
    private static (float[] Logits, List<int>[] Choices) Run(CausalLm model, ThreadTeam team, int[] tokens, ActivationType activations)
    {
        using var c = new Compute(team) { Activations = activations };
        var choices = tokens.Select(_ => new List<int>()).ToArray();
        c.Begin();
        c.Observer = (observed, value) =>
        {
            if (!observed.EndsWith(".experts", StringComparison.Ordinal) && !observed.EndsWith(".index_positions", StringComparison.Ordinal))
                return;
            for (int t = 0; t < tokens.Length; t++)
                choices[t].AddRange(value.I32.Slice(t * value.Shape[1], value.Shape[1]));
        };
        var batch = new Batch();
        batch.AddDocument(tokens);
        return (model.Logits(c, model.Forward(c, batch)).F32.ToArray(), choices);
    }

    private static bool HasBound(string folder)
    {
        string path = Path.Combine(folder, "reference.json");
        if (!File.Exists(path))
            return false;
        using JsonDocument json = JsonDocument.Parse(File.ReadAllBytes(path));
        return json.RootElement.TryGetProperty("q8_activations", out JsonElement value) && value.ValueKind == JsonValueKind.Object;
    }

    private static string Folder(string name) => Path.Combine(Fixtures.Folder(Path.Combine("formats", "gguf"))!, name);

    private static JsonDocument Reference(string name) => JsonDocument.Parse(File.ReadAllBytes(Path.Combine(Folder(name), "reference.json")));

    private static Checkpoint Open(string name, JsonDocument json) =>
        Checkpoint.Open(Path.Combine(Folder(name), json.RootElement.GetProperty("file").GetString()!));
}
