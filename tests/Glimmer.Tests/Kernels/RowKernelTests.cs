using Glimmer.Kernels;
using Glimmer.Tensors;
using static Glimmer.Tests.Kernels.MatMulTests;

namespace Glimmer.Tests.Kernels;

/// <summary>Row kernels against their scalar twins, bit for bit, on every instruction set and with several threads.</summary>
[Collection("Simd level")]
public unsafe class RowKernelTests
{
    private const int Rows = 5;
    private const float Eps = 1e-5f;

    private static readonly int[] s_columns = [0, 1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 96, 100, 576, 4095, 4096, 4097, 9000];

    public static TheoryData<SimdLevel, int> LevelsAndThreads() => MatMulTests.LevelsAndThreads();

    [Theory]
    [MemberData(nameof(LevelsAndThreads))]
    public void Softmax_equals_the_twin_in_bits(SimdLevel level, int threads) => ForAllShapes(level, threads, 1, (team, n, ld) =>
    {
        using Tensor x = Scaled(Rows * ld + 1, 1, 20), y = MatMulTests.Random(Rows * ld + 1, 2), expected = MatMulTests.Random(Rows * ld + 1, 2);
        for (int row = 0; row < Rows; row++)
            Softmax.Twin(x.F32Pointer + 1 + row * ld, n, expected.F32Pointer + row * ld);
        Softmax.Forward(team, x.F32Pointer + 1, ld, Rows, n, y.F32Pointer, ld);
        AssertSameBits(expected.F32, y.F32, $"{n} columns");
        Softmax.Forward(team, x.F32Pointer + 1, ld, Rows, n, x.F32Pointer + 1, ld);
        for (int row = 0; row < Rows; row++)
            AssertSameBits(expected.F32.Slice(row * ld, n), x.F32.Slice(1 + row * ld, n), $"{n} columns in place");
    });

    [Theory]
    [MemberData(nameof(LevelsAndThreads))]
    public void Log_sum_exp_equals_the_twin_in_bits(SimdLevel level, int threads) => ForAllShapes(level, threads, 0, (team, n, ld) =>
    {
        using Tensor x = Scaled(Rows * ld + 1, 3, 30), lse = Tensor.Allocate(DType.F32, Rows), expected = Tensor.Allocate(DType.F32, Rows);
        // A row with masked entries, at large sizes with a whole masked chunk.
        x.F32.Slice(1 + ld, n)[..(n * 3 / 4)].Fill(float.NegativeInfinity);
        x.F32.Slice(1 + 2 * ld, n).Fill(float.NegativeInfinity);
        for (int row = 0; row < Rows; row++)
            expected.F32[row] = Softmax.LogSumExpTwin(x.F32Pointer + 1 + row * ld, n);
        Softmax.LogSumExp(team, x.F32Pointer + 1, ld, Rows, n, lse.F32Pointer);
        AssertSameBits(expected.F32, lse.F32, $"{n} columns");
        Assert.Equal(float.NegativeInfinity, lse.F32[2]);
    });

