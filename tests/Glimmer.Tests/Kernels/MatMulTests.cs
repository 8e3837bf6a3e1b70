using Glimmer.Kernels;
using Glimmer.Quantization;
using Glimmer.Tensors;
using Glimmer.Tests.Quantization;

namespace Glimmer.Tests.Kernels;

[Collection("Simd level")]
public unsafe class MatMulTests
{
    private static readonly (int Tokens, int Outputs, int Columns)[] s_shapes =
    [
        (0, 5, 7), (1, 0, 7), (1, 1, 0), (30, 33, 0), (1, 1, 1), (1, 31, 3), (1, 32, 32), (1, 100, 65), (2, 64, 96), (3, 33, 31), (4, 65, 64), (5, 40, 513),
        (6, 32, 512), (7, 96, 100), (8, 17, 33), (9, 50, 50), (10, 64, 10), (11, 70, 20), (12, 48, 64), (13, 33, 513), (17, 95, 1100), (25, 130, 70),
        (100, 37, 600), (130, 70, 64), (250, 33, 40), (3, 2000, 64), (1, 1200, 160),
    ];

    public static TheoryData<SimdLevel, int> LevelsAndThreads()
    {
        var data = new TheoryData<SimdLevel, int>();
        for (SimdLevel level = SimdLevel.Portable; level <= Simd.Best; level++)
        {
            for (int threads = 1; threads <= 3; threads++)
                data.Add(level, threads);
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(LevelsAndThreads))]
    public void Products_of_fp32_weights_equal_the_twin_in_bits(SimdLevel level, int threads) =>
        CompareAll(level, threads, DType.F32);

    [Theory]
    [MemberData(nameof(LevelsAndThreads))]
    public void Products_of_bf16_weights_equal_the_twin_in_bits(SimdLevel level, int threads) =>
        CompareAll(level, threads, DType.BF16);

    [Theory]
    [MemberData(nameof(LevelsAndThreads))]
    public void Products_of_fp16_weights_equal_the_twin_in_bits(SimdLevel level, int threads) =>
        CompareAll(level, threads, DType.F16);

    [Theory]
    [MemberData(nameof(LevelsAndThreads))]
    public void Products_of_fp8_weights_equal_the_twin_in_bits(SimdLevel level, int threads) =>
        CompareAll(level, threads, DType.F8Blocks);

    [Theory]
    [InlineData(DType.F16)]
    [InlineData(DType.F8Blocks)]
    public void A_packed_row_reads_as_the_stored_row(DType type)
    {
        using var team = new ThreadTeam(1);
        const int Rows = 37, Columns = 384;
        byte[] bytes = RandomRows.Create(type, Rows, Columns, 9);
        using PackedMatrix w = Weights(team, type, Rows, Columns, 9);
        Assert.Equal(type, w.Type);
        float[] expected = new float[Rows * Columns], row = new float[Columns];
        Dequantizer.ToFloat32(type, bytes, expected);
        for (int r = 0; r < Rows; r++)
        {
            w.ReadRow(r, row);
            AssertSameBits(expected.AsSpan(r * Columns, Columns), row, $"row {r}");
        }
    }

    [Fact]
    public void Weights_that_are_no_numbers_are_refused()
    {
        using var team = new ThreadTeam(1);
        byte[] half = RandomRows.Create(DType.F16, 2, 128, 1), eight = RandomRows.Create(DType.F8Blocks, 2, 128, 1);
        (half[2 * 130], half[(2 * 130) + 1]) = (0, 0x7C);
        eight[132 + 4 + 5] = 0xFF;
        fixed (byte* h = half, e = eight)
        {
            nint halves = (nint)h, eights = (nint)e;
            Assert.Contains("Row 1, column 2 of an F16", Assert.Throws<ModelFormatException>(() => Pack(DType.F16, halves)).Message, StringComparison.Ordinal);
            Assert.Contains("Row 1, column 5 of an FP8", Assert.Throws<ModelFormatException>(() => Pack(DType.F8Blocks, eights)).Message, StringComparison.Ordinal);
        }

        void Pack(DType type, nint data)
        {
            using PackedMatrix matrix = PackedWeights.Create(type, 2, 128);
            matrix.PackPanel(0, [new RowSource((byte*)data, type, 2, type.ByteSize(128))]);
        }
    }

    [Theory]
    [MemberData(nameof(LevelsAndThreads))]
    public void Products_of_q4_1_weights_equal_the_twin_in_bits(SimdLevel level, int threads) =>
        CompareAll(level, threads, DType.Q4_1);

    [Theory]
    [MemberData(nameof(LevelsAndThreads))]
    public void Products_of_q8_0_weights_equal_the_twin_in_bits(SimdLevel level, int threads) =>
        CompareAll(level, threads, DType.Q8_0);

