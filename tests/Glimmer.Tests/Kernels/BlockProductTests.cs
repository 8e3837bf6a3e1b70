using Glimmer.Kernels;
using Glimmer.Quantization;
using Glimmer.Tensors;
using Glimmer.Tests.Quantization;

namespace Glimmer.Tests.Kernels;

/// <summary>Products with packed quantised weights: with 8-bit activations, and with fp32 ones.</summary>
[Collection("Simd level")]
public unsafe class BlockProductTests
{
    // Tokens, outputs, and columns in blocks of the type.
    private static readonly (int Tokens, int Outputs, int Blocks)[] s_shapes =
    [
        (0, 5, 1), (1, 0, 1), (3, 4, 0), (1, 1, 1), (1, 32, 2), (1, 100, 3), (2, 64, 1), (3, 33, 2), (4, 65, 2), (5, 40, 1), (6, 31, 2), (7, 96, 1), (8, 17, 2), (13, 33, 3),
        (25, 70, 1), (103, 37, 2),
    ];

    public static TheoryData<SimdLevel, int> LevelsAndThreads() => MatMulTests.LevelsAndThreads();

    public static TheoryData<DType> Types() => PackedBlocksTests.Types();

    [Theory]
    [MemberData(nameof(LevelsAndThreads))]
    public void Products_with_8_bit_activations_equal_the_twin_in_bits(SimdLevel level, int threads) => Each(level, threads, (team, w, type, x, ldx, tokens, bias, expected, y, ldy) =>
    {
        BlockKernel kernel = BlockKernel.For(type)!;
        MatMul.BlockTwin(x, ldx, tokens, w, bias, expected, ldy, kernel.ColumnsOfScale, kernel.HasMinimum);
        MatMul.MultiplyBlocks(team, x, ldx, tokens, w, bias, y, ldy);
    });

    [Fact]
    public void Without_machine_code_the_bits_are_the_same()
    {
        using var _ = new WithoutMachineCode();
        Products_with_8_bit_activations_equal_the_twin_in_bits(Simd.Best, 2);
    }

    // Sums of 16 bits hold the largest codes times the largest activations, whatever the signs of the two halves of a word.
    [Theory]
    [InlineData(DType.Q4_0, 0x00)]
    [InlineData(DType.Q4_0, 0xFF)]
    [InlineData(DType.Q4_1, 0xFF)]
    [InlineData(DType.Q8_0, 0x80)]
    [InlineData(DType.Q8_0, 0x7F)]
    public void Extreme_codes_and_activations_do_not_overflow(DType type, int code)
    {
        const int Columns = 64, Outputs = 32, Tokens = 6;
        using var team = new ThreadTeam(1);
        using Tensor rows = Tensor.Allocate(type, Outputs, Columns), x = Tensor.Allocate(DType.F32, Tokens, Columns);
        int header = type == DType.Q4_1 ? 4 : 2;
        for (int i = 0; i < rows.Bytes.Length; i++)
        {
            int at = i % type.BlockBytes();
            rows.Bytes[i] = at >= header ? (byte)code : (byte)(at % 2 == 1 ? 0x3C : 0); // scale (and minimum) 1
        }

        using PackedMatrix w = MatrixPacker.Pack(team, PackedWeights.Create(type, Outputs, Columns), [new RowSource(rows)]);
        for (int i = 0; i < x.Count; i++)
        {
            int token = i / Columns;
            bool isNegative = token switch { 0 => false, 1 => true, 2 => i % 4 < 2, 3 => i % 4 >= 2, 4 => i % 2 == 0, _ => i % 3 == 0 };
            x.F32[i] = isNegative ? -127 : 127;
        }

        BlockKernel kernel = BlockKernel.For(type)!;
        using Tensor expected = Tensor.Allocate(DType.F32, Tokens, Outputs), y = Tensor.Allocate(DType.F32, Tokens, Outputs);
        MatMul.BlockTwin(x.F32Pointer, Columns, Tokens, w, null, expected.F32Pointer, Outputs, kernel.ColumnsOfScale, kernel.HasMinimum);
        foreach (SimdLevel level in LevelScope.All())
        {
            using var _ = new LevelScope(level);
            foreach (int tokens in (ReadOnlySpan<int>)[1, 3, 4, 6])
            {
                MatMul.MultiplyBlocks(team, x.F32Pointer, Columns, tokens, w, null, y.F32Pointer, Outputs);
                MatMulTests.AssertSameBits(expected.F32[..(tokens * Outputs)], y.F32[..(tokens * Outputs)], $"{type} {code} {level} {tokens}");
                using var without = new WithoutMachineCode();
                MatMul.MultiplyBlocks(team, x.F32Pointer, Columns, tokens, w, null, y.F32Pointer, Outputs);
                MatMulTests.AssertSameBits(expected.F32[..(tokens * Outputs)], y.F32[..(tokens * Outputs)], $"{type} {code} {level} {tokens}, no machine code");
            }
        }
    }

