using System.Runtime.Intrinsics.X86;

namespace Glimmer.Kernels;

/// <summary>
/// The product of a block, 4 to 6 tokens times 32 rows: integer sums by <c>vpdpbusd</c> on 512-bit registers (AVX512_VNNI), then their part of the float chains. .NET has no intrinsic for it
/// (<see cref="AvxVnni"/> is another encoding, which the processors of Zen 4, Ice Lake and Cascade Lake lack), so the code is put together here: straight lines without branches, calls or stack
/// (docs/adr/0006-machine-code.md).
/// </summary>
/// <remarks>
/// <c>sum = starts[t] + sum_k code[row, k] x[t, k]</c>, exact in 32 bits; <c>c[t, row] = fma((float)sum, scale[row] * d[t], c[t, row])</c>, then with minima
/// <c>c[t, row] = fma(minimum[row], total[t], c[t, row])</c>: the order of <see cref="MatMul.BlockTwin"/>. Codes lie as in a packed panel: a word has 4 columns of a row, the words of 32 rows side by
/// side; nibbles as even and odd words in the halves of bytes. The code touches what its argument points to and the registers rax, rdx, r8 to r11, zmm0 to zmm4 and zmm16 to zmm31, which belong
/// to nobody in both calling conventions. Encoding: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, section 2.7 (EVEX).
/// </remarks>
internal static unsafe class BlockSums512
{
    /// <summary>Tokens of the smallest tile.</summary>
    public const int LeastTokens = 4;

    private const int Accumulators = 16; // the first of two a token
    private const int Mask = 4;
    private const int Scales = 28; // two, then two of minima

    /// <summary>What the code reads and writes.</summary>
    internal struct Arguments
    {
        /// <summary>Codes of the block.</summary>
        public byte* Codes;

        /// <summary>Activations, 4 bytes a token, step after step.</summary>
        public byte* X;

        /// <summary>Scales of the tokens, d.</summary>
        public float* D;

        /// <summary>Start values of the sums; two rows behind them their sums of activations times d, the totals.</summary>
        public int* Starts;

        /// <summary>Scales of 32 rows, then their minima where there are any.</summary>
        public float* Scales;

        /// <summary>Chains, 32 a token.</summary>
        public float* C;

        /// <summary>Bytes from the chains of a token to those of the next.</summary>
        public nint Stride;
    }

    private static readonly byte*[] s_code = Assemble();

    /// <summary>Whether this processor and system run it.</summary>
    public static bool IsSupported { get; } = s_code.Length > 0;

    /// <summary>Whether kernels use it. Tests turn it off to see the other forms.</summary>
    internal static bool IsEnabled { get; set; } = IsSupported;

    /// <summary>The code for a tile.</summary>
    /// <param name="tokens">4 to 6.</param>
    /// <param name="nibbles">Whether codes lie in nibbles, else in bytes.</param>
    /// <param name="steps">Steps of 4 columns: 8, or 4 for bytes.</param>
    /// <param name="minima">Whether rows have minima.</param>
    public static delegate* unmanaged[SuppressGCTransition]<Arguments*, void> Of(int tokens, bool nibbles, int steps, bool minima) =>
        (delegate* unmanaged[SuppressGCTransition]<Arguments*, void>)s_code[((tokens - LeastTokens) * 6) + (nibbles ? 0 : steps == 8 ? 2 : 4) + (minima ? 1 : 0)];

    private static byte*[] Assemble()
    {
        const int Avx512Vnni = 1 << 11;
        if (!Avx512BW.IsSupported || (X86Base.CpuId(7, 0).Ecx & Avx512Vnni) == 0)
            return [];
        var code = new List<byte>();
        var starts = new List<int>();
        for (int tokens = LeastTokens; tokens <= BlockKernel.TileTokens; tokens++)
        {
            foreach ((bool nibbles, int steps) in (ReadOnlySpan<(bool, int)>)[(true, 8), (false, 8), (false, 4)])
            {
                foreach (bool minima in (ReadOnlySpan<bool>)[false, true])
                {
                    while (code.Count % 64 != 0)
                        code.Add(0xCC); // int3: never reached
                    starts.Add(code.Count);
                    Write(new Assembler(code), tokens, nibbles, steps, minima);
                }
            }
        }

        byte* memory = MachineCode.Place(code.ToArray());
        if (memory == null)
            return [];
        var entries = new byte*[starts.Count];
        for (int i = 0; i < entries.Length; i++)
            entries[i] = memory + starts[i];
        return entries;
    }