    [Theory]
    [MemberData(nameof(LevelsAndThreads))]
    public void Weight_gradients_equal_the_twin_in_bits(SimdLevel level, int threads)
    {
        using var _ = new LevelScope(level);
        using var team = new ThreadTeam(threads);
        foreach ((int tokens, int outputs, int columns) in s_shapes)
        {
            foreach (GradientMode mode in Enum.GetValues<GradientMode>())
            {
                int lddy = outputs + 3, ldx = columns + 1;
                using Tensor dy = Random(tokens * lddy + 1, 1), x = Random(tokens * ldx + 1, 2), dw = Random(outputs * columns, 3), expected = Random(outputs * columns, 3);
                MatMul.WeightGradientTwin(dy.F32Pointer, lddy, x.F32Pointer + 1, ldx, tokens, outputs, columns, expected.F32Pointer, mode);
                MatMul.WeightGradient(team, dy.F32Pointer, lddy, x.F32Pointer + 1, ldx, tokens, outputs, columns, dw.F32Pointer, mode);
                AssertSameBits(expected.F32, dw.F32, $"{mode} {tokens}x{outputs}x{columns}");
            }
        }
    }

    [Theory]
    [MemberData(nameof(LevelsAndThreads))]
    public void A_job_list_equals_the_single_products(SimdLevel level, int threads)
    {
        using var _ = new LevelScope(level);
        using var team = new ThreadTeam(threads);
        const int Columns = 96, Outputs = 70, Rows = 200;
        using Tensor x = Random(Rows * Columns, 4);
        int[] counts = [0, 1, 30, 5, 0, 12, 64, 3];
        var tensors = new List<IDisposable>();
        var jobs = new MatMulJob[counts.Length];
        int* gather = stackalloc int[64];
        for (int i = 0; i < 64; i++)
            gather[i] = i * 37 % Rows;
        var outputs = new Tensor[counts.Length];
        for (int i = 0; i < counts.Length; i++)
        {
            DType type = (i % 4) switch { 0 => DType.F32, 1 => DType.BF16, 2 => DType.Q8_0, _ => DType.Q4_1 };
            PackedMatrix w = Weights(team, type, Outputs, Columns, i);
            outputs[i] = Tensor.Allocate(DType.F32, 64, Outputs);
            tensors.Add(w);
            tensors.Add(outputs[i]);
            jobs[i] = new MatMulJob
            {
                X = x.F32Pointer,
                Gather = i % 2 == 0 ? gather : null,
                LdX = Columns,
                Tokens = counts[i],
                Weights = w,
                Y = outputs[i].F32Pointer,
                LdY = Outputs,
            };
        }

        MatMul.Multiply(team, jobs);
        using Tensor row = Tensor.Allocate(DType.F32, Outputs);
        for (int i = 0; i < counts.Length; i++)
        {
            for (int t = 0; t < 64; t++)
            {
                if (t < counts[i])
                {
                    int from = jobs[i].Gather == null ? t : gather[t];
                    MatMul.Multiply(team, x.F32Pointer + from * Columns, Columns, 1, jobs[i].Weights, null, row.F32Pointer, Outputs);
                }
                else
                {
                    row.F32.Clear();
                }

                AssertSameBits(row.F32, outputs[i].Row(t).F32, $"job {i} token {t}");
            }
        }

        foreach (IDisposable tensor in tensors)
            tensor.Dispose();
    }

    [Theory]
    [MemberData(nameof(LevelsAndThreads))]
    public void A_list_of_weight_gradients_equals_the_twin_with_gathered_rows(SimdLevel level, int threads)
    {
        using var _ = new LevelScope(level);
        using var team = new ThreadTeam(threads);
        const int Columns = 70, Outputs = 45, Rows = 50;
        using Tensor x = Random(Rows * Columns, 4), dy = Random(200 * Outputs, 5), gathered = Tensor.Allocate(DType.F32, 64, Columns);
        int[] counts = [0, 1, 30, 5, 64];
        int* gather = stackalloc int[64];
        for (int i = 0; i < 64; i++)
        {
            gather[i] = i * 37 % Rows;
            x.F32.Slice(gather[i] * Columns, Columns).CopyTo(gathered.F32[(i * Columns)..]);
        }

        using Tensor dw = Random(counts.Length * Outputs * Columns, 6), expected = Random(counts.Length * Outputs * Columns, 6);
        var jobs = new WeightGradientJob[counts.Length];
        for (int i = 0; i < counts.Length; i++)
        {
            jobs[i] = new WeightGradientJob
            {
                DY = dy.F32Pointer + i * Outputs,
                LdDY = Outputs,
                X = x.F32Pointer,
                Gather = gather,
                LdX = Columns,
                Tokens = counts[i],
                Outputs = Outputs,
                Columns = Columns,
                DW = dw.F32Pointer + i * Outputs * Columns,
                Mode = (GradientMode)(i % 3),
            };
            MatMul.WeightGradientTwin(
                jobs[i].DY, Outputs, gathered.F32Pointer, Columns, counts[i], Outputs, Columns, expected.F32Pointer + i * Outputs * Columns, jobs[i].Mode);
        }

        MatMul.WeightGradient(team, jobs);
        AssertSameBits(expected.F32, dw.F32, "dw");
    }

