using Glimmer.Quantization;
using Glimmer.Tensors;

namespace Glimmer.Formats;

/// <summary>One tensor of a checkpoint under its checkpoint name, however the file stores it.</summary>
internal abstract class Weight(TensorInfo info)
{
    /// <summary>Name, type and shape.</summary>
    public TensorInfo Info { get; } = info;

    /// <summary>Reads rows as fp32; the caller has checked the range and the length.</summary>
    public abstract void ReadFloat32(long firstRow, int rows, Span<float> values);

    /// <summary>Reads rows as <see cref="TensorInfo.RowType"/> says; not for computed weights without a block type.</summary>
    public virtual void ReadStored(long firstRow, int rows, Span<byte> bytes) =>
        throw new InvalidOperationException($"'{Info.Name}' is computed from several tensors of the file and has no stored rows.");

    /// <summary>The mapped bytes as a tensor, or null when the rows do not lie together in the file.</summary>
    public virtual Tensor? View() => null;

    /// <summary>Says that the mapped bytes are needed soon.</summary>
    public virtual void WillNeed()
    {
    }

    /// <summary>Says that the mapped bytes are no longer needed: they leave the memory of the process until somebody reads them again.</summary>
    public virtual void Release()
    {
    }
}

/// <summary>Rows that lie one after another in a mapped file.</summary>
internal sealed unsafe class StoredWeight(TensorInfo info, byte* data, object owner) : Weight(info)
{
    /// <summary>Bytes of a row.</summary>
    public long RowBytes => Info.Type.ByteSize(Info.RowLength);

    /// <summary>One row.</summary>
    public ReadOnlySpan<byte> Row(long row) => new(data + row * RowBytes, (int)RowBytes);

    /// <summary>All bytes of a tensor that fits a span.</summary>
    public ReadOnlySpan<byte> All => new(data, checked((int)Info.SizeBytes));

    public override void ReadFloat32(long firstRow, int rows, Span<float> values)
    {
        // In steps, because the bytes of many rows may exceed a span.
        int step = (int)Math.Clamp((1 << 28) / Math.Max(1, RowBytes), 1, Math.Max(1, rows));
        for (int done = 0; done < rows; done += step)
        {
            int count = Math.Min(step, rows - done);
            var source = new ReadOnlySpan<byte>(data + (firstRow + done) * RowBytes, checked((int)(count * RowBytes)));
            Dequantizer.ToFloat32(Info.Type, source, values.Slice(done * Info.RowLength, count * Info.RowLength));
        }
    }

    public override void ReadStored(long firstRow, int rows, Span<byte> bytes) =>
        new ReadOnlySpan<byte>(data + firstRow * RowBytes, bytes.Length).CopyTo(bytes);

    public override Tensor View() => new(Info.Type, Info.Shape, data, owner);

    public override void WillNeed() => MemoryAdvice.WillNeed(data, Info.SizeBytes);

    public override void Release() => MemoryAdvice.DropMapped(data, Info.SizeBytes);
}

/// <summary>Rows that lie in another order in the file: row r of the checkpoint is row <c>fileRow(r)</c> of the file.</summary>
internal sealed class ReorderedWeight(StoredWeight stored, Func<long, long> fileRow) : Weight(stored.Info)
{
    public override void ReadFloat32(long firstRow, int rows, Span<float> values)
    {
        for (int r = 0; r < rows; r++)
            stored.ReadFloat32(fileRow(firstRow + r), 1, values.Slice(r * Info.RowLength, Info.RowLength));
    }

    public override void ReadStored(long firstRow, int rows, Span<byte> bytes)
    {
        for (int r = 0; r < rows; r++)
            stored.Row(fileRow(firstRow + r)).CopyTo(bytes[(int)(r * stored.RowBytes)..]);
    }

    public override void WillNeed() => stored.WillNeed();

    public override void Release() => stored.Release();
}

/// <summary>A tensor under another name.</summary>
internal sealed class RenamedWeight(Weight weight, string name)
    : Weight(new TensorInfo(name, weight.Info.Type, weight.Info.Shape.ToArray(), weight.Info.SizeBytes, weight.Info.IsComputed, () => weight.Info.RowType))
{
    public override void ReadFloat32(long firstRow, int rows, Span<float> values) => weight.ReadFloat32(firstRow, rows, values);

    public override void ReadStored(long firstRow, int rows, Span<byte> bytes) => weight.ReadStored(firstRow, rows, bytes);

    public override Tensor? View() => weight.View();

    public override void WillNeed() => weight.WillNeed();

    public override void Release() => weight.Release();
}