    [Theory]
    [MemberData(nameof(LevelsAndThreads))]
    public void Rms_norm_equals_the_twin_in_bits(SimdLevel level, int threads) => ForAllShapes(level, threads, 1, (team, n, ld) =>
    {
        using Tensor x = Scaled(Rows * ld + 1, 4, 3), w = MatMulTests.Random(n, 5), y = MatMulTests.Random(Rows * ld + 1, 6), expected = MatMulTests.Random(Rows * ld + 1, 6);
        using Tensor r = Tensor.Allocate(DType.F32, Rows), expectedR = Tensor.Allocate(DType.F32, Rows), dy = MatMulTests.Random(Rows * ld, 7);
        for (int row = 0; row < Rows; row++)
            expectedR.F32[row] = RmsNorm.Twin(x.F32Pointer + 1 + row * ld, w.F32Pointer, Eps, n, expected.F32Pointer + row * ld);
        RmsNorm.Forward(team, x.F32Pointer + 1, ld, w.F32Pointer, Eps, Rows, n, y.F32Pointer, ld, r.F32Pointer);
        AssertSameBits(expected.F32, y.F32, $"{n} columns");
        AssertSameBits(expectedR.F32, r.F32, $"{n} columns, r");

        foreach (bool add in new[] { false, true })
        {
            for (int row = 0; row < Rows; row++)
            {
                int at = row * ld;
                RmsNorm.BackwardTwin(dy.F32Pointer + at, x.F32Pointer + 1 + at, w.F32Pointer, r.F32[row], n, expected.F32Pointer + at, add);
            }

            RmsNorm.Backward(team, dy.F32Pointer, ld, x.F32Pointer + 1, ld, w.F32Pointer, r.F32Pointer, Rows, n, y.F32Pointer, ld, add);
            AssertSameBits(expected.F32, y.F32, $"{n} columns, dx, add {add}");
        }

        foreach (GradientMode mode in Enum.GetValues<GradientMode>())
        {
            using Tensor gain = MatMulTests.Random(n, 8), expectedGain = MatMulTests.Random(n, 8);
            RmsNorm.GainGradientTwin(dy.F32Pointer, ld, x.F32Pointer + 1, ld, r.F32Pointer, Rows, n, expectedGain.F32Pointer, mode);
            RmsNorm.GainGradient(team, dy.F32Pointer, ld, x.F32Pointer + 1, ld, r.F32Pointer, Rows, n, gain.F32Pointer, mode);
            AssertSameBits(expectedGain.F32, gain.F32, $"{n} columns, dgain, {mode}");
        }
    });

    [Theory]
    [MemberData(nameof(LevelsAndThreads))]
    public void Layer_norm_equals_the_twin_in_bits(SimdLevel level, int threads) => ForAllShapes(level, threads, 1, (team, n, ld) =>
    {
        using Tensor x = Scaled(Rows * ld + 1, 4, 3), w = MatMulTests.Random(n, 5), b = MatMulTests.Random(n, 9), y = MatMulTests.Random(Rows * ld + 1, 6);
        using Tensor expected = MatMulTests.Random(Rows * ld + 1, 6), mean = Tensor.Allocate(DType.F32, Rows), r = Tensor.Allocate(DType.F32, Rows), dy = MatMulTests.Random(Rows * ld, 7);
        var saved = new (float Mean, float Inverse)[Rows];
        for (int row = 0; row < Rows; row++)
            saved[row] = LayerNorm.Twin(x.F32Pointer + 1 + row * ld, w.F32Pointer, b.F32Pointer, Eps, n, expected.F32Pointer + row * ld);
        LayerNorm.Forward(team, x.F32Pointer + 1, ld, w.F32Pointer, b.F32Pointer, Eps, Rows, n, y.F32Pointer, ld, mean.F32Pointer, r.F32Pointer);
        AssertSameBits(expected.F32, y.F32, $"{n} columns");
        AssertSameBits([.. saved.Select(s => s.Mean)], mean.F32, $"{n} columns, mean");
        AssertSameBits([.. saved.Select(s => s.Inverse)], r.F32, $"{n} columns, r");

        foreach (bool add in new[] { false, true })
        {
            for (int row = 0; row < Rows; row++)
            {
                int at = row * ld;
                LayerNorm.BackwardTwin(dy.F32Pointer + at, x.F32Pointer + 1 + at, w.F32Pointer, mean.F32[row], r.F32[row], n, expected.F32Pointer + at, add);
            }

            LayerNorm.Backward(team, dy.F32Pointer, ld, x.F32Pointer + 1, ld, w.F32Pointer, mean.F32Pointer, r.F32Pointer, Rows, n, y.F32Pointer, ld, add);
            AssertSameBits(expected.F32, y.F32, $"{n} columns, dx, add {add}");
        }

        foreach (GradientMode mode in Enum.GetValues<GradientMode>())
        {
            using Tensor gain = MatMulTests.Random(n, 8), bias = MatMulTests.Random(n, 9), expectedGain = MatMulTests.Random(n, 8), expectedBias = MatMulTests.Random(n, 9);
            LayerNorm.ParameterGradientsTwin(
                dy.F32Pointer, ld, x.F32Pointer + 1, ld, mean.F32Pointer, r.F32Pointer, Rows, n, expectedGain.F32Pointer, expectedBias.F32Pointer, mode);
            LayerNorm.ParameterGradients(
                team, dy.F32Pointer, ld, x.F32Pointer + 1, ld, mean.F32Pointer, r.F32Pointer, Rows, n, gain.F32Pointer, bias.F32Pointer, mode);
            AssertSameBits(expectedGain.F32, gain.F32, $"{n} columns, dgain, {mode}");
            AssertSameBits(expectedBias.F32, bias.F32, $"{n} columns, dbias, {mode}");
        }
    });