    private static void Write(Assembler assembler, int tokens, bool nibbles, int steps, bool minima)
    {
        // The first integer argument of System V, or of Windows, and registers that are free in both.
        int arguments = OperatingSystem.IsWindows() ? 1 : 7;
        const int codes = 0, x = 2, starts = 8, scales = 9, c = 10, stride = 11, d = codes; // d takes the place of the codes
        if (nibbles)
            assembler.BroadcastConstant(Mask, 0x0F0F0F0F); // by way of eax
        assembler.LoadAddress(codes, arguments, 0);
        assembler.LoadAddress(x, arguments, 8);
        assembler.LoadAddress(starts, arguments, 24);
        assembler.LoadAddress(scales, arguments, 32);
        assembler.LoadAddress(c, arguments, 40);
        assembler.LoadAddress(stride, arguments, 48);
        for (int t = 0; t < tokens; t++)
        {
            assembler.Broadcast(Accumulators + (2 * t), starts, 4 * t);
            assembler.Move(Accumulators + (2 * t) + 1, Accumulators + (2 * t));
        }

        for (int pair = 0; pair < steps / 2; pair++)
        {
            // zmm0, zmm1: the even step of rows 0 to 15 and 16 to 31; zmm2, zmm3: the odd one.
            if (nibbles)
            {
                assembler.Load(0, codes, pair * 128);
                assembler.Load(1, codes, (pair * 128) + 64);
                for (int half = 0; half < 2; half++)
                {
                    assembler.ShiftRightWords(2 + half, half, 4);
                    assembler.And(half, half, Mask);
                    assembler.And(2 + half, 2 + half, Mask);
                }
            }
            else
            {
                for (int register = 0; register < 4; register++)
                    assembler.Load(register, codes, (pair * 256) + (64 * register));
            }

            for (int odd = 0; odd < 2; odd++)
            {
                for (int t = 0; t < tokens; t++)
                {
                    int at = 4 * ((((2 * pair) + odd) * tokens) + t);
                    assembler.DotBroadcast(Accumulators + (2 * t), 2 * odd, x, at);
                    assembler.DotBroadcast(Accumulators + (2 * t) + 1, (2 * odd) + 1, x, at);
                }
            }
        }

        assembler.LoadAddress(d, arguments, 16);
        for (int i = 0; i < (minima ? 4 : 2); i++)
            assembler.Load(Scales + i, scales, 64 * i);
        for (int t = 0; t < tokens; t++)
        {
            for (int half = 0; half < 2; half++)
            {
                int sum = Accumulators + (2 * t) + half;
                assembler.ToSingle(sum, sum);
                assembler.MultiplyBroadcast(half, Scales + half, d, 4 * t);
                assembler.MultiplyAdd(sum, half, c, 64 * half);
                if (minima)
                    assembler.AddProductBroadcast(sum, Scales + 2 + half, starts, 4 * ((2 * tokens) + t));
                assembler.Store(sum, c, 64 * half);
            }

            assembler.Add(c, stride);
        }

        assembler.Return();
    }