    [Fact]
    public void Products_too_long_to_pack_at_once_run_in_pieces()
    {
        using var team = new ThreadTeam(2);
        const int Columns = 70_000, Tokens = 130;
        using PackedMatrix w = Weights(team, DType.F32, 2, Columns, 1);
        using Tensor x = Random(Tokens * Columns, 2), y = Random(Tokens * 2, 3), expected = Random(Tokens * 2, 3), plain = Tensor.Allocate(DType.F32, 2, Columns);
        w.Unpack(plain.F32Pointer);
        MatMul.Twin(x.F32Pointer, Columns, Tokens, plain.F32Pointer, 2, Columns, null, expected.F32Pointer, 2);
        MatMul.Multiply(team, x.F32Pointer, Columns, Tokens, w, null, y.F32Pointer, 2);
        AssertSameBits(expected.F32, y.F32, "rows in pieces");

        const int Long = 270_000, Outputs = 2, Wide = 33;
        using Tensor dw = Random(Outputs * Wide, 4), expectedDw = Random(Outputs * Wide, 4);
        MatMul.WeightGradientTwin(x.F32Pointer, Outputs, x.F32Pointer, Wide, Long, Outputs, Wide, expectedDw.F32Pointer, GradientMode.AddTo);
        MatMul.WeightGradient(team, x.F32Pointer, Outputs, x.F32Pointer, Wide, Long, Outputs, Wide, dw.F32Pointer, GradientMode.AddTo);
        AssertSameBits(expectedDw.F32, dw.F32, "columns in pieces");
    }

    [Fact]
    public void Gemm_packs_its_right_side()
    {
        using var team = new ThreadTeam(2);
        foreach ((int m, int n, int k) in s_shapes)
        {
            using Tensor a = Random(m * k, 1), b = Random(k * n, 2), bt = Random(k * n, 0), c = Random(m * n, 3), expected = Random(m * n, 3);
            for (int i = 0; i < k; i++)
            {
                for (int j = 0; j < n; j++)
                    bt.F32[j * k + i] = b.F32[i * n + j];
            }

            MatMul.Twin(a.F32Pointer, k, m, bt.F32Pointer, n, k, null, expected.F32Pointer, n);
            MatMul.Gemm(team, m, n, k, a.F32Pointer, b.F32Pointer, c.F32Pointer);
            AssertSameBits(expected.F32, c.F32, $"{m}x{n}x{k}");
        }
    }

    [Theory]
    [InlineData(DType.F32)]
    [InlineData(DType.BF16)]
    public void The_input_gradient_is_a_product_with_the_transposed_pack(DType type)
    {
        using var team = new ThreadTeam(2);
        const int Tokens = 19, O = 45, K = 70;
        using Tensor w = Random(O * K, 1), dy = Random(Tokens * O, 2), dx = Tensor.Allocate(DType.F32, Tokens, K), expected = Tensor.Allocate(DType.F32, Tokens, K);
        using Tensor transposed = Tensor.Allocate(DType.F32, K, O);
        var first = new RowSource((byte*)w.F32Pointer, DType.F32, 20, K * 4);
        var second = new RowSource((byte*)(w.F32Pointer + 20 * K), DType.F32, O - 20, K * 4);
        using PackedMatrix packed = type == DType.F32 ? new PackedF32(K, O) : new PackedBF16(K, O);
        MatrixPacker.PackTransposed(team, packed, [first, second]);
        packed.Unpack(transposed.F32Pointer);
        for (int o = 0; o < O; o++)
        {
            for (int k = 0; k < K; k++)
            {
                float value = w.F32[o * K + k];
                if (type == DType.BF16)
                    value = BitConverter.UInt32BitsToSingle((uint)PackedBF16.Round(value) << 16);
                Assert.Equal(value, transposed.F32[k * O + o]);
            }
        }

        MatMul.Multiply(team, dy.F32Pointer, O, Tokens, packed, null, dx.F32Pointer, K);
        MatMul.Twin(dy.F32Pointer, O, Tokens, transposed.F32Pointer, K, O, null, expected.F32Pointer, K);
        AssertSameBits(expected.F32, dx.F32, "dx");
    }

