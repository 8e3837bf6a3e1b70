using System.Runtime.InteropServices;
using Glimmer.Kernels;
using Glimmer.Models;
using Glimmer.Quantization;
using Glimmer.Tensors;

namespace Glimmer.Inference.Inspection;

/// <summary>The machine as the kernels see it.</summary>
/// <param name="Processor">Name of the processor, or its architecture where the system does not tell (only Linux does).</param>
/// <param name="Cores">Logical processors that this process may use.</param>
/// <param name="Kernels">Form of the kernels in use.</param>
/// <param name="VectorBits">Width of the registers they use.</param>
/// <param name="IntegerProducts">What multiplies quantised weights by 8-bit activations.</param>
/// <param name="MemoryBytes">Memory that this process may use.</param>
/// <param name="AvailableBytes">Of it, memory that can be taken now without swapping.</param>
/// <param name="HugePages">What the system allows for weights and caches in private memory: <c>always</c>, <c>madvise</c> (they ask), <c>never</c>; null where it does not tell.</param>
/// <param name="WeightForms">Types of weights that kernels read in their own packed form; any other is widened to fp32 when it is loaded.</param>
/// <param name="CacheType">How keys and values are kept unless an option says otherwise.</param>
/// <param name="Runtime">Version of .NET and the operating system.</param>
public sealed record HardwareReport(string Processor, int Cores, SimdLevel Kernels, int VectorBits, string IntegerProducts, long MemoryBytes, long AvailableBytes, string? HugePages, IReadOnlyList<DType> WeightForms,
    KeyValueType CacheType, string Runtime)
{
    /// <summary>Looks at this machine.</summary>
    public static HardwareReport Read() => new(
        ProcessorName() ?? RuntimeInformation.ProcessArchitecture.ToString(),
        Environment.ProcessorCount,
        Simd.Best,
        Simd.Best switch
        {
            SimdLevel.Avx512 => 512,
            SimdLevel.Avx2 => 256,
            _ => 128,
        },
        BlockKernel.Instructions,
        GC.GetGCMemoryInfo().TotalAvailableMemoryBytes,
        MemoryPlan.AvailableBytes(),
        MemoryAdvice.HugePageMode(),
        PackedWeights.OwnForms(),
        default,
        $"{RuntimeInformation.FrameworkDescription}, {RuntimeInformation.OSDescription}");

    private static string? ProcessorName()
    {
        const string Path = "/proc/cpuinfo";
        if (!OperatingSystem.IsLinux() || !File.Exists(Path))
            return null;
        string? line = File.ReadLines(Path).FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal));
        return line?[(line.IndexOf(':', StringComparison.Ordinal) + 1)..].Trim();
    }
}