    [Theory]
    [MemberData(nameof(LevelsAndThreads))]
    public void SwiGlu_equals_the_twin_in_bits(SimdLevel level, int threads) => ForAllShapes(level, threads, 0, (team, n, _) =>
    {
        // Gate and up are halves of one matrix.
        int ld = 2 * n + 1;
        using Tensor x = Scaled(Rows * ld, 4, 30), y = MatMulTests.Random(Rows * n, 6), expected = MatMulTests.Random(Rows * n, 6), dy = MatMulTests.Random(Rows * n, 7);
        using Tensor dx = MatMulTests.Random(Rows * ld, 8), expectedDx = MatMulTests.Random(Rows * ld, 8);
        float* gate = x.F32Pointer, up = gate + n;
        for (int row = 0; row < Rows; row++)
            SwiGlu.Twin(gate + row * ld, up + row * ld, n, expected.F32Pointer + row * n);
        SwiGlu.Forward(team, gate, ld, up, ld, Rows, n, y.F32Pointer, n);
        AssertSameBits(expected.F32, y.F32, $"{n} columns");

        for (int row = 0; row < Rows; row++)
            SwiGlu.BackwardTwin(dy.F32Pointer + row * n, gate + row * ld, up + row * ld, n, expectedDx.F32Pointer + row * ld, expectedDx.F32Pointer + row * ld + n);
        SwiGlu.Backward(team, dy.F32Pointer, n, gate, ld, up, ld, Rows, n, dx.F32Pointer, ld, dx.F32Pointer + n, ld);
        AssertSameBits(expectedDx.F32, dx.F32, $"{n} columns, backward");
        float last = x.F32.Length > 0 && n > 0 ? x.F32[ld - 1] : 0;
        SwiGlu.Backward(team, dy.F32Pointer, n, gate, ld, up, ld, Rows, n, gate, ld, up, ld);
        for (int row = 0; row < Rows; row++)
            AssertSameBits(expectedDx.F32.Slice(row * ld, 2 * n), x.F32.Slice(row * ld, 2 * n), $"{n} columns, backward in place");
        if (n > 0)
            Assert.Equal(last, x.F32[ld - 1]);
    });

    [Theory]
    [MemberData(nameof(LevelsAndThreads))]
    public void Cross_entropy_equals_the_twin_in_bits(SimdLevel level, int threads) => ForAllShapes(level, threads, 1, (team, n, ld) =>
    {
        using Tensor x = Scaled(Rows * ld, 4, 10), expected = Scaled(Rows * ld, 4, 10), loss = MatMulTests.Random(Rows, 1), lse = MatMulTests.Random(Rows, 2), rest = MatMulTests.Random(Rows, 5), scale = MatMulTests.Random(Rows, 3);
        int* targets = stackalloc int[Rows] { 0, n - 1, -1, n / 2, n / 3 };
        CrossEntropy.Forward(team, x.F32Pointer, ld, targets, Rows, n, loss.F32Pointer, lse.F32Pointer, rest.F32Pointer);
        for (int row = 0; row < Rows; row++)
        {
            (float Loss, float Lse, float Lost) twin = CrossEntropy.Twin(expected.F32Pointer + row * ld, targets[row], n);
            AssertSameBits([twin.Loss, twin.Lse, twin.Lost], [loss.F32[row], lse.F32[row], rest.F32[row]], $"{n} entries, row {row}");
            CrossEntropy.BackwardTwin(expected.F32Pointer + row * ld, targets[row], n, twin.Lse, twin.Lost, scale.F32[row]);
        }

        CrossEntropy.Backward(team, x.F32Pointer, ld, targets, Rows, n, lse.F32Pointer, rest.F32Pointer, scale.F32Pointer);
        AssertSameBits(expected.F32, x.F32, $"{n} entries, backward");
    });