    [Theory]
    [MemberData(nameof(LevelsAndThreads))]
    public void Products_with_fp32_activations_equal_the_twin_in_bits(SimdLevel level, int threads) => Each(level, threads, (team, w, type, x, ldx, tokens, bias, expected, y, ldy) =>
    {
        using Tensor plain = Tensor.Allocate(DType.F32, Math.Max(1, w.Rows * w.Columns));
        w.Unpack(plain.F32Pointer);
        MatMul.Twin(x, ldx, tokens, plain.F32Pointer, w.Rows, w.Columns, bias, expected, ldy);
        MatMul.Multiply(team, x, ldx, tokens, w, bias, y, ldy);
    });

    [Theory]
    [MemberData(nameof(LevelsAndThreads))]
    public void Input_gradients_without_a_copy_equal_those_of_the_transposed_matrix_in_bits(SimdLevel level, int threads)
    {
        using var _ = new LevelScope(level);
        using var team = new ThreadTeam(threads);
        foreach (DType type in RandomRows.BlockTypes)
        {
            foreach ((int tokens, int outputs, int blocks) in (ReadOnlySpan<(int, int, int)>)[(1, 1, 1), (3, 31, 2), (7, 300, 1), (14, 513, 3)])
            {
                int columns = blocks * type.BlockElements(), lddy = outputs + 3;
                using PackedMatrix w = MatMulTests.Weights(team, type, outputs, columns, 5);
                using Tensor dy = MatMulTests.Random(tokens * lddy, 1), expected = Tensor.Allocate(DType.F32, tokens, columns), actual = MatMulTests.Random(tokens * columns, 2);
                using Tensor plain = Tensor.Allocate(DType.F32, outputs, columns), scratch = Tensor.Allocate(DType.F32, (int)MatMul.InputGradientScratch(w));
                w.Unpack(plain.F32Pointer);
                using PackedMatrix transposed = MatrixPacker.PackTransposed(team, new PackedF32(columns, outputs), [new RowSource(plain)]);
                MatMul.Multiply(team, dy.F32Pointer, lddy, tokens, transposed, null, expected.F32Pointer, columns);
                MatMul.InputGradient(team, dy.F32Pointer, lddy, tokens, w, actual.F32Pointer, columns, scratch.F32Pointer);
                MatMulTests.AssertSameBits(expected.F32, actual.F32, $"{type} {tokens}x{outputs}x{columns}");
            }
        }
    }

    [Theory]
    [MemberData(nameof(Types))]
    public void A_token_gets_the_same_bits_alone_and_among_others(DType type)
    {
        using var team = new ThreadTeam(2);
        const int Tokens = 600, Outputs = 70;
        int columns = 2 * type.BlockElements();
        using PackedMatrix w = MatMulTests.Weights(team, type, Outputs, columns, 3);
        using Tensor x = MatMulTests.Random(Tokens * columns, 4), all = Tensor.Allocate(DType.F32, Tokens, Outputs), one = Tensor.Allocate(DType.F32, 1, Outputs);
        MatMul.MultiplyBlocks(team, x.F32Pointer, columns, Tokens, w, null, all.F32Pointer, Outputs);
        for (int t = 0; t < Tokens; t++)
        {
            MatMul.MultiplyBlocks(team, x.F32Pointer + t * columns, columns, 1, w, null, one.F32Pointer, Outputs);
            MatMulTests.AssertSameBits(one.F32, all.Row(t).F32, $"{type} token {t}");
        }
    }

