using System.Runtime.Intrinsics.X86;

namespace Glimmer.Kernels;

/// <summary>
/// The integer sums of a block, 4 to 6 tokens times 32 rows, by <c>vpdpbusd</c> on 512-bit registers (AVX512_VNNI). .NET has no intrinsic for it (<see cref="AvxVnni"/> is another
/// encoding, which the processors of Zen 4, Ice Lake and Cascade Lake lack), so the code is put together here: straight lines without branches, calls or stack (docs/adr/0006-machine-code.md).
/// </summary>
/// <remarks>
/// <c>sums[t, row] = starts[t] + sum_k code[row, k] x[t, k]</c>, exact in 32 bits. Codes lie as in a packed panel: a word has 4 columns of a row, the words of 32 rows side by side; nibbles as
/// even and odd words in the halves of bytes. The code touches what its four arguments point to and the registers zmm0 to zmm4 and zmm16 to zmm27, which belong to nobody in both calling conventions.
/// Encoding: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, section 2.7 (EVEX).
/// </remarks>
internal static unsafe class BlockSums512
{
    /// <summary>Tokens of the smallest tile.</summary>
    public const int LeastTokens = 4;

    private const int Accumulators = 16; // the first of two a token
    private const int Mask = 4;
    private static readonly byte*[] s_code = Assemble();

    /// <summary>Whether this processor and system run it.</summary>
    public static bool IsSupported { get; } = s_code.Length > 0;

    /// <summary>Whether kernels use it. Tests turn it off to see the other forms.</summary>
    internal static bool IsEnabled { get; set; } = IsSupported;

    /// <summary>The code for a tile.</summary>
    /// <param name="tokens">4 to 6.</param>
    /// <param name="nibbles">Whether codes lie in nibbles, else in bytes.</param>
    /// <param name="steps">Steps of 4 columns: 8, or 4 for bytes.</param>
    /// <returns>Called with codes, activations (4 bytes a token, step after step), starts [tokens] and sums [tokens, 32].</returns>
    public static delegate* unmanaged[SuppressGCTransition]<byte*, byte*, int*, int*, void> Of(int tokens, bool nibbles, int steps) =>
        (delegate* unmanaged[SuppressGCTransition]<byte*, byte*, int*, int*, void>)s_code[((tokens - LeastTokens) * 3) + (nibbles ? 0 : steps == 8 ? 1 : 2)];

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
                while (code.Count % 64 != 0)
                    code.Add(0xCC); // int3: never reached
                starts.Add(code.Count);
                Write(new Assembler(code), tokens, nibbles, steps);
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

    private static void Write(Assembler assembler, int tokens, bool nibbles, int steps)
    {
        // The four integer arguments of System V, or of Windows.
        (int codes, int x, int starts, int sums) = OperatingSystem.IsWindows() ? (1, 2, 8, 9) : (7, 6, 2, 1);
        for (int t = 0; t < tokens; t++)
        {
            assembler.Broadcast(Accumulators + (2 * t), starts, 4 * t);
            assembler.Move(Accumulators + (2 * t) + 1, Accumulators + (2 * t));
        }

        if (nibbles)
            assembler.BroadcastConstant(Mask, 0x0F0F0F0F);
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

        for (int i = 0; i < 2 * tokens; i++)
            assembler.Store(Accumulators + i, sums, 64 * i);
        assembler.Return();
    }

    /// <summary>Writes instructions on 512-bit registers. Addresses are a base register, 0 to 15, and a displacement of 32 bits.</summary>
    private readonly struct Assembler(List<byte> code)
    {
        private const int Map0F = 1, Map0F38 = 2, None66 = 1, NoneF3 = 2;

        /// <summary><c>vmovdqu32 zmm, [base + displacement]</c>.</summary>
        public void Load(int register, int @base, int displacement) => Memory(Map0F, NoneF3, 0x6F, register, 0, @base, displacement, broadcast: false);

        /// <summary><c>vmovdqu32 [base + displacement], zmm</c>.</summary>
        public void Store(int register, int @base, int displacement) => Memory(Map0F, NoneF3, 0x7F, register, 0, @base, displacement, broadcast: false);

        /// <summary><c>vpbroadcastd zmm, dword [base + displacement]</c>.</summary>
        public void Broadcast(int register, int @base, int displacement) => Memory(Map0F38, None66, 0x58, register, 0, @base, displacement, broadcast: false);

        /// <summary><c>vpdpbusd sum, codes, dword [base + displacement] {1to16}</c>.</summary>
        public void DotBroadcast(int sum, int codes, int @base, int displacement) => Memory(Map0F38, None66, 0x50, sum, codes, @base, displacement, broadcast: true);

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
