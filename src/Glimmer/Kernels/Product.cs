using Glimmer.Tensors;

namespace Glimmer.Kernels;

/// <summary>One matrix product as the threads see it: <c>c[m, n] = chain over depth of a[m, .] b[n, .]</c>, cut into units.</summary>
internal unsafe struct Product
{
    /// <summary>Rows of the left side: <c>a[m, d] = A[row(m) * LdA + d]</c>, or <c>A[d * LdA + m]</c> when <see cref="ATransposed"/>.</summary>
    public float* A;
    public int* Gather;
    public nint LdA;
    public bool ATransposed;

    /// <summary>Left side packed ahead, tile after tile, column after column; null when there is only one tile, which each thread packs for itself.</summary>
    public float* Rows;

    /// <summary>Whether a thread packs a block of a tile just before it uses it: cheaper than through memory while there are few panels to use it for.</summary>
    public bool PacksInBlocks;

    /// <summary>Packed panels of the right side, or the memory they are packed into first from <see cref="Raw"/>.</summary>
    public byte* Panels;
    public long PanelBytes;
    public DType Type;

    /// <summary>Right side that is packed in the job itself, F32 [depth, N] with rows <see cref="LdRaw"/> apart; null when packed ahead.</summary>
    public float* Raw;
    public int* RawGather;
    public nint LdRaw;

    public float* Bias;
    public float* C;
    public nint LdC;
    public GradientMode Mode;

    public int M;
    public int N;
    public int Depth;

    /// <summary>Tiles along M; the first <c>M % Tiles</c> of them have one row more than the others.</summary>
    public int Tiles;
    public int RowChunks;
    public int PanelChunks;

    /// <summary>Number of the first unit in the list, and of the first packing unit: first the groups of tiles, then the groups of panels.</summary>
    public int FirstUnit;
    public int FirstPacking;
    public int TileGroups;

    public readonly int PanelCount => (N + PackedMatrix.PanelRows - 1) / PackedMatrix.PanelRows;

    /// <summary>First row of a tile.</summary>
    public readonly int TileStart(int tile) => tile * (M / Tiles) + Math.Min(tile, M % Tiles);
}

/// <summary>A list of products that a team works on; lives on the stack of the caller, its arrays in the team's shared scratch memory.</summary>
internal unsafe struct ProductList
{
    public Product* Products;
    public int Count;
    public int Units;
    public int Packings;

    /// <summary>Scratch memory of each thread: packed rows of a single tile, expanded panels, an edge tile, sums that are to be added to the output.</summary>
    public float** Scratch;
    public long RowFloats;
    public long PanelFloats;
    public long SumFloats;

    /// <summary>The next unit and the next packing unit, taken by whichever thread is free.</summary>
    public int NextUnit;
    public int NextPacking;

    /// <summary>Floats of scratch memory a thread.</summary>
    public readonly long ScratchFloats => RowFloats + PanelFloats + ProductPlan.EdgeFloats + SumFloats;
}