    [Fact]
    public void Gradients_of_the_double_twins_match_central_differences()
    {
        const int Tokens = 4, O = 3, K = 5;
        double[] x = Doubles(Tokens * K, 1), w = Doubles(O * K, 2), g = Doubles(Tokens * O, 3), dx = new double[Tokens * K], dw = new double[O * K], wt = new double[O * K];
        for (int o = 0; o < O; o++)
        {
            for (int k = 0; k < K; k++)
                wt[k * O + o] = w[o * K + k];
        }

        fixed (double* px = x, pw = w, pg = g, pdx = dx, pdw = dw, pwt = wt)
        {
            MatMul.Twin(pg, O, Tokens, pwt, K, O, null, pdx, K);
            MatMul.WeightGradientTwin(pg, O, px, K, Tokens, O, K, pdw, GradientMode.Start);
        }

        CentralDifferences.Assert(Loss, x, dx, "dx");
        CentralDifferences.Assert(Loss, w, dw, "dw");

        double Loss()
        {
            var y = new double[Tokens * O];
            fixed (double* px = x, pw = w, py = y)
                MatMul.Twin(px, K, Tokens, pw, O, K, null, py, O);
            return y.Zip(g, (a, b) => a * b).Sum();
        }
    }

    [Fact]
    public void Products_allocate_nothing_in_steady_state()
    {
        using var team = new ThreadTeam(2);
        using PackedMatrix w = Weights(team, DType.Q4_1, 576, 576, 1);
        using Tensor x = Random(40 * 576, 1), y = Tensor.Allocate(DType.F32, 40, 576), dw = Tensor.Allocate(DType.F32, 576, 576);
        void Step()
        {
            MatMul.Multiply(team, x.F32Pointer, 576, 1, w, null, y.F32Pointer, 576);
            MatMul.Multiply(team, x.F32Pointer, 576, 40, w, null, y.F32Pointer, 576);
            MatMul.WeightGradient(team, y.F32Pointer, 576, x.F32Pointer, 576, 40, 576, 576, dw.F32Pointer, GradientMode.AddTo);
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

    internal static PackedMatrix Weights(ThreadTeam team, DType type, int rows, int columns, int seed)
    {
        byte[] bytes = RandomRows.Create(type, rows, columns, seed);
        PackedMatrix matrix = PackedWeights.Create(type, rows, columns);
        fixed (byte* data = bytes)
            MatrixPacker.Pack(team, matrix, [new RowSource(data, type, rows, type.ByteSize(columns))]);
        return matrix;
    }

    internal static Tensor Random(int count, int seed)
    {
        Tensor tensor = Tensor.Allocate(DType.F32, Math.Max(count, 1));
        var random = new Random(seed);
        foreach (ref float value in tensor.F32)
            value = random.NextSingle() * 2 - 1;
        return tensor;
    }

    internal static double[] Doubles(int count, int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(_ => random.NextDouble() * 2 - 1)];
    }

    internal static void AssertSameBits(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual, string what)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (int i = 0; i < expected.Length; i++)
        {
            if (BitConverter.SingleToInt32Bits(expected[i]) != BitConverter.SingleToInt32Bits(actual[i]))
                Assert.Fail($"{what}: element {i} is {actual[i]:R}, the twin says {expected[i]:R}");
        }
    }

    private static void CompareAll(SimdLevel level, int threads, DType type)
    {
        using var _ = new LevelScope(level);
        using var team = new ThreadTeam(threads);
        foreach ((int tokens, int outputs, int shapeColumns) in s_shapes)
        {
            int columns = type.IsBlockType() ? (shapeColumns + type.BlockElements() - 1) / type.BlockElements() * type.BlockElements() : shapeColumns;
            int ldx = columns + 5, ldy = outputs + 2;
            using PackedMatrix w = Weights(team, type, outputs, columns, 7);
            using Tensor x = Random(tokens * ldx + 1, 1), y = Random(tokens * ldy + 1, 2), expected = Random(tokens * ldy + 1, 2), bias = Random(outputs, 3);
            using Tensor plain = Tensor.Allocate(DType.F32, Math.Max(1, outputs * columns));
            w.Unpack(plain.F32Pointer);
            float* b = columns % 2 == 0 ? bias.F32Pointer : null;
            MatMul.Twin(x.F32Pointer + 1, ldx, tokens, plain.F32Pointer, outputs, columns, b, expected.F32Pointer + 1, ldy);
            MatMul.Multiply(team, x.F32Pointer + 1, ldx, tokens, w, b, y.F32Pointer + 1, ldy);
            AssertSameBits(expected.F32, y.F32, $"{tokens}x{outputs}x{columns}");
        }
    }
}
