using Glimmer.Kernels;

namespace Glimmer.Tests.Kernels;

/// <summary>Lowers the instruction set for a test. Such tests share a collection that runs alone, because the level belongs to the process.</summary>
[CollectionDefinition(Collection, DisableParallelization = true)]
public sealed class SimdLevels
{
    public const string Collection = "instruction sets";

    /// <summary>The levels this processor runs, lowest first.</summary>
    internal static IEnumerable<SimdLevel> All() => Enum.GetValues<SimdLevel>().Where(level => level <= Simd.Best);

    internal static Scope Use(SimdLevel level)
    {
        Simd.Level = level;
        return default;
    }

    internal readonly struct Scope : IDisposable
    {
        public void Dispose() => Simd.Level = Simd.Best;
    }
}
