using Glimmer.Kernels;

namespace Glimmer.Tests.Kernels;

/// <summary>Runs the kernels of another instruction set until it is disposed. Tests that use it share the collection "Simd level".</summary>
internal sealed class LevelScope : IDisposable
{
    private readonly SimdLevel _before = Simd.Level;

    public LevelScope(SimdLevel level) => Simd.Level = level;

    /// <summary>The levels that this processor runs, lowest first.</summary>
    public static IEnumerable<SimdLevel> All() => Enum.GetValues<SimdLevel>().Where(level => level <= Simd.Best);

    public void Dispose() => Simd.Level = _before;
}

/// <summary>Tests that change the instruction set run alone, so that no other test sees the change.</summary>
[CollectionDefinition("Simd level", DisableParallelization = true)]
public class SimdLevelCollection;
