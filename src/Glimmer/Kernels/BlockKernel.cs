using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Glimmer.Tensors;

namespace Glimmer.Kernels;

/// <summary>What the kernels do with the panels of one quantised type: integer products, and expansion to fp32.</summary>
internal abstract unsafe class BlockKernel
{
    /// <summary>Tokens of the largest tile.</summary>
    public const int TileTokens = 6;

    /// <summary>Tiles of so many tokens.</summary>
    public static int Tiles(int tokens) => (tokens + TileTokens - 1) / TileTokens;

    /// <summary>First token of a tile: the first tiles have one token more than the others.</summary>
    public static int TileStart(int tile, int tokens) => (tile * (tokens / Tiles(tokens))) + Math.Min(tile, tokens % Tiles(tokens));

    private static readonly BlockKernel?[] s_kernels = new BlockKernel?[Enum.GetValues<DType>().Length];

    /// <summary>What multiplies bytes on this processor.</summary>
    public static string Instructions =>
        BlockSums512.IsSupported ? "AVX512_VNNI" : AvxVnni.IsSupported ? "AVX-VNNI" : Simd.Best == SimdLevel.Avx512 ? "AVX-512 BW" : Simd.Best == SimdLevel.Avx2 ? "AVX2" : "portable code";

    /// <summary>Columns that share a scale: 32, or 16.</summary>
    public abstract int ColumnsOfScale { get; }

    /// <summary>Whether weights have a minimum.</summary>
    public abstract bool HasMinimum { get; }

    /// <summary>The kernels of a type; null for types without integer blocks.</summary>
    public static BlockKernel? For(DType type) => Volatile.Read(ref s_kernels[(int)type]);

    /// <summary>Makes the kernels of a layout known; the packed matrix of that layout does so before the first one exists.</summary>
    public static void Register<TFormat>()
        where TFormat : struct, IBlockFormat => Volatile.Write(ref s_kernels[(int)TFormat.Type], new Of<TFormat>());

    /// <summary>Quantises a row of activations into its place in a tile.</summary>
    public abstract void Quantize(float* x, int columns, int token, int tokens, byte* tile);

    /// <summary>All chains of a tile of 1 to 6 tokens with the 32 rows of a panel; see <see cref="MatMul.BlockTwin"/>.</summary>
    /// <param name="x">The tile of activations.</param>
    /// <param name="tokens">Its tokens.</param>
    /// <param name="panel">The panel.</param>
    /// <param name="columns">Length of the chains.</param>
    /// <param name="c">Results, 32 a token.</param>
    /// <param name="ldc">Distance of the tokens in <paramref name="c"/>.</param>
    /// <param name="bias">32 numbers, or null.</param>
    /// <param name="prepared">The panel's scales, worth preparing for three tiles and more, or null.</param>
    public abstract void Multiply(byte* x, int tokens, byte* panel, int columns, float* c, nint ldc, float* bias, float* prepared);

    /// <summary>
    /// Writes the scales of a panel as fp32: for each block (half block, where the type has scales for 16 columns) 32 scales, then 32 minima if the type has
    /// them. Behind them, where the tile of <see cref="BlockTileVnni512"/> wants it, the codes as bytes.
    /// </summary>
    public abstract void Prepare(byte* panel, int columns, float* prepared);

    /// <summary>Stores a row of GGUF blocks into a panel.</summary>
    /// <returns>False when a scale is not finite.</returns>
    public abstract bool Pack(byte* blocks, int columns, byte* panel, int row);

    /// <summary>Floats that <see cref="Prepare"/> writes.</summary>
    public abstract int PreparedFloats(int columns);

    /// <summary>Writes columns <paramref name="from"/> to <paramref name="from"/> + <paramref name="count"/> - 1 of a panel as fp32, 32 numbers each.</summary>
    /// <param name="panel">First byte of the panel.</param>
    /// <param name="from">First column, at a boundary of super-blocks.</param>
    /// <param name="count">Columns, a whole number of super-blocks.</param>
    /// <param name="output">[count, 32].</param>
    public abstract void Expand(byte* panel, int from, int count, float* output);

