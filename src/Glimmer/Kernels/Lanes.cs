using System.Runtime.CompilerServices;

namespace Glimmer.Kernels;

/// <summary>The last, incomplete group of 32 elements of a row.</summary>
internal static unsafe class Lanes
{
    /// <summary>Lanes in a group.</summary>
    public const int Count = 32;

    /// <summary>Loads <paramref name="count"/> elements; the other lanes are +0.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static TLanes LoadFirst<TLanes>(float* source, int count)
        where TLanes : struct, ILanes<TLanes>
    {
        float* padded = stackalloc float[Count];
        for (int i = 0; i < Count; i++)
            padded[i] = i < count ? source[i] : 0;
        return TLanes.Load(padded);
    }

    /// <summary>Stores the first <paramref name="count"/> lanes.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static void StoreFirst<TLanes>(TLanes value, float* destination, int count)
        where TLanes : struct, ILanes<TLanes>
    {
        float* padded = stackalloc float[Count];
        TLanes.Store(value, padded);
        for (int i = 0; i < count; i++)
            destination[i] = padded[i];
    }

    /// <summary>Replaces all but the first <paramref name="count"/> lanes by <paramref name="other"/>.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static TLanes KeepFirst<TLanes>(TLanes value, int count, float other)
        where TLanes : struct, ILanes<TLanes>
    {
        float* padded = stackalloc float[Count];
        TLanes.Store(value, padded);
        for (int i = count; i < Count; i++)
            padded[i] = other;
        return TLanes.Load(padded);
    }
}
