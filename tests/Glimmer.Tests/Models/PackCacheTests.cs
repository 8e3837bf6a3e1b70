using Glimmer.Formats;
using Glimmer.Kernels;
using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Quantization;
using Glimmer.Tensors;
using Glimmer.Tests.Inference;

namespace Glimmer.Tests.Models;

/// <summary>Packed weights in a file: mapped at the next start, renewed when they are stale, equal in every bit.</summary>
public class PackCacheTests
{
    public static TheoryData<string> Names() => TinyModels.Names();

    [SkippableTheory]
    [Trait("Category", "Golden")]
    [MemberData(nameof(Names))]
    public void A_mapped_model_has_the_bits_of_a_packed_one(string name)
    {
        Fixtures.SkipIfAbsent(name);
        using var folder = new TemporaryFolder();
        var options = new LoadOptions { PackCache = folder.ToString() };
        string path = Path.Combine(Fixtures.Folder("models")!, name);
        float[] packed = Logits(path, new LoadOptions());
        EqualBits.AssertSame(packed, Logits(path, options), "written and mapped");
        string file = Assert.Single(Directory.GetFiles(folder.ToString()));
        DateTime written = File.GetLastWriteTimeUtc(file);
        EqualBits.AssertSame(packed, Logits(path, options), "mapped");
        EqualBits.AssertSame(packed, Logits(path, options with { VerifyPackCache = true }), "verified");
        Assert.Equal(written, File.GetLastWriteTimeUtc(file));
    }

    [SkippableFact]
    [Trait("Category", "Golden")]
    public void A_file_of_changed_or_damaged_contents_is_written_anew()
    {
        string name = First();
        using var folder = new TemporaryFolder();
        using var cache = new TemporaryFolder();
        string path = Path.Combine(folder.ToString(), "model");
        Directory.CreateDirectory(path);
        foreach (string source in Directory.GetFiles(Path.Combine(Fixtures.Folder("models")!, name)).Where(f => Path.GetFileName(f) is not ("reference.safetensors" or "reference.json")))
            File.Copy(source, Path.Combine(path, Path.GetFileName(source)));
        var options = new LoadOptions { PackCache = cache.ToString() };
        float[] expected = Logits(path, options);
        string file = Assert.Single(Directory.GetFiles(cache.ToString()));
        byte[] good = File.ReadAllBytes(file);

        // A newer source, a cut file, foreign bytes: the next start writes the file again.
        File.SetLastWriteTimeUtc(Directory.GetFiles(path, "*.safetensors")[0], new DateTime(2001, 2, 3, 4, 5, 6, DateTimeKind.Utc));
        EqualBits.AssertSame(expected, Logits(path, options), "after a newer source");
        byte[] renewed = File.ReadAllBytes(file);
        Assert.Equal(good.Length, renewed.Length);
        Assert.NotEqual(good, renewed);
        foreach (byte[] damaged in (byte[][])[good, renewed[..^7], renewed[..40], [], new byte[5000]])
        {
            File.WriteAllBytes(file, damaged);
            EqualBits.AssertSame(expected, Logits(path, options), $"after {damaged.Length} damaged bytes");
            Assert.Equal(renewed, File.ReadAllBytes(file));
        }

        // A flipped bit of a weight shows only when it is looked for.
        byte[] flipped = [.. renewed];
        flipped[PackCacheFile.HeadBytes + 5] ^= 1;
        File.WriteAllBytes(file, flipped);
        ModelFormatException error = Assert.Throws<ModelFormatException>(() => Logits(path, options with { VerifyPackCache = true }));
        Assert.Contains("damaged", error.Message, StringComparison.Ordinal);
    }

    [SkippableFact]
    [Trait("Category", "Golden")]
    public void A_load_that_fails_leaves_no_file()
    {
        string path = Path.Combine(Fixtures.Folder("models") ?? "", First());
        using var cache = new TemporaryFolder();
        using var team = new ThreadTeam(1);
        using Checkpoint checkpoint = Checkpoint.Open(path);
        int reports = 0;
        var stop = new StoppingProgress(() => ++reports == 5);
        Assert.Throws<OperationCanceledException>(() => checkpoint.LoadModel(team, progress: stop, options: new LoadOptions { PackCache = cache.ToString() }));
        Assert.Empty(Directory.GetFiles(cache.ToString()));
    }

    [Fact]
    public void Every_packed_form_has_a_mark_of_its_own()
    {
        var marks = new Dictionary<ulong, DType>();
        foreach (DType type in Enum.GetValues<DType>())
        {
            using PackedMatrix form = PackedWeights.Create(type, 0, type.BlockElements());
            if (form.Type == type)
                Assert.True(marks.TryAdd(PackedWeights.FormOf(type), type), $"{type} has the mark of another type");
        }

        Assert.True(marks.Count >= 14);
    }

    /// <summary>Logits of a text of 70 tokens in chunks, as one array.</summary>
    internal static float[] Logits(string path, LoadOptions options, Action<CausalLm>? inspect = null)
    {
        using var team = new ThreadTeam(2);
        using Checkpoint checkpoint = Checkpoint.Open(path);
        using CausalLm model = checkpoint.LoadModel(team, options: options);
        using var c = new Compute(team);
        float[] logits = EqualBits.Chunked(model, c, [EqualBits.Tokens(model, 70, seed: 3)], 31)[0];
        inspect?.Invoke(model);
        return logits;
    }

    private static string First()
    {
        string? name = ((IEnumerable<object[]>)Names()).Select(row => (string)row[0]).FirstOrDefault();
        Fixtures.SkipIfAbsent(name ?? "");
        return name!;
    }

    private sealed class StoppingProgress(Func<bool> stop) : IProgress<long>
    {
        public void Report(long value)
        {
            if (stop())
                throw new OperationCanceledException();
        }
    }
}