    /// <summary>The kernels of one layout.</summary>
    private sealed class Of<TFormat> : BlockKernel
        where TFormat : struct, IBlockFormat
    {
        public override int ColumnsOfScale => TFormat.HasHalves ? 16 : 32;

        public override bool HasMinimum => TFormat.HasMinimum;

        public override int PreparedFloats(int columns) => ScaleFloats(columns) + (ExpandsCodes ? columns * PackedMatrix.PanelRows / sizeof(float) : 0);

        private static bool ExpandsCodes => UsesWide512 && BlockSums512.IsEnabled && BlockTileVnni512.ExpandsCodes<TFormat>();

        private static bool UsesWide512 => Simd.Level == SimdLevel.Avx512 && BlockTile512.IsSupported;

        private static int ScaleFloats(int columns) => columns / (TFormat.HasHalves ? 16 : 32) * PackedMatrix.PanelRows * (TFormat.HasMinimum ? 2 : 1);

        public override void Quantize(float* x, int columns, int token, int tokens, byte* tile) =>
            BlockActivations.Quantize(x, columns, token, tokens, TFormat.Offset, TFormat.HasHalves, tile);

        public override bool Pack(byte* blocks, int columns, byte* panel, int row)
        {
            int elements = TFormat.Type.BlockElements(), bytes = TFormat.HeaderBytes + (elements / BlockActivations.Columns * TFormat.BlockBytes);
            bool finite = true;
            for (; columns > 0; columns -= elements, blocks += TFormat.Type.BlockBytes(), panel += bytes)
                finite &= TFormat.Pack(blocks, panel, row);
            return finite;
        }

        // AVX-VNNI comes with AVX2 and AVX-512 machines alike; a lowered level leaves it out, so that tests see the other forms.
        public override void Multiply(byte* x, int tokens, byte* panel, int columns, float* c, nint ldc, float* bias, float* prepared)
        {
            if (AvxVnni.IsSupported && Simd.Level == Simd.Best)
                Multiply<VnniDot>(x, tokens, panel, columns, c, ldc, bias, prepared);
            else if (Simd.Level >= SimdLevel.Avx2 && Avx2ShortDot.Holds(TFormat.MostCode, TFormat.Offset, ColumnsOfScale))
                Multiply<Avx2ShortDot>(x, tokens, panel, columns, c, ldc, bias, prepared);
            else if (Simd.Level >= SimdLevel.Avx2)
                Multiply<Avx2Dot>(x, tokens, panel, columns, c, ldc, bias, prepared);
            else
                Multiply<PortableDot>(x, tokens, panel, columns, c, ldc, bias, prepared);
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public override void Prepare(byte* panel, int columns, float* prepared)
        {
            int blocks = TFormat.Type.BlockElements() / BlockActivations.Columns, step = TFormat.HasMinimum ? 64 : 32;
            byte* codes = ExpandsCodes ? (byte*)(prepared + ScaleFloats(columns)) : null;
            for (columns /= BlockActivations.Columns; columns > 0; columns -= blocks)
            {
                byte* header = panel;
                panel += TFormat.HeaderBytes;
                for (int block = 0; block < blocks; block++, panel += TFormat.BlockBytes)
                {
                    if (codes != null)
                    {
                        BlockTileVnni512.Expand<TFormat>(panel + TFormat.CodesAt, codes);
                        codes += BlockActivations.Columns * PackedMatrix.PanelRows;
                    }

                    for (int half = 0; half < (TFormat.HasHalves ? 2 : 1); half++, prepared += step)
                    {
                        for (int register = 0; register < 4; register++)
                        {
                            TFormat.Header(header, register, out Vector256<float> headerScale, out Vector256<float> headerMinimum);
                            TFormat.Scales(panel, half, register, headerScale, headerMinimum, out Vector256<float> scale, out Vector256<float> minimum);
                            scale.Store(prepared + 8 * register);
                            if (TFormat.HasMinimum)
                                minimum.Store(prepared + 32 + 8 * register);
                        }
                    }
                }
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public override void Expand(byte* panel, int from, int count, float* output)
        {
            int blocks = TFormat.Type.BlockElements() / BlockActivations.Columns;
            panel += (long)(from / TFormat.Type.BlockElements()) * (TFormat.HeaderBytes + blocks * TFormat.BlockBytes);
            for (count /= BlockActivations.Columns; count > 0; count -= blocks)
            {
                byte* header = panel;
                panel += TFormat.HeaderBytes;
                for (int block = 0; block < blocks; block++, panel += TFormat.BlockBytes, output += BlockActivations.Columns * PackedMatrix.PanelRows)
                {
                    for (int register = 0; register < 4; register++)
                        ExpandBlock(header, panel, register, output + 8 * register);
                }
            }
        }

        // 32 columns of 8 rows.
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void ExpandBlock(byte* header, byte* block, int register, float* output)
        {
            TFormat.Header(header, register, out Vector256<float> headerScale, out Vector256<float> headerMinimum);
            Vector256<float> scale = default, minimum = default;
            for (int pair = 0; pair < 4; pair++, output += 8 * PackedMatrix.PanelRows)
            {
                if (pair == 0 || (pair == 2 && TFormat.HasHalves))
                    TFormat.Scales(block, pair / 2, register, headerScale, headerMinimum, out scale, out minimum);
                TFormat.Codes(block + TFormat.CodesAt, pair, register, out Vector256<byte> even, out Vector256<byte> odd);
                Weight(even, 0, scale, minimum).Store(output);
                Weight(even, 1, scale, minimum).Store(output + PackedMatrix.PanelRows);
                Weight(even, 2, scale, minimum).Store(output + 2 * PackedMatrix.PanelRows);
                Weight(even, 3, scale, minimum).Store(output + 3 * PackedMatrix.PanelRows);
                Weight(odd, 0, scale, minimum).Store(output + 4 * PackedMatrix.PanelRows);
                Weight(odd, 1, scale, minimum).Store(output + 5 * PackedMatrix.PanelRows);
                Weight(odd, 2, scale, minimum).Store(output + 6 * PackedMatrix.PanelRows);
                Weight(odd, 3, scale, minimum).Store(output + 7 * PackedMatrix.PanelRows);
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector256<float> Weight(Vector256<byte> codes, int column, Vector256<float> scale, Vector256<float> minimum)
        {
            Vector256<int> code = Vector256.ShiftRightLogical(codes.AsInt32(), 8 * column) & Vector256.Create(255);
            Vector256<float> value = Vector256.ConvertToSingle(code - Vector256.Create(TFormat.Offset));
            return TFormat.HasMinimum ? Vector256.FusedMultiplyAdd(scale, value, minimum) : scale * value;
        }

        private static void Multiply<TDot>(byte* x, int tokens, byte* panel, int columns, float* c, nint ldc, float* bias, float* prepared)
            where TDot : struct, IBlockDot
        {
            switch (tokens)
            {
                case 1:
                    BlockWideTile.Run<Rows1, TFormat, TDot>(x, panel, columns, c, ldc, bias);
                    break;
                case 2:
                    BlockWideTile.Run<Rows2, TFormat, TDot>(x, panel, columns, c, ldc, bias);
                    break;
                case 3:
                    BlockWideTile.Run<Rows3, TFormat, TDot>(x, panel, columns, c, ldc, bias);
                    break;
                default:
                    if (UsesWide512 && (BlockSums512.IsEnabled || typeof(TDot) != typeof(VnniDot)))
                    {
                        Wide512(x, tokens, panel, columns, c, ldc, bias, prepared);
                        return;
                    }

                    Narrow<TDot>(x, tokens, panel, 0, columns, c, ldc, bias, prepared);
                    Narrow<TDot>(x, tokens, panel, 2, columns, c + 16, ldc, bias == null ? null : bias + 16, prepared);
                    break;
            }
        }

        private static byte* Codes(float* prepared, int columns) => prepared != null && ExpandsCodes ? (byte*)(prepared + ScaleFloats(columns)) : null;

        private static void Wide512(byte* x, int tokens, byte* panel, int columns, float* c, nint ldc, float* bias, float* prepared)
        {
            switch (tokens)
            {
                case 4 when BlockSums512.IsEnabled:
                    BlockTileVnni512.Run<Rows4, TFormat>(x, panel, columns, c, ldc, bias, prepared, Codes(prepared, columns));
                    break;
                case 5 when BlockSums512.IsEnabled:
                    BlockTileVnni512.Run<Rows5, TFormat>(x, panel, columns, c, ldc, bias, prepared, Codes(prepared, columns));
                    break;
                case 6 when BlockSums512.IsEnabled:
                    BlockTileVnni512.Run<Rows6, TFormat>(x, panel, columns, c, ldc, bias, prepared, Codes(prepared, columns));
                    break;
                case 4:
                    BlockTile512.Run<Rows4, TFormat>(x, panel, columns, c, ldc, bias, prepared);
                    break;
                case 5:
                    BlockTile512.Run<Rows5, TFormat>(x, panel, columns, c, ldc, bias, prepared);
                    break;
                case 6:
                    BlockTile512.Run<Rows6, TFormat>(x, panel, columns, c, ldc, bias, prepared);
                    break;
                default:
                    throw new ArgumentOutOfRangeException(nameof(tokens), tokens, "A tile has 1 to 6 tokens.");
            }
        }

        private static void Narrow<TDot>(byte* x, int tokens, byte* panel, int register, int columns, float* c, nint ldc, float* bias, float* prepared)
            where TDot : struct, IBlockDot
        {
            switch (tokens)
            {
                case 4:
                    BlockTile.Run<Rows4, TFormat, TDot>(x, panel, register, columns, c, ldc, bias, prepared);
                    break;
                case 5:
                    BlockTile.Run<Rows5, TFormat, TDot>(x, panel, register, columns, c, ldc, bias, prepared);
                    break;
                case 6:
                    BlockTile.Run<Rows6, TFormat, TDot>(x, panel, register, columns, c, ldc, bias, prepared);
                    break;
                default:
                    throw new ArgumentOutOfRangeException(nameof(tokens), tokens, "A tile has 1 to 6 tokens.");
            }
        }
    }
}
