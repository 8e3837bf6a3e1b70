using Glimmer.Formats;
using Glimmer.Quantization;

namespace Glimmer.Models;

/// <summary>Reads rows of a tensor to be written, in the order of the output, as fp32.</summary>
/// <param name="firstRow">First row of the output.</param>
/// <param name="rows">Number of rows.</param>
/// <param name="values">rows x row length elements.</param>
internal delegate void RowReader(long firstRow, int rows, Span<float> values);

/// <summary>One tensor of an output file and where its rows come from.</summary>
/// <param name="Target">Name, type and shape in the output.</param>
/// <param name="Read">Gives the values.</param>
/// <param name="ReadStored">Gives stored rows instead where source and output have the same type, so that nothing is rounded twice; or null.</param>
internal sealed record PlannedTensor(TensorInfo Target, RowReader Read, Action<long, int, Memory<byte>>? ReadStored)
{
    /// <summary>Elements handled at a time: bounds the memory whatever the size of the tensor.</summary>
    private const int ChunkElements = 1 << 22;

    /// <summary>
    /// Converts the tensor row chunk by row chunk; parts of a chunk are quantised in parallel (rows are independent, so the bytes do not depend on it).
    /// </summary>
    /// <param name="write">Takes the bytes in order.</param>
    /// <param name="advance">Told the elements done.</param>
    /// <param name="cancellation">Checked between chunks.</param>
    public void Convert(Action<ReadOnlyMemory<byte>> write, Action<long> advance, CancellationToken cancellation)
    {
        int width = Target.RowLength;
        long rows = Target.Rows;
        int chunkRows = (int)Math.Clamp(ChunkElements / Math.Max(1, width), 1, Math.Max(1, rows));
        int rowBytes = rows == 0 ? 0 : (int)(Target.SizeBytes / rows);
        var values = new float[ReadStored is null ? chunkRows * width : 0];
        var bytes = new byte[chunkRows * rowBytes];
        for (long first = 0; first < rows; first += chunkRows)
        {
            cancellation.ThrowIfCancellationRequested();
            int count = (int)Math.Min(chunkRows, rows - first);
            if (ReadStored is not null)
                ReadStored(first, count, bytes.AsMemory(0, count * rowBytes));
            else
                Quantize(first, count, width, rowBytes, values, bytes);
            write(bytes.AsMemory(0, count * rowBytes));
            advance((long)count * width);
        }
    }

    private void Quantize(long first, int count, int width, int rowBytes, float[] values, byte[] bytes)
    {
        Read(first, count, values.AsSpan(0, count * width));
        int parts = Math.Min(count, Environment.ProcessorCount);
        Parallel.For(0, parts, part =>
        {
            int start = (int)((long)count * part / parts);
            int end = (int)((long)count * (part + 1) / parts);
            Quantizer.FromFloat32(Target.Type, values.AsSpan(start * width, (end - start) * width), bytes.AsSpan(start * rowBytes, (end - start) * rowBytes));
        });
    }
}