    [Theory]
    [MemberData(nameof(LevelsAndThreads))]
    public void Elementwise_kernels_equal_plain_loops_in_bits(SimdLevel level, int threads) => ForAllShapes(level, threads, 0, (team, n, ld) =>
    {
        int count = Rows * n;
        using Tensor a = MatMulTests.Random(count + 1, 1), b = MatMulTests.Random(count, 2), y = MatMulTests.Random(count, 3), x = MatMulTests.Random(Rows * ld, 4);
        Elementwise.Add(team, a.F32Pointer + 1, b.F32Pointer, count, y.F32Pointer);
        for (int i = 0; i < count; i++)
            Assert.Equal(a.F32[i + 1] + b.F32[i], y.F32[i]);
        Elementwise.AddScaled(team, b.F32Pointer, 0.3f, count, y.F32Pointer);
        for (int i = 0; i < count; i++)
            Assert.Equal(MathF.FusedMultiplyAdd(0.3f, b.F32[i], a.F32[i + 1] + b.F32[i]), y.F32[i]);
        foreach (GradientMode mode in Enum.GetValues<GradientMode>())
        {
            using Tensor sums = MatMulTests.Random(n, 8), expected = MatMulTests.Random(n, 8);
            Elementwise.ColumnSumsTwin(x.F32Pointer, ld, Rows, n, expected.F32Pointer, mode);
            Elementwise.ColumnSums(team, x.F32Pointer, ld, Rows, n, sums.F32Pointer, mode);
            AssertSameBits(expected.F32, sums.F32, $"{n} columns, {mode}");
        }
    });

    [Fact]
    public void Targets_outside_of_the_vocabulary_are_refused()
    {
        using Tensor logits = Tensor.Allocate(DType.F32, 10), loss = Tensor.Allocate(DType.F32, 1);
        int* target = stackalloc int[1] { 10 };
        string message = Assert.Throws<ArgumentOutOfRangeException>(
            () => CrossEntropy.Forward(null, logits.F32Pointer, 10, target, 1, 10, loss.F32Pointer, loss.F32Pointer, loss.F32Pointer)).Message;
        Assert.Contains("target of row 0 is 10", message);
    }

    [Fact]
    public void Row_kernels_allocate_nothing()
    {
        using var team = new ThreadTeam(2);
        using Tensor x = MatMulTests.Random(100 * 1000, 1), y = MatMulTests.Random(100 * 1000, 1), w = MatMulTests.Random(1000, 2), r = MatMulTests.Random(100, 3);
        void Step()
        {
            RmsNorm.Forward(team, x.F32Pointer, 1000, w.F32Pointer, Eps, 100, 1000, y.F32Pointer, 1000, r.F32Pointer);
            RmsNorm.GainGradient(team, y.F32Pointer, 1000, x.F32Pointer, 1000, r.F32Pointer, 100, 1000, w.F32Pointer, GradientMode.Start);
            Softmax.Forward(team, x.F32Pointer, 1000, 100, 1000, y.F32Pointer, 1000);
            Softmax.LogSumExp(team, x.F32Pointer, 1000, 100, 1000, r.F32Pointer);
        }

        for (int i = 0; i < 50; i++)
            Step();
        var windows = new AllocationWindows();
        for (int i = 0; i < 10; i++)
        {
            windows.Begin();
            Step();
            windows.End();
        }

        windows.AssertNone();
    }

    private static void ForAllShapes(SimdLevel level, int threads, int fewestColumns, Action<ThreadTeam, int, int> check)
    {
        using var _ = new LevelScope(level);
        using var team = new ThreadTeam(threads);
        foreach (int n in s_columns)
        {
            if (n >= fewestColumns)
                check(team, n, n + 3);
        }
    }

    private static Tensor Scaled(int count, int seed, float scale)
    {
        Tensor tensor = MatMulTests.Random(count, seed);
        foreach (ref float value in tensor.F32)
            value *= scale;
        return tensor;
    }
}
