namespace Glimmer.Kernels;

/// <summary>32 floats that are worked on together: the 32 lanes of rule 3 of docs/adr/0001, whatever the width of a register.</summary>
/// <remarks>Row kernels are written once over this interface; the JIT compiles them for each form with all calls inlined.</remarks>
internal unsafe interface ILanes<TSelf>
    where TSelf : struct, ILanes<TSelf>
{
    static abstract TSelf operator +(TSelf a, TSelf b);

    static abstract TSelf operator -(TSelf a, TSelf b);

    static abstract TSelf operator -(TSelf a);

    static abstract TSelf operator *(TSelf a, TSelf b);

    static abstract TSelf operator /(TSelf a, TSelf b);

    static abstract TSelf Load(float* source);

    static abstract void Store(TSelf value, float* destination);

    static abstract TSelf Broadcast(float value);

    /// <summary>Loads the last, incomplete group of a row: <paramref name="count"/> elements below 32; the other lanes are +0.</summary>
    static abstract TSelf LoadFirst(float* source, int count);

    /// <summary>Stores the first <paramref name="count"/> lanes.</summary>
    static abstract void StoreFirst(TSelf value, float* destination, int count);

    /// <summary>Replaces all but the first <paramref name="count"/> lanes by <paramref name="other"/>.</summary>
    static abstract TSelf KeepFirst(TSelf value, int count, float other);

    /// <summary><c>a * b + c</c> with one rounding.</summary>
    static abstract TSelf FusedMultiplyAdd(TSelf a, TSelf b, TSelf c);

    static abstract TSelf Max(TSelf a, TSelf b);

    /// <summary><see cref="VectorMath"/>'s exp.</summary>
    static abstract TSelf Exp(TSelf x);

    /// <summary>The sum by the tree <c>lane[i] += lane[i + 16]</c>, + 8, + 4, + 2, + 1.</summary>
    static abstract float Sum(TSelf value);

    /// <summary>The largest lane.</summary>
    static abstract float Largest(TSelf value);
}
