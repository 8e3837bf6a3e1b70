namespace Glimmer.Kernels;

/// <summary>The vector instructions that a matrix tile needs, for one register width; one implementation an instruction set.</summary>
/// <typeparam name="TVector">The register, a vector of <see cref="float"/>.</typeparam>
/// <remarks>Type arguments are structs, so the JIT compiles each kernel once a form, with every call inlined.</remarks>
internal unsafe interface IVectorForm<TVector>
    where TVector : struct
{
    /// <summary>Floats in a register.</summary>
    static abstract int Width { get; }

    /// <summary>Rows of the largest tile whose sums (two registers a row) stay in registers.</summary>
    static abstract int TileRows { get; }

    static abstract TVector Load(float* source);

    static abstract void Store(TVector value, float* destination);

    static abstract TVector Broadcast(float value);

    static abstract TVector Add(TVector a, TVector b);

    static abstract TVector Multiply(TVector a, TVector b);

    /// <summary><c>a * b + c</c> with one rounding.</summary>
    static abstract TVector FusedMultiplyAdd(TVector a, TVector b, TVector c);

    /// <summary>Widens bf16 numbers.</summary>
    static abstract TVector LoadBF16(ushort* source);

    /// <summary>Widens finite fp16 numbers, exactly. Subnormal ones are slow: they pass through an fp32 denormal.</summary>
    static abstract TVector LoadF16(ushort* source);

    /// <summary>Widens finite fp16 numbers, exactly and without denormals on the way.</summary>
    static abstract TVector LoadHalf(ushort* source);

    /// <summary>Widens the E4M3 number at bit <paramref name="shift"/> of each word, times 2^-120.</summary>
    static abstract TVector LoadFloat8(uint* words, int shift);

    /// <summary>Converts the byte at bit <paramref name="shift"/> of each word, which holds a number + 128.</summary>
    static abstract TVector LoadBytes(uint* words, int shift);

    /// <summary>Converts the unsigned 4-bit number at bit <paramref name="shift"/> of each word.</summary>
    static abstract TVector LoadNibbles(uint* words, int shift);
}
