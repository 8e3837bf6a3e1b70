using System.Buffers.Binary;
using System.Diagnostics;
using System.Text;
using CsCheck;
using Glimmer.Formats;
using Glimmer.Models;
using Glimmer.Tensors;

namespace Glimmer.Tests.Models;

/// <summary>Files with random damage are refused with a model exception or read; nothing crashes, hangs, or allocates what a header claims.</summary>
public sealed class MutatedFileTests : IDisposable
{
    private const int Sample = 400;
    private const int Many = 10_000;

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Damaged_safetensors_files_are_refused_or_read() => DamageSafetensors(Sample);

    [Fact]
    [Trait("Category", "Slow")]
    public void Ten_thousand_damaged_safetensors_files_are_refused_or_read() => DamageSafetensors(Many);

    [Fact]
    public void Damaged_indexes_are_refused_or_read() => DamageIndex(Sample);

    [Fact]
    [Trait("Category", "Slow")]
    public void Ten_thousand_damaged_indexes_are_refused_or_read() => DamageIndex(Many);

    [Fact]
    public void Damaged_gguf_models_are_refused_or_read() => DamageGguf(Sample);

    [Fact]
    [Trait("Category", "Slow")]
    public void Ten_thousand_damaged_gguf_models_are_refused_or_read() => DamageGguf(Many);

    private void DamageSafetensors(int times)
    {
        WriteFolder(_folder["whole"], maxShardBytes: long.MaxValue);
        byte[] whole = File.ReadAllBytes(_folder["whole/model.safetensors"]);
        Check(times, whole, ".safetensors", path =>
        {
            using WeightSource weights = SafetensorsWeights.Open(path);
            ReadAll(weights);
        });
    }

    private void DamageIndex(int times)
    {
        WriteFolder(_folder["sharded"], maxShardBytes: 64);
        byte[] index = File.ReadAllBytes(_folder["sharded/model.safetensors.index.json"]);
        string[] shards = Directory.GetFiles(_folder["sharded"], "*.safetensors");
        foreach (string shard in shards)
            File.Copy(shard, _folder[Path.GetFileName(shard)]);
        Check(times, index, ".index.json", path =>
        {
            using WeightSource weights = SafetensorsWeights.Open(path);
            ReadAll(weights);
        });
    }

    private void DamageGguf(int times)
    {
        WriteFolder(_folder["whole"], maxShardBytes: long.MaxValue);
        CheckpointConverter.Convert(_folder["whole"], _folder["model.gguf"], DType.Q8_0);
        byte[] whole = File.ReadAllBytes(_folder["model.gguf"]);
        Check(times, whole, ".gguf", path =>
        {
            using Checkpoint checkpoint = Checkpoint.Open(path);
            Assert.NotEmpty(checkpoint.ConfigJson);
            foreach (GgufValue value in checkpoint.Gguf!.Metadata.Values)
                _ = value.Value;
            ReadAll(checkpoint.Weights);
        });
    }

    private void Check(int times, byte[] whole, string extension, Action<string> open) => Gen.Int.Sample(
        seed =>
        {
            byte[] damaged = Damage(whole, new Random(seed));
            string path = _folder[$"{Guid.NewGuid():N}{extension}"];
            File.WriteAllBytes(path, damaged);
            long before = GC.GetAllocatedBytesForCurrentThread();
            var clock = Stopwatch.StartNew();
            try
            {
                open(path);
            }
            catch (Exception e) when (e is ModelFormatException or UnsupportedModelException)
            {
                Assert.True(e.Message.Length > 20, e.Message);
            }

            File.Delete(path);
            Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 4 << 20, $"allocated {GC.GetAllocatedBytesForCurrentThread() - before} bytes");
            Assert.True(clock.ElapsedMilliseconds < 2000, $"took {clock.ElapsedMilliseconds} ms");
        },
        iter: times,
        threads: 1);

    private static void ReadAll(WeightSource weights)
    {
        foreach (TensorInfo info in weights.Tensors)
            weights.ReadFloat32(info.Name, new float[info.Count]);
    }

    // One to four injuries: a byte, a bit, an extreme 64-bit number, a digit, a cut, a repetition.
    private static byte[] Damage(byte[] whole, Random random)
    {
        byte[] bytes = [.. whole];
        ulong[] extremes = [0, 1, ulong.MaxValue, 1ul << 63, 1ul << 40, 100_000_000_000, int.MaxValue, uint.MaxValue];
        for (int injuries = random.Next(1, 5); injuries > 0 && bytes.Length > 16; injuries--)
        {
            // Mostly the header, which is where damage matters.
            int at = random.Next(random.Next(3) == 0 ? bytes.Length : Math.Min(bytes.Length, 2048));
            switch (random.Next(7))
            {
                case 0:
                    bytes[at] = (byte)random.Next(256);
                    break;
                case 1:
                    bytes[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 2:
                    BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(Math.Min(at, bytes.Length - 8)), extremes[random.Next(extremes.Length)]);
                    break;
                case 3:
                    bytes[at] = (byte)random.Next('0', '9' + 1);
                    break;
                case 4:
                    bytes = bytes[..at];
                    break;
                case 5:
                    bytes = [.. bytes[..at], .. bytes[Math.Max(0, at - random.Next(64))..]];
                    break;
                default:
                    bytes = [.. bytes[..at], .. Encoding.ASCII.GetBytes("\",:[]{}9"[random.Next(8)].ToString()), .. bytes[at..]];
                    break;
            }
        }

        return bytes;
    }

    // A llama checkpoint of one layer, 32 wide.
    private static void WriteFolder(string folder, long maxShardBytes)
    {
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "config.json"), """
            {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 8, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1,
             "intermediate_size": 32, "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000, "tie_word_embeddings": true}
            """);
        const string Layer = "model.layers.0.";
        TensorInfo[] tensors =
        [
            new("model.embed_tokens.weight", DType.BF16, [8, 32]), new("model.norm.weight", DType.F32, [32]),
            new(Layer + "input_layernorm.weight", DType.F32, [32]), new(Layer + "post_attention_layernorm.weight", DType.F16, [32]),
            new(Layer + "self_attn.q_proj.weight", DType.BF16, [32, 32]), new(Layer + "self_attn.k_proj.weight", DType.BF16, [16, 32]),
            new(Layer + "self_attn.v_proj.weight", DType.BF16, [16, 32]), new(Layer + "self_attn.o_proj.weight", DType.BF16, [32, 32]),
            new(Layer + "mlp.gate_proj.weight", DType.BF16, [32, 32]), new(Layer + "mlp.up_proj.weight", DType.BF16, [32, 32]),
            new(Layer + "mlp.down_proj.weight", DType.BF16, [32, 32]),
        ];
        var random = new Random(1);
        using SafetensorsWriter writer = SafetensorsWriter.Create(folder, tensors, maxShardBytes);
        foreach (TensorInfo info in tensors)
        {
            var bytes = new byte[info.SizeBytes];
            random.NextBytes(bytes);
            writer.BeginTensor(info.Name);
            writer.Write(bytes);
        }

        writer.Complete();
    }
}
