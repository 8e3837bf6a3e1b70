using System.Buffers.Binary;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;
using Glimmer.Kernels;
using Xunit.Abstractions;

namespace Glimmer.Tests.Kernels;

[Collection("Simd level")]
public sealed unsafe class RopeTests(ITestOutputHelper output)
{
    private const string File = "rope.safetensors";
    private const string Suffix = ".inv_freq";

    public static TheoryData<string> Tables => Fixtures.Rows(
        Read()?.Keys.Where(k => k.EndsWith(Suffix, StringComparison.Ordinal)).Select(k => k[..^Suffix.Length]));

    [SkippableTheory]
    [Trait("Category", "Golden")]
    [MemberData(nameof(Tables))]
    public void Tables_are_those_of_the_reference(string name)
    {
        Fixtures.SkipIfAbsent(name);
        Dictionary<string, byte[]> file = Read()!;
        string[] parts = name.Split('_'); // theta_{base}_dim_{dim}
        using var table = new RopeTable(double.Parse(parts[1], CultureInfo.InvariantCulture), int.Parse(parts[3], CultureInfo.InvariantCulture));
        Same.Bits(MemoryMarshal.Cast<byte, float>(file[name + Suffix]), table.InverseFrequencies, "inv_freq");

        ReadOnlySpan<int> positions = MemoryMarshal.Cast<byte, int>(file["positions"]);
        ReadOnlySpan<float> cos = MemoryMarshal.Cast<byte, float>(file[name + ".cos"]), sin = MemoryMarshal.Cast<byte, float>(file[name + ".sin"]);
        float largest = 0;
        int half = table.Dim / 2;
        float* row = stackalloc float[table.Dim];
        for (int p = 0; p < positions.Length; p++)
        {
            table.WriteRow(positions[p], row);
            for (int i = 0; i < half; i++)
            {
                largest = MathF.Max(largest, MathF.Abs(cos[p * half + i] - row[i]));
                largest = MathF.Max(largest, MathF.Abs(sin[p * half + i] - row[half + i]));
            }
        }

        output.WriteLine($"{name}: largest difference of cos and sin {largest:E2}");
        Assert.True(largest <= 1e-7f, $"largest difference {largest:E2} is above 1e-7");
    }

    [Theory]
    [InlineData(64, false)]
    [InlineData(64, true)]
    [InlineData(20, false)]
    [InlineData(22, true)]
    [InlineData(2, true)]
    public void Every_form_equals_the_scalar_twin_and_leaves_the_rest_alone(int dim, bool interleaved)
    {
        RopePairing pairing = interleaved ? RopePairing.Interleaved : RopePairing.HalfSplit;
        const int Tokens = 270, Heads = 3;
        int width = dim + 10, offset = 6, stride = Heads * width + 5;
        using var table = new RopeTable(10000, dim);
        int[] some = [0, 1, 2, 700, 3, 4, 5, 131071, 6];
        int[] positions = [.. Enumerable.Range(0, Tokens).Select(t => some[t % some.Length])];
        table.EnsurePositions(3);
        table.EnsurePositions(131072);
        var random = new Random(dim);
        float[] x = [.. Enumerable.Range(0, Tokens * stride).Select(_ => random.NextSingle() * 2 - 1)];
        foreach (bool inverse in new[] { false, true })
        {
            float[] expected = [.. x];
            fixed (float* e = expected)
            {
                for (int t = 0; t < Tokens; t++)
                {
                    for (int h = 0; h < Heads; h++)
                        Rope.RotateScalar(e + t * stride + h * width + offset, table.Cos(positions[t]), table.Sin(positions[t]), dim, pairing, inverse);
                }
            }

            foreach (SimdLevel level in LevelScope.All())
            {
                for (int threads = 1; threads <= 3; threads++)
                {
                    using var scope = new LevelScope(level);
                    using var team = new ThreadTeam(threads);
                    float[] actual = [.. x];
                    fixed (float* a = actual)
                    fixed (int* p = positions)
                        Rope.Apply(team, table, p, Tokens, a + offset, stride, Heads, width, pairing, inverse);
                    Same.Bits(expected, actual, $"{level}, {threads} threads");
                }
            }
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void The_inverse_rotation_is_the_gradient(bool interleaved)
    {
        RopePairing pairing = interleaved ? RopePairing.Interleaved : RopePairing.HalfSplit;
        const int Dim = 8;
        using var table = new RopeTable(100, Dim);
        table.EnsurePositions(12);
        var random = new Random(1);
        double[] x = [.. Enumerable.Range(0, Dim).Select(_ => random.NextDouble() * 2 - 1)], w = [.. x.Select(_ => random.NextDouble() * 2 - 1)];
        double Loss()
        {
            double[] y = [.. x];
            fixed (double* yp = y)
                Rope.RotateScalar(yp, table.Cos(11), table.Sin(11), Dim, pairing, inverse: false);
            return y.Zip(w, (a, b) => a * b).Sum();
        }

        double[] dx = [.. w];
        fixed (double* dp = dx)
            Rope.RotateScalar(dp, table.Cos(11), table.Sin(11), Dim, pairing, inverse: true);
        CentralDifferences.Assert(Loss, x, dx, "dx");
    }

    [Fact]
    public void A_position_without_a_row_is_refused()
    {
        using var table = new RopeTable(10000, 4);
        table.EnsurePositions(5);
        using var team = new ThreadTeam(1);
        int[] positions = [5];
        Assert.Throws<ArgumentOutOfRangeException>(() =>
        {
            fixed (int* p = positions)
                Rope.Apply(team, table, p, 1, null, 4, 1, 4, RopePairing.HalfSplit);
        });
    }

    private static Dictionary<string, byte[]>? Read()
    {
        string? path = Fixtures.Folder("models") is string folder ? Path.Combine(folder, File) : null;
        if (!System.IO.File.Exists(path))
            return null;
        byte[] bytes = System.IO.File.ReadAllBytes(path);
        int header = checked((int)BinaryPrimitives.ReadUInt64LittleEndian(bytes));
        using JsonDocument json = JsonDocument.Parse(bytes.AsMemory(8, header));
        var tensors = new Dictionary<string, byte[]>();
        foreach (JsonProperty tensor in json.RootElement.EnumerateObject().Where(p => p.Name != "__metadata__"))
        {
            JsonElement offsets = tensor.Value.GetProperty("data_offsets");
            tensors[tensor.Name] = bytes[(8 + header + offsets[0].GetInt32())..(8 + header + offsets[1].GetInt32())];
        }

        return tensors;
    }
}
