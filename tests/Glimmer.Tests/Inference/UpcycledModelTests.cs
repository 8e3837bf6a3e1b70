using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Glimmer.Formats;
using Glimmer.Inference;
using Glimmer.Kernels;
using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Tensors;
using Glimmer.Tests.Models;
using Xunit.Abstractions;

namespace Glimmer.Tests.Inference;

/// <summary>
/// The embedded trunk as a mixture of experts: its feed-forward layers become the shared experts, and routed experts are added whose weights a recorded
/// recipe generates.
/// </summary>
public class UpcycledModelTests(EmbeddedModelFixture fixture, ITestOutputHelper output) : IClassFixture<EmbeddedModelFixture>
{
    private static string? Folder => SmolLm2Recordings.Folder is { } folder && Directory.Exists(Path.Combine(folder, "upcycled")) ? Path.Combine(folder, "upcycled") : null;

    public static TheoryData<string> Variants()
    {
        if (Folder is null)
            return Fixtures.Rows(null);
        using JsonDocument recipe = Recipe();
        return Fixtures.Rows(recipe.RootElement.GetProperty("variants").EnumerateObject().Select(variant => variant.Name));
    }

    [SkippableTheory]
    [Trait("Category", "Golden")]
    [MemberData(nameof(Variants))]
    public void Added_experts_give_the_recorded_logits(string variant)
    {
        Fixtures.SkipIfAbsent(variant);
        using JsonDocument recipe = Recipe();
        bool zero = variant == "zero";
        using var trunk = Checkpoint.Open(fixture.Loaded.Path);
        using WeightSource weights = Upcycle(trunk.Weights, recipe.RootElement, zero);
        ModelConfig config = ModelConfig.Parse(Encoding.UTF8.GetBytes(recipe.RootElement.GetProperty("config").GetRawText()), "recipe.json");
        Assert.Equal(29, config.SparseLayers.Count(sparse => sparse));
        using CausalLm model = ModelRegistry.Build(config, new ParameterLoader(weights, fixture.Loaded.Team));
        using var c = new Compute(fixture.Loaded.Team);
        foreach (JsonElement recorded in recipe.RootElement.GetProperty("cases").EnumerateArray())
        {
            if (zero)
                CompareWithTrunk(model, c, recorded);
            else
                CompareWithRecording(model, c, recorded);
        }
    }

    // Experts whose down-projection is zero change no bit.
    private void CompareWithTrunk(CausalLm model, Compute c, JsonElement recorded)
    {
        var batch = new Batch();
        batch.AddDocument(SmolLm2Recordings.Integers(recorded.GetProperty("prompt_ids")));
        c.Begin();
        float[] ours = model.Logits(c, model.Forward(c, batch)).F32.ToArray();
        c.Begin();
        EqualBits.AssertSame(fixture.Loaded.Model.Logits(c, fixture.Loaded.Model.Forward(c, batch)).F32, ours, recorded.GetProperty("name").GetString()!);
    }

    private void CompareWithRecording(CausalLm model, Compute c, JsonElement recorded)
    {
        string name = recorded.GetProperty("name").GetString()!;
        using SafetensorsFile values = SafetensorsFile.Open(Path.Combine(Folder!, "logits.safetensors"));
        var experts = new List<int>();
        var expertWeights = new List<float>();
        output.WriteLine(name + ": " + SmolLm2Recordings.CompareLogits(model, c, values, name, (key, value) =>
        {
            if (key.EndsWith(".experts", StringComparison.Ordinal))
                experts.AddRange(value.I32);
            if (key.EndsWith(".expert_weights", StringComparison.Ordinal))
                expertWeights.AddRange(value.F32);
        }));
        Assert.Equal(values.View(name + ".routing").I32.ToArray(), experts);
        double largest = SmolLm2Recordings.Largest(values.View(name + ".routing_weights").F32, CollectionsMarshal.AsSpan(expertWeights));
        output.WriteLine($"{name}: router weights differ by {largest:g3} at most");
        Assert.InRange(largest, 0, SmolLm2Recordings.LogitTolerance);

        int[] prompt = SmolLm2Recordings.Integers(recorded.GetProperty("prompt_ids"));
        float[] logprobs = TextScorer.LogProbabilities(model, c, prompt);
        double loss = -logprobs.Average(value => (double)value);
        output.WriteLine($"{name}: loss {loss:f6}, recorded {recorded.GetProperty("loss").GetDouble():f6}");
        Assert.InRange(Math.Abs(loss - recorded.GetProperty("loss").GetDouble()), 0, SmolLm2Recordings.LogprobTolerance);

        int[] expected = SmolLm2Recordings.Integers(recorded.GetProperty("greedy_ids"));
        using var session = new GenerationSession(model, c);
        var options = new GenerationOptions { MaxTokens = expected.Length, StopTokens = model.Config.EosTokenIds.ToArray() };
        Assert.Equal(expected, session.Generate(prompt, options).Select(token => token.Token));
    }

