using System.Globalization;
using Glimmer.Formats;
using Glimmer.Quantization;
using Glimmer.Tensors;

namespace Glimmer.Models;

/// <summary>What the packed weights of a checkpoint need, and whether they fit: decided before the first byte is loaded.</summary>
/// <param name="PackedBytes">All weights.</param>
/// <param name="ExpertBytes">Of these, the routed experts.</param>
/// <param name="LargestExpert">Most bytes of one expert as it lies in a pack cache.</param>
internal sealed record MemoryPlan(long PackedBytes, long ExpertBytes, long LargestExpert)
{
    // Share of the free memory that weights may take: the rest is for keys and values, scratch memory and the rest of the machine.
    private const double LargestShare = 0.85;

    /// <summary>Bytes that are in memory all the time.</summary>
    public long DenseBytes => PackedBytes - ExpertBytes;

    /// <summary>Adds up the weights.</summary>
    public static MemoryPlan Of(IEnumerable<TensorInfo> tensors)
    {
        long all = 0, experts = 0, largest = 0;
        foreach (TensorInfo tensor in tensors)
        {
            long bytes = Bytes(tensor);
            all += bytes;
            if (!IsExpert(tensor.Name))
                continue;
            experts += bytes;
            largest = Math.Max(largest, bytes); // of one of the three matrices
        }

        return new MemoryPlan(all, experts, 3 * ((largest + PackCacheFile.Alignment - 1) / PackCacheFile.Alignment * PackCacheFile.Alignment));
    }

    /// <summary>Whether a weight belongs to a routed expert.</summary>
    public static bool IsExpert(string name) => name.Contains(".mlp.experts.", StringComparison.Ordinal);

    /// <summary>Memory that can be taken now without swapping, in bytes: what the system calls available, at most what this process may use.</summary>
    public static long AvailableBytes()
    {
        long allowed = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        const string Path = "/proc/meminfo";
        if (!OperatingSystem.IsLinux() || !File.Exists(Path))
            return allowed;
        string? line = File.ReadLines(Path).FirstOrDefault(line => line.StartsWith("MemAvailable:", StringComparison.Ordinal));
        return line is not null && long.TryParse(line["MemAvailable:".Length..].Replace("kB", "", StringComparison.Ordinal), CultureInfo.InvariantCulture, out long kilobytes)
            ? Math.Min(allowed, kilobytes * 1024)
            : allowed;
    }

    /// <summary>Decides how many bytes of experts are kept in memory.</summary>
    /// <param name="path">The checkpoint, for messages.</param>
    /// <param name="options">What the caller allows.</param>
    /// <param name="availableBytes">Memory that can be had.</param>
    /// <returns>Bytes for experts, or null when everything fits.</returns>
    /// <exception cref="UnsupportedModelException">The weights do not fit and cannot stay on disk.</exception>
    public long? ExpertBudget(string path, LoadOptions options, long availableBytes)
    {
        long limit = options.MemoryBudget > 0 ? options.MemoryBudget : availableBytes;
        if (options.MemoryBudget > availableBytes)
        {
            throw new UnsupportedModelException(
                $"The memory budget of {Gigabytes(options.MemoryBudget)} is more than the {Gigabytes(availableBytes)} of memory that can be had now. Ask for less.");
        }

        if (PackedBytes <= limit)
            return null;
        string what = $"'{path}' needs {Gigabytes(PackedBytes)} of memory for its weights, but "
            + (options.MemoryBudget > 0 ? $"the budget is {Gigabytes(limit)}" : $"this process can have {Gigabytes(limit)} now");
        if (ExpertBytes == 0)
            throw new UnsupportedModelException($"{what}. It has no experts that could stay on disk; use a smaller type ('glimmer convert') or a machine with more memory.");
        if (options.PackCache is null)
        {
            throw new UnsupportedModelException(
                $"{what}. Name a folder for packed weights (--pack-cache) so that experts can stay on disk, use a smaller type ('glimmer convert') or a machine with more memory.");
        }

        long budget = (options.MemoryBudget > 0 ? limit : (long)(limit * LargestShare)) - DenseBytes;
        if (budget < LargestExpert)
        {
            throw new UnsupportedModelException(
                $"{what}. Only experts can stay on disk; {Gigabytes(DenseBytes + LargestExpert)} is the least it runs with ({Gigabytes(DenseBytes)} for everything else and one expert).");
        }

        return budget;
    }

    private static string Gigabytes(long bytes) => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1e9:0.0##} GB");

    // Matrices are packed; anything else, and what no kernel streams, is fp32.
    private static long Bytes(TensorInfo tensor)
    {
        if (tensor.Shape.Length != 2)
            return sizeof(float) * tensor.Count;
        using PackedMatrix form = PackedWeights.Create(tensor.RowType, (int)tensor.Rows, tensor.RowLength);
        return form.Bytes;
    }
}