    [Theory]
    [MemberData(nameof(LevelsAndThreads))]
    public void A_job_list_of_mixed_types_equals_the_single_products(SimdLevel level, int threads)
    {
        using var _ = new LevelScope(level);
        using var team = new ThreadTeam(threads);
        const int Columns = 256, Outputs = 70, Rows = 50;
        using Tensor x = MatMulTests.Random(Rows * Columns, 4);
        int* gather = stackalloc int[64];
        for (int i = 0; i < 64; i++)
            gather[i] = i * 37 % Rows;
        DType[] types = [DType.Q4_K, DType.Q4_K, DType.F32, DType.Q6_K, DType.BF16, DType.Q8_0, DType.Q8_0, DType.Q4_1];
        int[] counts = [30, 30, 3, 1, 0, 12, 12, 5];
        var jobs = new MatMulJob[types.Length];
        var outputs = new Tensor[types.Length];
        for (int i = 0; i < types.Length; i++)
        {
            outputs[i] = Tensor.Allocate(DType.F32, 64, Outputs);
            jobs[i] = new MatMulJob
            {
                X = x.F32Pointer,
                Gather = i % 4 < 2 ? gather + i / 2 : null,
                LdX = Columns,
                Tokens = counts[i],
                Weights = MatMulTests.Weights(team, types[i], Outputs, Columns, i),
                Y = outputs[i].F32Pointer,
                LdY = Outputs,
            };
        }

        MatMul.MultiplyBlocks(team, jobs);
        using Tensor row = Tensor.Allocate(DType.F32, Outputs);
        for (int i = 0; i < types.Length; i++)
        {
            for (int t = 0; t < counts[i]; t++)
            {
                int from = jobs[i].Gather == null ? t : jobs[i].Gather[t];
                MatMul.MultiplyBlocks(team, x.F32Pointer + from * Columns, Columns, 1, jobs[i].Weights, null, row.F32Pointer, Outputs);
                MatMulTests.AssertSameBits(row.F32, outputs[i].Row(t).F32, $"job {i} token {t}");
            }

            jobs[i].Weights.Dispose();
            outputs[i].Dispose();
        }
    }

    [Fact]
    public void Blocks_that_are_zero_tiny_or_not_finite_stay_in_their_token()
    {
        using var team = new ThreadTeam(1);
        const int Columns = 64, Outputs = 40;
        using PackedMatrix w = MatMulTests.Weights(team, DType.Q8_0, Outputs, Columns, 3);
        using Tensor x = MatMulTests.Random(5 * Columns, 4), y = Tensor.Allocate(DType.F32, 5, Outputs), expected = Tensor.Allocate(DType.F32, 5, Outputs);
        x.F32.Slice(0, Columns).Clear();
        x.F32.Slice(Columns, Columns).Fill(1e-33f);
        x.F32[2 * Columns + 3] = float.NaN;
        x.F32[3 * Columns + 40] = float.PositiveInfinity;
        MatMul.BlockTwin(x.F32Pointer, Columns, 5, w, null, expected.F32Pointer, Outputs, 32, hasMinimum: false);
        MatMul.MultiplyBlocks(team, x.F32Pointer, Columns, 5, w, null, y.F32Pointer, Outputs);
        for (int t = 0; t < 5; t++)
        {
            for (int o = 0; o < Outputs; o++)
            {
                float value = y.Row(t).F32[o];
                Assert.Equal(expected.Row(t).F32[o], value);
                Assert.Equal(t is 2 or 3, float.IsNaN(value));
                Assert.True(t > 1 || value == 0);
            }
        }
    }

    private delegate void Product(
        ThreadTeam team, PackedMatrix w, DType type, float* x, int ldx, int tokens, float* bias, float* expected, float* y, int ldy);

    private static void Each(SimdLevel level, int threads, Product product)
    {
        using var _ = new LevelScope(level);
        using var team = new ThreadTeam(threads);
        foreach (DType type in RandomRows.BlockTypes)
        {
            foreach ((int tokens, int outputs, int blocks) in s_shapes)
            {
                int columns = blocks * type.BlockElements(), ldx = columns + 5, ldy = outputs + 2;
                using PackedMatrix w = MatMulTests.Weights(team, type, outputs, columns, 7);
                using Tensor x = MatMulTests.Random(tokens * ldx + 1, 1), y = MatMulTests.Random(tokens * ldy + 1, 2), expected = MatMulTests.Random(tokens * ldy + 1, 2);
                using Tensor bias = MatMulTests.Random(outputs, 3);
                product(team, w, type, x.F32Pointer + 1, ldx, tokens, blocks % 2 == 0 ? bias.F32Pointer : null, expected.F32Pointer + 1, y.F32Pointer + 1, ldy);
                MatMulTests.AssertSameBits(expected.F32, y.F32, $"{type} {tokens}x{outputs}x{columns}");
            }
        }
    }

    private sealed class WithoutMachineCode : IDisposable
    {
        public WithoutMachineCode() => BlockSums512.IsEnabled = false;

        public void Dispose() => BlockSums512.IsEnabled = BlockSums512.IsSupported;
    }
}
