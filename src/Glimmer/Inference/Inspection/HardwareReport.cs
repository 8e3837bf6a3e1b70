using System.Runtime.InteropServices;
using Glimmer.Kernels;

namespace Glimmer.Inference.Inspection;

/// <summary>The machine as the kernels see it.</summary>
/// <param name="Processor">Name of the processor, or its architecture where the system does not tell (only Linux does).</param>
/// <param name="Cores">Logical processors that this process may use.</param>
/// <param name="Kernels">Form of the kernels in use.</param>
/// <param name="VectorBits">Width of the registers they use.</param>
/// <param name="MemoryBytes">Memory that this process may use.</param>
/// <param name="Runtime">Version of .NET and the operating system.</param>
public sealed record HardwareReport(string Processor, int Cores, SimdLevel Kernels, int VectorBits, long MemoryBytes, string Runtime)
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
        GC.GetGCMemoryInfo().TotalAvailableMemoryBytes,
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