    private static JsonDocument Recipe() => JsonDocument.Parse(File.ReadAllBytes(Path.Combine(Folder!, "recipe.json")));

    private static WeightSource Upcycle(WeightSource trunk, JsonElement recipe, bool zeroDown)
    {
        var weights = new List<Weight>();
        foreach (TensorInfo info in trunk.Tensors)
        {
            bool first = info.Name.StartsWith("model.layers.0.", StringComparison.Ordinal);
            string name = first ? info.Name : info.Name.Replace(".mlp.", ".mlp.shared_experts.", StringComparison.Ordinal);
            weights.Add(new RenamedWeight(trunk, info, name));
        }

        string prefix = recipe.GetProperty("generator").GetProperty("prefix").GetString()!;
        foreach (JsonElement added in recipe.GetProperty("added").EnumerateArray())
            weights.Add(new GeneratedWeight(prefix, added, zeroDown));
        return new WeightSource("upcycled", weights, []);
    }

    /// <summary>A tensor of the trunk under another name.</summary>
    private sealed class RenamedWeight(WeightSource trunk, TensorInfo info, string name)
        : Weight(new TensorInfo(name, info.Type, info.Shape.ToArray(), info.SizeBytes, isComputed: info.IsComputed))
    {
        public override void ReadFloat32(long firstRow, int rows, Span<float> values) => trunk.ReadFloat32Rows(info.Name, firstRow, rows, values);

        public override void ReadStored(long firstRow, int rows, Span<byte> bytes) => trunk.ReadRows(info.Name, firstRow, rows, bytes);

        public override Tensor? View() => trunk.View(info.Name);
    }

    /// <summary>A tensor whose values the recipe's integer formula makes, exact in fp32; checked against the recorded hash.</summary>
    private sealed class GeneratedWeight : Weight
    {
        private readonly float[] _values;

        public GeneratedWeight(string prefix, JsonElement added, bool zeroDown) : base(Describe(added))
        {
            _values = new float[Info.Count];
            ulong hash = 0xcbf29ce484222325;
            foreach (byte b in Encoding.UTF8.GetBytes(prefix + Info.Name))
                hash = (hash ^ b) * 0x100000001b3;
            float scale = added.GetProperty("scale").GetSingle();
            for (int i = 0; i < _values.Length; i++)
            {
                ulong z = hash + ((ulong)(i + 1) * 0x9e3779b97f4a7c15);
                z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
                z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
                z ^= z >> 31;
                _values[i] = (float)(((long)(z >> 40) - 8388608) / 8388608.0 * scale);
            }

            string sha = Convert.ToHexStringLower(SHA256.HashData(MemoryMarshal.AsBytes<float>(_values)));
            Assert.Equal(added.GetProperty("sha256").GetString(), sha);
            if (zeroDown && Info.Name.Contains(".experts.", StringComparison.Ordinal) && Info.Name.EndsWith("down_proj.weight", StringComparison.Ordinal))
                Array.Clear(_values);
        }

        public override void ReadFloat32(long firstRow, int rows, Span<float> values) =>
            _values.AsSpan((int)firstRow * Info.RowLength, values.Length).CopyTo(values);

        private static TensorInfo Describe(JsonElement added)
        {
            int[] shape = SmolLm2Recordings.Integers(added.GetProperty("shape"));
            return new TensorInfo(added.GetProperty("name").GetString()!, DType.F32, shape, 4 * Tensor.CountOf(shape), isComputed: true);
        }
    }
}