    /// <summary>Writes instructions, most of them on 512-bit registers. Addresses are a base register, 0 to 15, and a displacement of 32 bits.</summary>
    private readonly struct Assembler(List<byte> code)
    {
        private const int Map0F = 1, Map0F38 = 2, None = 0, None66 = 1, NoneF3 = 2;

        /// <summary><c>vmovdqu32 zmm, [base + displacement]</c>.</summary>
        public void Load(int register, int @base, int displacement) => Memory(Map0F, NoneF3, 0x6F, register, 0, @base, displacement, broadcast: false);

        /// <summary><c>vmovdqu32 [base + displacement], zmm</c>.</summary>
        public void Store(int register, int @base, int displacement) => Memory(Map0F, NoneF3, 0x7F, register, 0, @base, displacement, broadcast: false);

        /// <summary><c>vpbroadcastd zmm, dword [base + displacement]</c>.</summary>
        public void Broadcast(int register, int @base, int displacement) => Memory(Map0F38, None66, 0x58, register, 0, @base, displacement, broadcast: false);

        /// <summary><c>vpdpbusd sum, codes, dword [base + displacement] {1to16}</c>.</summary>
        public void DotBroadcast(int sum, int codes, int @base, int displacement) => Memory(Map0F38, None66, 0x50, sum, codes, @base, displacement, broadcast: true);

        /// <summary><c>mov to, [base + displacement]</c>, 64 bits.</summary>
        public void LoadAddress(int to, int @base, byte displacement) => code.AddRange([(byte)(0x48 | (to >= 8 ? 4 : 0)), 0x8B, (byte)(0x40 | ((to & 7) << 3) | @base), displacement]);

        /// <summary><c>add to, from</c>, registers r8 to r15.</summary>
        public void Add(int to, int from) => code.AddRange([0x4D, 0x01, (byte)(0xC0 | ((from & 7) << 3) | (to & 7))]);

        /// <summary><c>vcvtdq2ps to, from</c>.</summary>
        public void ToSingle(int to, int from) => Registers(Map0F, None, 0x5B, to, 0, from);

        /// <summary><c>vmulps to, a, dword [base + displacement] {1to16}</c>.</summary>
        public void MultiplyBroadcast(int to, int a, int @base, int displacement) => Memory(Map0F, None, 0x59, to, a, @base, displacement, broadcast: true);

        /// <summary><c>vfmadd213ps a, b, [base + displacement]</c>: a = b a + memory.</summary>
        public void MultiplyAdd(int a, int b, int @base, int displacement) => Memory(Map0F38, None66, 0xA8, a, b, @base, displacement, broadcast: false);

        /// <summary><c>vfmadd231ps sum, a, dword [base + displacement] {1to16}</c>: sum = a memory + sum.</summary>
        public void AddProductBroadcast(int sum, int a, int @base, int displacement) => Memory(Map0F38, None66, 0xB8, sum, a, @base, displacement, broadcast: true);

        /// <summary><c>vmovdqa32 to, from</c>.</summary>
        public void Move(int to, int from) => Registers(Map0F, None66, 0x6F, to, 0, from);

        /// <summary><c>vpandd to, a, b</c>.</summary>
        public void And(int to, int a, int b) => Registers(Map0F, None66, 0xDB, to, a, b);

        /// <summary><c>vpsrlw to, from, bits</c>.</summary>
        public void ShiftRightWords(int to, int from, byte bits)
        {
            Registers(Map0F, None66, 0x71, 2, to, from);
            code.Add(bits);
        }

        /// <summary><c>mov eax, value; vpbroadcastd zmm, eax</c>.</summary>
        public void BroadcastConstant(int register, uint value)
        {
            code.Add(0xB8);
            code.AddRange(BitConverter.GetBytes(value));
            Registers(Map0F38, None66, 0x7C, register, 0, 0);
        }

        /// <summary><c>ret</c>.</summary>
        public void Return() => code.Add(0xC3);

        private void Memory(int map, int prefix, byte opcode, int register, int second, int @base, int displacement, bool broadcast)
        {
            Prefix(map, prefix, register, second, @base & 15, broadcast);
            code.Add(opcode);
            code.Add((byte)(0x80 | ((register & 7) << 3) | (@base & 7)));
            code.AddRange(BitConverter.GetBytes(displacement));
        }

        private void Registers(int map, int prefix, byte opcode, int register, int second, int third)
        {
            Prefix(map, prefix, register, second, third, broadcast: false);
            code.Add(opcode);
            code.Add((byte)(0xC0 | ((register & 7) << 3) | (third & 7)));
        }

        // 62, then three bytes with the high bits of the registers inverted; W is 0, the length 512 bits.
        private void Prefix(int map, int prefix, int register, int second, int third, bool broadcast)
        {
            int highs = ((register & 8) << 4) | ((third & 16) << 2) | ((third & 8) << 2) | (register & 16);
            code.Add(0x62);
            code.Add((byte)((highs ^ 0xF0) | map));
            code.Add((byte)(((~second & 15) << 3) | 4 | prefix));
            code.Add((byte)(0x40 | (broadcast ? 0x10 : 0) | ((second & 16) == 0 ? 8 : 0)));
        }
    }
}
